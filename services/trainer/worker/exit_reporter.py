"""Writes a worker's exit report, the line of JSON that says why it ended, to the file that the backend reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from facefoundry import codec
from facefoundry.telemetry import logger
from services.trainer.worker_protocol import ExitReport

__all__ = ["ExitReporter"]

# Kubernetes truncates a termination message to this length, and a truncated line is no longer JSON.
_MAX_BYTES = 4096
_log = logger(__name__)


class ExitReporter:
    """Writes the exit report to a file, if the file can be written.

    Args:
        path: The file; on Kubernetes it is the container's termination log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, report: ExitReport) -> None:
        """Write the report as one line, with its message shortened until Kubernetes does not truncate the line."""
        while len(line := codec.to_json(report) + b"\n") > _MAX_BYTES:
            report = replace(report, message=report.message[: len(report.message) * 3 // 4])
        try:
            self._path.write_bytes(line)
        except OSError as error:
            _log.warning("exit_report_not_written", detail=str(error))
