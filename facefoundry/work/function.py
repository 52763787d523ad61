"""Functions that run in a sandbox: the service names one, the sandbox's child process imports and calls it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, get_type_hints

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.errors import DataLoss, Unusable
from facefoundry.process.sandbox import Sandbox
from facefoundry.work import messages
from facefoundry.work.messages import Message
from facefoundry.work.workspace import Workspace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["ENTRY_MODULE", "Args", "Info", "SandboxFunction", "misbehaved", "serve"]

ENTRY_MODULE = "facefoundry.work.function"
"""The only module that a service's sandboxes may run; its `serve` calls the sandbox function."""

Args = TypeVar("Args", bound="DataclassInstance")
Info = TypeVar("Info", bound="DataclassInstance")


@dataclass(frozen=True)
class SandboxFunction(Generic[Args, Info]):
    """A generator function `(arguments: Args, workspace: Workspace) -> Iterator[Message[Info]]`.

    The parent names it and does not import it, because its module loads heavy libraries.

    Attributes:
        path: Where the function is, as `package.module:function`.
        arguments: Dataclass of its arguments.
        info: Dataclass of the facts in its last message, a `Result`.
    """

    path: str
    arguments: type[Args]
    info: type[Info]

    def run(self, sandbox: Sandbox, arguments: Args, workspace: Workspace) -> Generator[Message[Info], None, None]:
        """Call the function in a sandbox and yield its messages; closing the iterator early kills the child.

        Raises:
            FaceFoundryError: the function raised it.
            Unusable: the child died, passed a limit, or sent a message with a wrong field (MEDIA_CRASHED).
        """
        received = sandbox.run(
            f"{ENTRY_MODULE}:serve",
            function=self.path,
            arguments=codec.to_values(arguments),
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
        """Import the function, with all libraries that its module needs."""
        return _load(self.path)


def misbehaved(how: str) -> Unusable:
    """Return the error about a child that breaks the protocol, which looks like one that crashed."""
    message = f"The process that worked on the media {how}."
    return Unusable(message, reason="MEDIA_CRASHED", metadata={"how": how})


def serve(function: str, arguments: JsonObject, workspace: JsonObject) -> Iterator[JsonObject]:
    """Call a sandbox function and yield its messages as JSON values: the child's side of `SandboxFunction.run`."""
    called = _load(function)
    typed = codec.from_values(get_type_hints(called)["arguments"], arguments)
    yield from map(messages.encode, called(typed, codec.from_values(Workspace, workspace)))


def _load(function: str) -> Callable[..., Iterator[Message[Info]]]:
    module, _, name = function.partition(":")
    loaded: Callable[..., Iterator[Message[Info]]] = getattr(importlib.import_module(module), name)
    return loaded
