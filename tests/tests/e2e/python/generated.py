"""Calls a host by stubs that grpcio-tools made from `microhost gen proto`."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

address, stubs = sys.argv[1:]
sys.path.insert(0, stubs)

from test import context_pb2, context_pb2_grpc, echo_pb2, echo_pb2_grpc  # noqa: E402
from test import sleeper_pb2, sleeper_pb2_grpc, types_pb2  # noqa: E402

# Its stub has a method named `None`, which Python cannot say: it is called without the stub.

with grpc.insecure_channel(address) as channel:
    echo = echo_pb2_grpc.EchoStub(channel)
    message = echo_pb2.Message(id=2**64 - 1, text="hä \U0001f600", tags=["a", ""])
    assert echo.Echo(message, timeout=10) == message
    assert echo.EchoPlain(message, timeout=10) == message
    assert echo.Echo(echo_pb2.Message(), timeout=10) == echo_pb2.Message()

    # Packed, if the host takes it.
    large = echo_pb2.Message(text="x" * 100_000)
    assert echo.Echo(large, timeout=10, compression=grpc.Compression.Gzip) == large

    def types(method, **fields):
        descriptor = types_pb2.DESCRIPTOR.services_by_name["Echo"].methods_by_name[method]
        send = channel.unary_unary(
            f"/test.types.Echo/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(types_pb2, descriptor.output_type.name).FromString,
        )
        return send(getattr(types_pb2, descriptor.input_type.name)(**fields), timeout=10)

    def there_and_back(method, **fields):
        reply = types(method, **fields)
        for name, value in fields.items():
            found = getattr(reply, name)
            assert found == value or list(found) == list(value), (method, value, found)

    there_and_back("Bool", value=True)
    there_and_back("S8", value=-128)
    there_and_back("U16", value=65535)
    there_and_back("S64", value=-(2**63))
    there_and_back("U64", value=2**64 - 1)
    there_and_back("F64", value=float("-inf"))
    there_and_back("Char", value="\U0001f600")
    there_and_back("Text", value="")
    there_and_back("Bytes", value=bytes(range(256)))
    there_and_back("Numbers", value=[0, 1, 2**32 - 1])
    there_and_back("Texts", value=["", "a"])
    there_and_back("Point", x=1, y=-(2**31))
    there_and_back("Maybe", value=0)

    # An option that is there and holds zero is not one that is absent.
    assert not types("Maybe").HasField("value")
    assert types("Maybe", value=0).HasField("value")

    # A number that the type cannot hold is refused, never cut.
    try:
        types("U8", value=256)
        raise AssertionError("it should fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert "value" in error.details(), error

    # A message of a newer client: what is not known is skipped.
    newer = message.SerializeToString() + b"\xfa\x07\x03new"
    raw = channel.unary_unary("/test.echo.Echo/Echo", response_deserializer=echo_pb2.Message.FromString)
    assert raw(newer, timeout=10) == message

    # Metadata both ways, binary too.
    answer = context_pb2_grpc.ContextStub(channel).Answer
    described = context_pb2.DESCRIPTOR.services_by_name["Context"].methods_by_name["Answer"]
    request = getattr(context_pb2, described.input_type.name)()
    request.headers.add(name="x-h", value=b"1")
    request.headers.add(name="x-raw-bin", value=bytes(range(256)))
    request.trailers.add(name="x-t", value=b"2")
    _, ended = answer.with_call(request, timeout=10)
    headers, trailers = dict(ended.initial_metadata()), dict(ended.trailing_metadata())
    assert headers["x-h"] == "1" and headers["x-raw-bin"] == bytes(range(256)), headers
    assert trailers["x-t"] == "2", trailers

    # A deadline that passes.
    sleeper = sleeper_pb2_grpc.SleeperStub(channel)
    described = sleeper_pb2.DESCRIPTOR.services_by_name["Sleeper"].methods_by_name
    hang = getattr(sleeper_pb2, described["Hang"].input_type.name, None) or __import__(
        "google.protobuf.empty_pb2", fromlist=["Empty"]
    ).Empty
    try:
        sleeper.Hang(hang(), timeout=0.3)
        raise AssertionError("it should fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error

    # Many at once, from several threads, on one channel.
    def one(number):
        sent = echo_pb2.Message(id=number)
        return echo.Echo(sent, timeout=30) == sent

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(one, range(500)))

print("ok")
