"""Floods: what one caller without credentials can open at a service and leave open.

Each is a coroutine that opens its calls or connections, prints `open`, and holds them. Run as a program it is a process
of its own, so that the service alone is measured: `python -m tests.attack.floods KIND ADDRESS COUNT [URI]`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection_pb2

from facefoundry.v1 import trainer_pb2

__all__ = ["FLOODS", "command"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and an empty SETTINGS frame
_PER_CONNECTION = 100
_HOLD_SECONDS = 600.0
_METHOD = "/facefoundry.v1.TrainerService/"


def _channels(address: str, count: int) -> list[grpc.aio.Channel]:
    """Open connections of their own for every hundred calls."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    return [grpc.aio.insecure_channel(address, options) for _ in range(-(-count // _PER_CONNECTION))]


async def half_open(address: str, count: int, uri: str) -> object:
    """Begin calls and send no request."""
    channels = _channels(address, count)
    calls: list[Any] = [
        channels[number // _PER_CONNECTION].stream_unary(_METHOD + ("GetTraining", "StartTraining")[number % 2])()
        for number in range(count)
    ]
    await asyncio.wait([asyncio.ensure_future(call.initial_metadata()) for call in calls], timeout=2.0)
    return channels, calls


async def reflections(address: str, count: int, uri: str) -> object:
    """Open streams of reflection, ask each one question, and leave them open."""
    channels = _channels(address, count)
    calls: list[grpc.aio.StreamStreamCall] = []
    for number in range(count):
        ask = channels[number // _PER_CONNECTION].stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        call = ask()
        calls.append(call)
    asked = [asyncio.ensure_future(_ask(call)) for call in calls]
    await asyncio.wait(asked, timeout=20.0)
    return channels, calls, asked


async def _ask(call: grpc.aio.StreamStreamCall) -> None:
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    await call.read()


async def watches(address: str, count: int, uri: str) -> object:
    """Watch a training that does not change, and by every second call all trainings of a run."""
    channels = _channels(address, count)
    requests = (
        ("WatchTraining", trainer_pb2.WatchTrainingRequest(training_uri=uri).SerializeToString()),
        ("WatchTrainings", trainer_pb2.WatchTrainingsRequest(dataset="attacked").SerializeToString()),
    )
    calls: list[Any] = []
    for number in range(count):
        method, request = requests[number % 2]
        channel: Any = channels[number // _PER_CONNECTION]
        calls.append(channel.unary_stream(_METHOD + method)(request))
    first = [asyncio.ensure_future(call.read()) for call in calls]
    await asyncio.wait(first, timeout=60.0)
    return channels, calls, first


async def connections(address: str, count: int, uri: str) -> object:
    """Open connections, and say on each that it speaks HTTP/2."""
    host, _, port = address.rpartition(":")
    opened = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(_PREFACE)
        opened.append((reader, writer))
    return opened


FLOODS: dict[str, Callable[[str, int, str], Awaitable[object]]] = {
    "half_open": half_open,
    "reflections": reflections,
    "watches": watches,
    "connections": connections,
}


def command(kind: str, address: str, count: int, uri: str = "") -> list[str]:
    """Return the command that floods a service."""
    return [sys.executable, "-m", "tests.attack.floods", kind, address, str(count), uri]


async def _hold(kind: str, address: str, count: int, uri: str) -> None:
    held = await FLOODS[kind](address, count, uri)
    print("open", flush=True)
    await asyncio.sleep(_HOLD_SECONDS)
    del held


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
