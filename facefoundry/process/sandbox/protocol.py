"""The JSON between the parent and the child processes of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.errors import ErrorRecord
from facefoundry.process.sandbox.isolation import Isolation

__all__ = ["Call", "Ended", "Reply", "Request", "Start", "Started"]


@dataclass(frozen=True)
class Start:
    """The argument of the child's command.

    Attributes:
        requests: File descriptor of the socket with requests. A `Started` and an `Ended` answer each.
        file_bytes: Largest file that a run may write; None for no limit.
        threads: Threads of each numerical library in a run; None for the library's default.
    """

    requests: int
    file_bytes: int | None
    threads: int | None


@dataclass(frozen=True)
class Call:
    """A call of a function.

    Attributes:
        function: A module-level function, as `package.module:function`.
        arguments: Its keyword arguments.
    """

    function: str
    arguments: JsonObject


@dataclass(frozen=True)
class Request:
    """The parent's request for a run. Before it comes a byte with two descriptors of pipes: for replies and output.

    Attributes:
        call: The generator function to run.
        prepare: What the child calls before it forks, to load what runs share; None for nothing.
        isolation: What the run may do besides computing; None to restrict it by its limits alone.
    """

    call: Call
    prepare: Call | None
    isolation: Isolation | None


@dataclass(frozen=True)
class Started:
    """The answer to a request: `process` is the id of the process that runs the function."""

    process: int


@dataclass(frozen=True)
class Ended:
    """Sent when the process that ran the function has ended.

    Attributes:
        code: Its exit code, or the negative number of the signal that ended it.
        is_alone: Whether no process that it started lives on.
    """

    code: int
    is_alone: bool


@dataclass(frozen=True)
class Reply:
    """A line from the function. It contains a message, or it ends the run.

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
