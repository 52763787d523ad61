"""A worker's last words fit where Kubernetes keeps them."""

from __future__ import annotations

from pathlib import Path

from services.trainer.handoff import Termination, from_json
from services.trainer.worker.__main__ import _LastWords


def test_words_too_long_for_a_termination_message_are_cut_and_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    _LastWords(path).say(Termination("NO_FACES", "ü" * 9000, 7))
    assert path.stat().st_size <= 4096
    words = from_json(Termination, path.read_bytes())
    assert (words.reason, words.iteration) == ("NO_FACES", 7)
    assert words.message.startswith("üüü")
