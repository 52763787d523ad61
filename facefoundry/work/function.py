"""Functions that run in a sandbox. The service names a function; the sandbox's process imports and calls it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, get_type_hints

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.errors import DataLoss, Unusable
from facefoundry.process.sandbox import Call, Sandbox
from facefoundry.work import messages
from facefoundry.work.messages import Message
from facefoundry.work.workspace import Workspace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["ENTRY_MODULE", "Args", "Info", "SandboxFunction", "misbehaved", "prepare", "serve"]

ENTRY_MODULE = "facefoundry.work.function"
"""The only module that a service's sandboxes may run; its `serve` calls the sandbox function, after `prepare`."""

Args = TypeVar("Args", bound="DataclassInstance")
Info = TypeVar("Info", bound="DataclassInstance")


@dataclass(frozen=True)
class SandboxFunction(Generic[Args, Info]):
    """A generator function `(arguments: Args, workspace: Workspace) -> Iterator[Message[Info]]`.

    The service only names the function. It does not import it, because its module loads large libraries.

    Attributes:
        path: Where the function is, as `package.module:function`.
        arguments: Dataclass of its arguments.
        info: Dataclass of the facts in its last message, a `Result`.
        prepare: A function `(arguments: Args) -> None` that loads what calls share, as `package.module:function`; empty
            if that is the module of the function alone. It is called in a process that no call's files ever reach, and
            that forks the calls' processes, so it must read none of them and start no threads.
    """

    path: str
    arguments: type[Args]
    info: type[Info]
    prepare: str = ""

    def run(self, sandbox: Sandbox, arguments: Args, workspace: Workspace) -> Generator[Message[Info], None, None]:
        """Call the function in a sandbox and yield its messages.

        Closing the iterator before its end kills the sandbox's process.

        Raises:
            FaceFoundryError: the function raised it.
            Unusable: the process died or sent a wrong message (MEDIA_CRASHED), or exceeded a limit (MEDIA_TIMEOUT,
                MEDIA_MEMORY).
        """
        passed = codec.to_values(arguments)
        received = sandbox.run(
            f"{ENTRY_MODULE}:serve",
            Call(f"{ENTRY_MODULE}:prepare", {"function": self.path, "prepare": self.prepare, "arguments": passed}),
            function=self.path,
            arguments=passed,
            workspace=codec.to_values(workspace),
        )
        with closing(received):
            for values in received:
                try:
                    message = messages.decode(values, self.info)
                except DataLoss as error:
                    raise misbehaved(f"sent a wrong message: {error.message}") from error
                yield message

    def load(self) -> Callable[[Args, Workspace], Iterator[Message[Info]]]:
        """Import the function, with all libraries of its module, and return it."""
        return _load(self.path)


def misbehaved(how: str) -> Unusable:
    """Return the error about a sandbox that sent a wrong message. It has the reason of a crash, MEDIA_CRASHED.

    Args:
        how: What the sandbox did, a predicate such as "ended without a result".
    """
    message = f"The process that worked on the media {how}. Repeat the call; if it fails again, use another input."
    return Unusable(message, reason="MEDIA_CRASHED", metadata={"how": how})


def prepare(function: str, prepare: str, arguments: JsonObject) -> None:
    """Load what calls of a function share: its module, and what its `prepare` loads for such arguments."""
    called = _load(function)
    if prepare:
        load: Callable[..., object] = _load(prepare)
        load(codec.from_values(get_type_hints(called)["arguments"], arguments))


def serve(function: str, arguments: JsonObject, workspace: JsonObject) -> Iterator[JsonObject]:
    """Call a function and yield its messages as JSON; `SandboxFunction.run` makes the sandbox call this."""
    called = _load(function)
    typed = codec.from_values(get_type_hints(called)["arguments"], arguments)
    yield from map(messages.encode, called(typed, codec.from_values(Workspace, workspace)))


def _load(function: str) -> Callable[..., Iterator[Message[Info]]]:
    module, _, name = function.partition(":")
    loaded: Callable[..., Iterator[Message[Info]]] = getattr(importlib.import_module(module), name)
    return loaded
