"""Calls a host in MessagePack, CBOR and BSON, by the libraries that Python's users have for them."""

import math
import sys
import urllib.request

import bson
import cbor2
import msgpack

url = sys.argv[1]

CODECS = {
    "msgpack": (msgpack.packb, lambda body: msgpack.unpackb(body, strict_map_key=False)),
    "cbor": (cbor2.dumps, cbor2.loads),
    # Integers of 64 bits are of a type of their own, which compares as an int.
    "bson": (bson.encode, bson.decode),
}


def call(codec, endpoint, message):
    encode, decode = CODECS[codec]
    request = urllib.request.Request(f"{url}/{endpoint}", encode(message), {"content-type": f"application/{codec}"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.headers["content-type"] == f"application/{codec}", reply.headers
        return decode(reply.read())


def there_and_back(codec, method, value):
    reply = call(codec, f"test.types.Echo/{method}", {"value": value})
    assert reply == {"value": value}, (codec, method, value, reply)


WHOLE = {
    "truth": True,
    "small": -128,
    "byte": 255,
    "short": -32768,
    "unsignedShort": 65535,
    "int": -(2**31),
    "unsignedInt": 2**32 - 1,
    "long": -(2**63),
    "unsignedLong": 2**63 - 1,
    "single": 1.5,
    "double": 1.1,
    "letter": "\U0001f600",
    "text": "hä\0",
    "bytes": bytes(range(256)),
    "numbers": list(range(300)),
    "nested": [{"value": ["a", ""]}, {"value": []}],
    "maybe": 0,
    "outcome": {"error": "no"},
    "pair": {"f0": 7, "f1": "x"},
    "point": {"x": 1, "y": -2},
    "points": [{"x": 1, "y": -2}] * 20,
    "colour": "HUE_DARK_BLUE",
    "colours": ["HUE_RED", "HUE_GREEN"],
    "rights": ["PERMITS_READ", "PERMITS_RUN_AS_ROOT"],
    "shape": {"circle": 0.25},
    "shapes": [{"nothing": {}}, {"named": "n"}],
    "tree": {"name": "w", "branches": [{"name": "b", "leaves": [{"name": "l", "value": 1}, {"name": "m"}]}]},
}

for codec in CODECS:
    # A record by itself is the message.
    reply = call(codec, "test.types.Echo/Everything", WHOLE)
    assert reply == WHOLE, (codec, {name: (value, reply.get(name)) for name, value in WHOLE.items() if reply.get(name) != value})

    there_and_back(codec, "F64", math.inf)
    assert math.isnan(call(codec, "test.types.Echo/F32", {"value": math.nan})["value"])
    there_and_back(codec, "Text", "x" * 70_000)
    there_and_back(codec, "Bytes", b"\xff" * 70_000)
    there_and_back(codec, "Numbers", list(range(70_000)))
    assert call(codec, "test.types.Echo/Maybe", {"value": None}) == {}
    # Numbers may come as text, enums in WIT's spelling or by number.
    assert call(codec, "test.types.Echo/U32", {"value": "7"}) == {"value": 7}
    assert call(codec, "test.types.Echo/U8", {"value": 7.0}) == {"value": 7}
    for colour in ["dark-blue", 3]:
        assert call(codec, "test.types.Echo/Colour", {"value": colour}) == {"value": "HUE_DARK_BLUE"}
    assert call(codec, "test.maps.Maps/Echo", {"value": {"a": 1, "ä": 2}}) == {"value": {"a": 1, "ä": 2}}

for codec in ["msgpack", "cbor"]:
    there_and_back(codec, "U64", 2**64 - 1)
    # Keys are of their type, and may come as text.
    for key in [2**64 - 1, str(2**64 - 1)]:
        assert call(codec, "test.maps.Maps/Numbers", {"value": {key: "x"}}) == {"value": {2**64 - 1: "x"}}

# BSON has no integers so large, and no keys but text.
assert call("bson", "test.types.Echo/U64", {"value": str(2**64 - 1)}) == {"value": str(2**64 - 1)}
assert call("bson", "test.maps.Maps/Numbers", {"value": {"7": "x"}}) == {"value": {"7": "x"}}

print("ok")
