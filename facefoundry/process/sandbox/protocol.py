"""The JSON between the parent and the child process of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.errors import ErrorRecord
from facefoundry.process.sandbox.isolation import Isolation

__all__ = ["Reply", "Request", "Start"]


@dataclass(frozen=True)
class Start:
    """The argument of the child's command.

    Attributes:
        requests: File descriptor of the pipe with requests.
        replies: File descriptor of the pipe for replies.
        file_bytes: Largest file that the child may write; None for no limit.
        isolation: What the child may do besides computing; None to restrict it by its limits alone.
    """

    requests: int
    replies: int
    file_bytes: int | None
    isolation: Isolation | None


@dataclass(frozen=True)
class Request:
    """The parent's request to run a function.

    Attributes:
        function: A generator function, as `package.module:function`.
        arguments: Keyword arguments of the function.
    """

    function: str
    arguments: JsonObject


@dataclass(frozen=True)
class Reply:
    """A line from the child. It contains a message, or it ends the run.

    Attributes:
        message: What the function yielded.
        error: The error that the function raised, which ends the run; None otherwise.
        end: Whether the function returned, which ends the run.
    """

    message: JsonValue = None
    error: ErrorRecord | None = None
    end: bool = False

    @property
    def is_last(self) -> bool:
        """Whether the run has ended with this reply."""
        return self.end or self.error is not None
