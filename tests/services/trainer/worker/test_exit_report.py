"""A worker's last words fit where Kubernetes keeps them."""

from __future__ import annotations

from pathlib import Path

from services.trainer.worker.__main__ import _LastWords
from services.trainer.worker_protocol import ExitReport, from_json


def test_words_too_long_for_a_termination_message_are_cut_and_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "exit_report-log"
    _LastWords(path).say(ExitReport("NO_FACES", "ü" * 9000, 7))
    assert path.stat().st_size <= 4096
    words = from_json(ExitReport, path.read_bytes())
    assert (words.reason, words.iteration) == ("NO_FACES", 7)
    assert words.message.startswith("üüü")
