"""The one metric table and the JSON log format of every service.

A metric exists only if it stands in this file; dashboards and alerts are tested against it. Base units are seconds
and bytes; no metric is labelled by pair, sequence or digest.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "CALLS",
    "CALL_SECONDS",
    "FRAMES",
    "SLOTS",
    "SLOTS_IN_USE",
    "TRAININGS_STARTED",
    "configure_logging",
    "logger",
]

CALLS = Counter("facefoundry_calls", "RPCs that ended, by status.", ["service", "method", "code", "reason"])
CALL_SECONDS = Histogram(
    "facefoundry_call_duration_seconds",
    "Time of RPCs, streams to their end.",
    ["service", "method"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800, 7200),
)
SLOTS = Gauge("facefoundry_slots", "Heavy calls a replica works on at once.", ["service"])
SLOTS_IN_USE = Gauge("facefoundry_slots_in_use", "Heavy calls a replica works on now.", ["service"])
FRAMES = Counter("facefoundry_frames", "Frames worked on, by what became of them.", ["service", "result"])
TRAININGS_STARTED = Counter("facefoundry_trainings_started", "Attempts at training that were started.", ["backend"])

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, service, event and the event's fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send every log record to standard error as one JSON line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class EventLogger:
    """Logs constant event names with fields, not formatted prose."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def event(self, event: str, **fields: object) -> None:
        """Log an event."""
        self._logger.info(event, extra=fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something that someone should look at."""
        self._logger.warning(event, extra=fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log an error with the traceback of the exception being handled."""
        self._logger.error(event, extra=fields, exc_info=True)


def logger(name: str) -> EventLogger:
    """The event logger of a module."""
    return EventLogger(name)
