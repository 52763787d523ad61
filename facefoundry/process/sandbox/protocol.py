"""Lines of JSON between a sandbox and its child."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.errors import ErrorRecord

__all__ = ["Reply", "Request"]


@dataclass(frozen=True)
class Request:
    """A run that the parent asks for.

    Attributes:
        function: `package.module:function` of a generator function.
        arguments: Its keyword arguments.
    """

    function: str
    arguments: JsonObject


@dataclass(frozen=True)
class Reply:
    """A line of the child: a message, unless it ends the run.

    Attributes:
        message: What the function yielded.
        error: The error that it raised; ends the run.
        end: True when the function returned; ends the run.
    """

    message: JsonValue = None
    error: ErrorRecord | None = None
    end: bool = False

    @property
    def is_last(self) -> bool:
        """Whether the run has ended."""
        return self.end or self.error is not None
