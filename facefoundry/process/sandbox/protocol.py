"""The lines of JSON between the parent and the child process of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.errors import ErrorRecord

__all__ = ["Reply", "Request"]


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
