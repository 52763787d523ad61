"""The log of a run in the bucket, for when its pod and the pod's own log are gone.

It has the newest events by which something ended, or that a person should look at. Progress is left out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone

from facefoundry.dataset.progress import Event

__all__ = ["LOG_FILE", "LogRecord", "LoggedEvent", "RunLog"]

LOG_FILE = "log.json"

_STATES = frozenset({"done", "failed", "doubt"})
_EVENTS, _CHARACTERS = 1000, 300  # less than the largest document, whatever the characters


@dataclass(frozen=True)
class LoggedEvent:
    """An event of a run.

    Attributes:
        time: When it was, UTC, ISO 8601.
        item: Id of the pair, sequence or fake.
        stage: Name of the stage; `pair` for a whole pair, `record` for saving the run record.
        state: `done`, `failed` or `doubt`.
        message: A sentence, of at most 300 characters; may be empty.
    """

    time: str
    item: str
    stage: str
    state: str
    message: str = ""


@dataclass(frozen=True)
class LogRecord:
    """The newest events of a run, at most 1,000, the newest last. Each start of the run adds to those before."""

    events: list[LoggedEvent] = field(default_factory=list)


class RunLog:
    """Keeps the newest events. Threads may share it.

    Args:
        earlier: The events of earlier starts of the run.
    """

    def __init__(self, earlier: Iterable[LoggedEvent] = ()) -> None:
        self._lock = threading.Lock()
        self._events = deque(earlier, maxlen=_EVENTS)

    def add(self, event: Event) -> None:
        """Add an event, unless it is mere progress."""
        if event.state not in _STATES:
            return
        time = datetime.now(timezone.utc).isoformat(timespec="seconds")
        made = LoggedEvent(time, event.item, event.stage, event.state, event.message[:_CHARACTERS])
        with self._lock:
            self._events.append(made)

    def record(self) -> LogRecord:
        """Return the events as a document."""
        with self._lock:
            return LogRecord(list(self._events))
