"""The memory of signing does not grow with the video."""

from __future__ import annotations

from benchmarks.signing_memory import main


def test_a_large_video_is_signed_verified_and_stripped_in_little_memory(capsys):
    assert main(["--size", "90000000"]) == 0, capsys.readouterr().out
