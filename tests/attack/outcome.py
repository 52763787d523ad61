"""What attacks did: how every call ended, and what must not have happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from facefoundry.errors import InvalidInput
from facefoundry.rpc.status import from_rpc_error

__all__ = ["Ending", "Outcome", "ending"]

_NEVER = {"INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"}
_OF_THE_CALL = {"MALFORMED", "NO_REQUEST", "MESSAGE_TOO_LARGE"}


@dataclass(frozen=True)
class Ending:
    """How a call ended.

    Attributes:
        code: Name of the status.
        reason: Reason of the error; empty for OK.
        names: Whether a refusal names a field or an object.
        detail: The message.
    """

    code: str
    reason: str = ""
    names: bool = True
    detail: str = ""


@dataclass
class Outcome:
    """The results of one kind of attack.

    Attributes:
        name: Of the attack.
        calls: Number of calls by `<code> <reason>`.
        faults: A sentence for each fault.
    """

    name: str
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, ending: Ending, what: str) -> None:
        """Count the end of a call.

        Args:
            ending: How it ended.
            what: The call, for faults.
        """
        self.calls[f"{ending.code} {ending.reason}".strip()] += 1
        if ending.code in _NEVER:
            self.faults.append(f"{what}: {ending.code} {ending.reason} {ending.detail[:300]}")
        elif not ending.names:
            self.faults.append(f"{what}: names neither field nor object: {ending.detail[:300]}")

    def expect(self, count: int) -> None:
        """Note a fault if there were fewer calls, because the time was over."""
        if self.total < count:
            self.faults.append(f"only {self.total} of {count} calls in the time; give more by --seconds")

    @property
    def total(self) -> int:
        """The number of calls."""
        return sum(self.calls.values())


def ending(call: Callable[[], object]) -> Ending:
    """Make a call, and return how it ended."""
    try:
        call()
    except grpc.RpcError as error:
        found = from_rpc_error(error, "service")
        names = not isinstance(found, InvalidInput) or found.reason in _OF_THE_CALL
        names = names or bool(found.violations or found.resource)
        return Ending(error.code().name, found.reason, names, str(error.details()))
    return Ending("OK")
