"""Makes calls of every kind by grpcio, with no generated code: what is served is asked by reflection."""

import queue
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "test.talk.v1.Talk"
TIMEOUT = 20

with grpc.insecure_channel(sys.argv[1]) as channel:
    reflection = ProtoReflectionDescriptorDatabase(channel)
    assert SERVICE in list(reflection.get_services())
    methods = DescriptorPool(reflection).FindServiceByName(SERVICE).methods_by_name

    def caller(name, make):
        return make(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(methods[name].output_type).FromString,
        )

    Line = GetMessageClass(methods["Say"].input_type)
    Wish = GetMessageClass(methods["Listen"].input_type)

    assert caller("Say", channel.unary_unary)(Line(text="hello"), timeout=TIMEOUT).text == "hello"

    heard = caller("Listen", channel.unary_stream)(Wish(line=Line(text="la"), times=100), timeout=TIMEOUT)
    assert [line.text for line in heard] == ["la"] * 100
    assert dict(heard.initial_metadata())["x-times"] == "100"
    assert dict(heard.trailing_metadata())["x-told"] == "100"

    heard = caller("Listen", channel.unary_stream)(Wish(line=Line(text="la"), times=2, then_fail="lost"), timeout=TIMEOUT)
    texts = []
    try:
        for line in heard:
            texts.append(line.text)
        raise AssertionError("it should fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DATA_LOSS and error.details() == "lost", error
    assert texts == ["la", "la"], texts

    lines = (Line(text="x" * length) for length in range(100))
    count = caller("Tell", channel.stream_unary)(lines, timeout=TIMEOUT)
    assert (count.lines, count.letters) == (100, 4950), count

    # Each line is sent when the one before has come back.
    say = queue.Queue()
    conversation = caller("Chat", channel.stream_stream)(iter(say.get, None), timeout=TIMEOUT)
    for number in range(100):
        say.put(Line(text=str(number)))
        assert next(conversation).text == str(number)
    say.put(None)
    assert list(conversation) == []
    assert conversation.code() == grpc.StatusCode.OK

    # One that is left in the middle.
    say = queue.Queue()
    conversation = caller("Chat", channel.stream_stream)(iter(say.get, None), timeout=TIMEOUT)
    say.put(Line(text="still there?"))
    assert next(conversation).text == "still there?"
    conversation.cancel()
    say.put(None)

print("ok")
