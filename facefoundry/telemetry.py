"""Defines all Prometheus metrics and the JSON log format of the services.

Tests compare the dashboard and the alerts with the metrics defined here. Units are seconds and bytes. No metric has a
label for the pair, sequence or digest, because each value of a label takes memory in Prometheus.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "CALLS",
    "CALL_SECONDS",
    "FRAMES",
    "JOBS_SWEPT",
    "SLOTS",
    "SLOTS_IN_USE",
    "TRAININGS_STALLED",
    "TRAININGS_STARTED",
    "TRAINING_ITERATIONS",
    "TRAINING_SECONDS",
    "ReasonLabels",
    "configure_logging",
    "logger",
]

CALLS = Counter("facefoundry_calls", "Finished RPCs by status.", ["service", "method", "code", "reason"])
CALL_SECONDS = Histogram(
    "facefoundry_call_duration_seconds",
    "Duration of RPCs; of streams until their end.",
    ["service", "method"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800, 7200),
)
SLOTS = Gauge("facefoundry_slots", "How many heavy calls a replica runs at once.", ["service"])
SLOTS_IN_USE = Gauge("facefoundry_slots_in_use", "Heavy calls that a replica runs now.", ["service"])
FRAMES = Counter("facefoundry_frames", "Processed frames by result.", ["service", "result"])
TRAININGS_STARTED = Counter("facefoundry_trainings_started", "Started training attempts.", ["backend"])
JOBS_SWEPT = Counter(
    "facefoundry_jobs_swept", "Jobs that were ended because their training had ended before.", ["backend"]
)
TRAININGS_STALLED = Gauge(
    "facefoundry_trainings_stalled", "Trainings whose worker was seen to be silent in the last 5 minutes.", ["backend"]
)
TRAINING_ITERATIONS = Counter(
    "facefoundry_training_iterations", "Iterations of models, counted when a training succeeds.", ["backend"]
)
TRAINING_SECONDS = Counter(
    "facefoundry_training_seconds",
    "Seconds that workers trained models, counted when a training succeeds; times GPUs per worker, GPU-seconds.",
    ["backend"],
)

_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class ReasonLabels:
    """The values of the label `reason`. A sandbox or another package may make reasons, and each value takes memory.

    Args:
        most: Largest number of values.
    """

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._seen = {""}

    def of(self, reason: str) -> str:
        """Return the label of a reason: `OTHER` for what is no reason, and if there are too many others."""
        if reason not in self._seen:
            if not _REASON.fullmatch(reason) or len(self._seen) >= self._most:
                return "OTHER"
            self._seen.add(reason)
        return reason


class _JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON: time, level, service, logger, event and the fields of the event."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
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
    """Make this process write its log to standard error, one line of JSON for each event.

    Args:
        service: Name of the service, a field of every line.
        level: The lowest level that is written: DEBUG, INFO, WARNING or ERROR.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class EventLogger:
    """Logs events. An event is a constant name with fields, such as `committed` with `prefix` and `frames`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def event(self, event: str, **fields: object) -> None:
        """Log an event at level INFO."""
        self._logger.info(event, extra=fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log an event at level WARNING."""
        self._logger.warning(event, extra=fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log an event at level ERROR, with the traceback of the current exception."""
        self._logger.error(event, extra=fields, exc_info=True)


def logger(name: str) -> EventLogger:
    """Return the event logger of a module."""
    return EventLogger(name)
