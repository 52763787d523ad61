"""Server reflection: tells generic clients such as grpcurl which services and messages a server has.

It is served as v1, which current clients ask for, and as v1alpha. Their messages have the same fields.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeAlias

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

if TYPE_CHECKING:
    _Context: TypeAlias = grpc.aio.ServicerContext[
        reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    ]

__all__ = ["reflection_handlers"]

_V1, _V1ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"
_IDLE_SECONDS = 20.0
_STREAMS_PER_HOST = 32


def reflection_handlers(
    names: Sequence[str], calling: Callable[[str], AbstractContextManager[None]]
) -> list[grpc.GenericRpcHandler]:
    """Return the handlers of reflection for an asyncio server. A stream without a request for 20 s is ended.

    A host has at most 32 streams at once.

    Args:
        names: Full names of the server's services, without those of reflection.
        calling: Keeps the connection of a caller open during a block, by the caller's address.
    """
    versions = [_describe_v1(), reflection.SERVICE_NAME]
    servicer, open_streams = reflection.ReflectionServicer([*names, *versions]), Counter[str]()

    async def answer(requests: object, context: _Context) -> None:
        host = context.peer().rpartition(":")[0]
        if open_streams[host] >= _STREAMS_PER_HOST:
            message = f"This host has {_STREAMS_PER_HOST} streams of reflection open, its maximum. Close one."
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        open_streams[host] += 1
        try:
            with calling(context.peer()):
                await serve(context)
        finally:
            open_streams[host] -= 1
            if not open_streams[host]:
                del open_streams[host]

    async def serve(context: _Context) -> None:
        while True:
            try:
                request = await asyncio.wait_for(context.read(), _IDLE_SECONDS)
            except TimeoutError:
                message = f"This stream of reflection had no request for {_IDLE_SECONDS:g} s. Open another."
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, message)
            if not isinstance(request, reflection_pb2.ServerReflectionRequest):
                return
            for response in servicer.ServerReflectionInfo(iter([request]), context):
                await context.write(_with_json_names(response))

    handler = grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return [grpc.method_handlers_generic_handler(version, {"ServerReflectionInfo": handler}) for version in versions]


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
