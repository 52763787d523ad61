"""Writes a worker's exit report where its supervisor reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from facefoundry import codec
from facefoundry.telemetry import logger
from services.trainer.worker_protocol import ExitReport

__all__ = ["ExitReporter"]

_MAX_MESSAGE = 1000
_log = logger(__name__)


class ExitReporter:
    """Writes the exit report to a file, if the file can be written.

    Args:
        path: The file; in Kubernetes the termination log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, report: ExitReport) -> None:
        """Write the report, with its message cut to 1,000 characters.

        Kubernetes cuts a termination message at 4,096 bytes, and a report that was cut is not JSON any more.
        """
        try:
            short = replace(report, message=report.message[:_MAX_MESSAGE])
            self._path.write_bytes(codec.to_json(short) + b"\n")
        except OSError as error:
            _log.warning("exit_report_not_written", detail=str(error))
