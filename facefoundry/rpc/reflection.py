"""Server reflection: tells generic clients such as grpcurl which services and messages a server has.

It is served as v1, which current clients ask for, and as v1alpha. Their messages have the same fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

__all__ = ["add_reflection"]

_V1, _V1ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"


def add_reflection(server: grpc.Server, names: Sequence[str]) -> None:
    """Add reflection to a server.

    Args:
        server: The server.
        names: Full names of its services, without those of reflection.
    """
    versions = [_describe_v1(), reflection.SERVICE_NAME]
    servicer = reflection.ReflectionServicer([*names, *versions])

    def answer(
        requests: Iterator[reflection_pb2.ServerReflectionRequest], context: grpc.ServicerContext
    ) -> Iterator[reflection_pb2.ServerReflectionResponse]:
        return map(_with_json_names, servicer.ServerReflectionInfo(requests, context))

    handler = grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(version, {"ServerReflectionInfo": handler}) for version in versions]
    )


def _describe_v1() -> str:
    """Make the descriptor of reflection v1, so that clients can look it up too, and return its full name."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file = text_format.Parse(text_format.MessageToString(file).replace(_V1ALPHA, _V1), FileDescriptorProto())
    file.name = "grpc/reflection/v1/reflection.proto"
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name).services_by_name["ServerReflection"].full_name


def _with_json_names(response: reflection_pb2.ServerReflectionResponse) -> reflection_pb2.ServerReflectionResponse:
    """Add the JSON names of all fields, which Python's descriptors lack."""
    if response.HasField("file_descriptor_response"):
        serialized = response.file_descriptor_response.file_descriptor_proto
        files = [FileDescriptorProto.FromString(data) for data in serialized]
        for file in files:
            for message in file.message_type:
                _add_json_names(message)
        serialized[:] = [file.SerializeToString() for file in files]
    return response


def _add_json_names(message: DescriptorProto) -> None:
    for field in message.field:
        first, *others = field.name.split("_")
        field.json_name = field.json_name or first + "".join(word[:1].upper() + word[1:] for word in others)
    for nested in message.nested_type:
        _add_json_names(nested)
