"""The command that compares conversions with OpenCV 3.4.1; the comparison itself needs Python 3.6."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks.fidelity import Agreement

GOOD = Agreement("clip", "network's", frames=60, boxes=60, outside=0, within=0.99995, largest=3, crops=1)


def test_an_agreement_within_all_bounds_holds_and_is_printed_as_a_row():
    assert GOOD.holds
    assert str(GOOD) == "| clip | network's | 60 | 60 of 60 | 0 | 99.995 % | 3 | 1 |"


@pytest.mark.parametrize(
    "change",
    [{"frames": 0, "boxes": 0}, {"boxes": 59}, {"outside": 1}, {"within": 0.9989}, {"largest": 4}, {"crops": 2}],
)
def test_an_agreement_beyond_any_bound_does_not_hold(change):
    assert not replace(GOOD, **change).holds


def test_a_share_is_cut_so_that_100_percent_means_all():
    assert "| 99.999 % |" in str(replace(GOOD, within=0.9999999))


def test_without_python_36_the_command_says_what_it_needs():
    command = [sys.executable, "-m", "benchmarks.fidelity", "clip.mp4", "--python", "no-such-python"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Expected Python 3.6" in done.stderr and "no-such-python" in done.stderr and "--python" in done.stderr
