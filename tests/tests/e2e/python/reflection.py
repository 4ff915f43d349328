"""Calls a host by grpcio with no generated code: what it serves is asked by reflection."""

import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address = sys.argv[1]
# By itself it names a socket's path as the authority, which is none (RFC 3986, section 3.2).
options = [("grpc.default_authority", "localhost")] if address.startswith("unix:") else []
with grpc.insecure_channel(address, options) as channel:
    reflection = ProtoReflectionDescriptorDatabase(channel)
    services = list(reflection.get_services())
    for service in ["test.echo.Echo", "test.types.Echo", "test.types.EchoAsync", "test.types.Errors"]:
        assert service in services, services

    pool = DescriptorPool(reflection)

    def call(service, method, body):
        described = pool.FindServiceByName(service).FindMethodByName(method)
        send = channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        request = json_format.ParseDict(body, GetMessageClass(described.input_type)())
        return json_format.MessageToDict(send(request, timeout=10), always_print_fields_with_no_presence=True)

    hello = {"id": "7", "text": "hello", "tags": ["a", "b"]}
    assert call("test.echo.Echo", "Echo", hello) == hello
    assert call("test.types.EchoAsync", "Point", {"x": 1, "y": -2}) == {"x": 1, "y": -2}
    shape = {"value": {"rectangle": {"x": 3, "y": 4}}}
    assert call("test.types.Echo", "Shape", shape) == shape
    tree = {"value": [{"name": "w", "branches": [{"name": "b", "leaves": [{"name": "l", "value": 1}]}]}]}
    assert call("test.types.Echo", "Tree", tree) == tree

    try:
        call("test.types.Errors", "Variant", {"which": {"notFound": {}}})
        raise AssertionError("it should fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        assert error.details() == "not found", error

print("ok")
