"""Calls a host's streams by stubs that grpcio-tools made from `microhost gen proto`."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc

address, stubs = sys.argv[1:]
sys.path.insert(0, stubs)

from example import streams_pb2, streams_pb2_grpc  # noqa: E402

# How long a call may take that should be answered at once.
SOON = 20

described = streams_pb2.DESCRIPTOR.services_by_name["Streams"].methods_by_name


def message(method, **fields):
    """What the client sends in calls of a method."""
    return getattr(streams_pb2, described[method].input_type.name)(**fields)


def values(method, items):
    return (message(method, value=item) for item in items)


def taken(reply):
    """The messages of a reply, and the error that it ended with."""
    seen = []
    try:
        for item in reply:
            seen.append(item.value)
    except grpc.RpcError as error:
        return seen, error
    return seen, None


class Sent:
    """Messages that are sent when the test says so."""

    def __init__(self):
        self.waiting = SimpleQueue()

    def send(self, item):
        self.waiting.put(item)

    def end(self):
        self.waiting.put(None)

    def __iter__(self):
        return iter(self.waiting.get, None)


with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", 8 << 20)]) as channel:
    stub = streams_pb2_grpc.StreamsStub(channel)

    # All four kinds.
    assert stub.Ended(message("Ended"), timeout=SOON).value >= 0
    countdown = stub.Countdown(message("Countdown", **{"from": 5}), timeout=SOON)
    assert taken(countdown) == ([4, 3, 2, 1, 0], None)
    assert countdown.code() == grpc.StatusCode.OK
    assert taken(stub.Countdown(message("Countdown"), timeout=SOON)) == ([], None)
    assert stub.Sum(values("Sum", range(-10, 1000)), timeout=SOON).value == sum(range(-10, 1000))
    assert stub.Sum(iter(()), timeout=SOON).value == 0
    items = [bytes([number]) * number * 10 for number in range(100)]
    assert taken(stub.Echo(values("Echo", items), timeout=SOON)) == (items, None)
    large = [bytes([number]) * (1 << 20) for number in range(16)]
    assert taken(stub.Echo(values("Echo", large), timeout=SOON)) == (large, None)
    assert stub.Consume(values("Consume", large), timeout=SOON).value == 16

    # Records.
    notes = [message("Shout", id=number, text=f"hä {number}", tags=["a", ""]) for number in range(10)]
    shouted = list(stub.Shout(iter(notes), timeout=SOON))
    assert [(note.id, note.text, list(note.tags)) for note in shouted] == [
        (number, f"HÄ {number}", ["a", ""]) for number in range(10)
    ]
    assert list(stub.Pass(iter(notes), timeout=SOON)) == notes

    # A future is a stream of one.
    assert taken(stub.Later(values("Later", [7]), timeout=SOON)) == (["it was 7"], None)

    # Packed, if the host takes it.
    gzip = grpc.Compression.Gzip
    assert taken(stub.Echo(values("Echo", large[:2]), timeout=SOON, compression=gzip)) == (large[:2], None)

    # A message is answered before the next one is sent.
    sent = Sent()
    echo = stub.Echo(iter(sent), timeout=SOON)
    for number in range(20):
        sent.send(message("Echo", value=bytes([number])))
        assert next(echo).value == bytes([number])
    # The client closes its side, and the server then closes its own.
    sent.end()
    assert taken(echo) == ([], None) and echo.code() == grpc.StatusCode.OK

    # The server writes only after the client has closed.
    assert taken(stub.Collect(values("Collect", range(500)), timeout=SOON)) == (list(range(500)), None)

    # The server is done while the client could still send.
    sent = Sent()
    sent.send(message("First", value="only"))
    assert stub.First(iter(sent), timeout=SOON).value == "only"
    sent.end()
    try:
        stub.First(iter(()), timeout=SOON)
        raise AssertionError("it should fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error

    # A failure before the first message, and one after messages.
    seen, error = taken(stub.Fallible(message("Fallible", number=1), timeout=SOON))
    assert seen == [] and error.code() == grpc.StatusCode.NOT_FOUND, (seen, error)
    seen, error = taken(stub.Fallible(message("Fallible", number=102), timeout=SOON))
    assert seen == [0, 1, 2] and error.code() == grpc.StatusCode.ABORTED, (seen, error)
    assert error.details() == "it was too much", error
    assert "grpc-status-details-bin" in dict(error.trailing_metadata()), error.trailing_metadata()
    assert taken(stub.Fallible(message("Fallible", number=2), timeout=SOON)) == ([0, 1], None)

    # A trap in mid-stream.
    seen, error = taken(stub.TrapAfter(message("TrapAfter", count=2), timeout=SOON))
    assert error.code() == grpc.StatusCode.INTERNAL and seen == [0, 1][: len(seen)], (seen, error)

    # A message that is none, in mid-stream, ends the call with the client's mistake.
    broken = channel.stream_stream("/example.streams.Streams/Shout")
    sent = Sent()
    call = broken(iter(sent), timeout=SOON)
    sent.send(notes[0].SerializeToString())
    next(call)
    sent.send(b"\xff\xff\xff")
    try:
        next(call)
        raise AssertionError("it should fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
    sent.end()

    # Metadata before, and trailers after the messages.
    said = stub.Metadata(message("Metadata"), timeout=SOON, metadata=[("x-say", "hello"), ("x-say", "again")])
    assert dict(said.initial_metadata())["x-before"] == "1"
    assert taken(said) == (["hello", "again"], None)
    assert dict(said.trailing_metadata())["x-after"] == "late", said.trailing_metadata()

    # A deadline ends a stream from the server, to a server that does not read, and both ways.
    seen, error = taken(stub.Tick(message("Tick", milliseconds=1), timeout=0.5))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and seen == list(range(len(seen))) != [], (seen, error)
    sent = Sent()
    try:
        stub.Deaf(iter(sent), timeout=0.3)
        raise AssertionError("it should fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    sent.end()
    sent = Sent()
    seen, error = taken(stub.Echo(iter(sent), timeout=0.3))
    assert seen == [] and error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, (seen, error)
    sent.end()

    # The client takes what it wants of a stream without end, and leaves.
    for method, fields in [("Tick", {"milliseconds": 1}), ("Endless", {"size": 1000}), ("Endless", {"size": 1 << 20})]:
        call = getattr(stub, method)(message(method, **fields), timeout=SOON)
        for _ in range(5):
            next(call)
        call.cancel()
        assert call.code() == grpc.StatusCode.CANCELLED, call

    # It leaves in the middle of what it sends, too.
    sent = Sent()
    ended = threading.Event()
    call = stub.Echo(iter(sent))
    call.add_callback(ended.set)
    sent.send(message("Echo", value=b"1"))
    assert next(call).value == b"1"
    call.cancel()
    assert ended.wait(SOON) and call.code() == grpc.StatusCode.CANCELLED
    sent.end()

    # Many at once, from several threads, on one channel.
    def one(number):
        sent = [f"{number}.{turn}".encode() for turn in range(20)]
        return taken(stub.Echo(values("Echo", sent), timeout=60)) == (sent, None)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(one, range(200)))

print("ok")
