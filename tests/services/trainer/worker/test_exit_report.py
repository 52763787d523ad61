"""A worker's exit report fits where Kubernetes stores it."""

from __future__ import annotations

from pathlib import Path

from facefoundry import codec
from services.trainer.worker.exit_reporter import ExitReporter
from services.trainer.worker_protocol import ExitReport


def test_a_message_that_is_too_long_is_cut_and_the_report_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    ExitReporter(path).write(ExitReport("NO_FACES", "ü" * 9000, 7))
    assert path.stat().st_size <= 4096
    report = codec.from_json(ExitReport, path.read_bytes())
    assert (report.reason, report.iteration) == ("NO_FACES", 7)
    assert report.message.startswith("üüü")


def test_a_file_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    ExitReporter(tmp_path / "missing" / "termination-log").write(ExitReport("DONE", "The model is committed."))
