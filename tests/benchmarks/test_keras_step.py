"""The command that compares training steps with Keras 2.2.0; the comparison itself needs Python 3.6."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks.keras_step import Distance, holds

APART = Distance(loss=1e-7, median=0.15, most=2.4, largest=8.4)
OURS = Distance(loss=1e-7, median=0.3, most=6.0, largest=9.0)
OLD = Distance(loss=1e-7, median=0.1, most=2.0, largest=5.0)


def test_a_worker_about_as_far_from_float64_as_keras_holds_and_is_printed_as_a_row():
    assert holds(APART, OURS, OLD)
    assert APART.row(50, "the worker, Keras 2.2.0") == "| 50 | the worker, Keras 2.2.0 | 1e-07 | 0.15 | 2.4 | 8.4 |"


@pytest.mark.parametrize(
    ("apart", "ours"),
    [({"loss": 1.1e-6}, {}), ({}, {"median": 0.31}), ({}, {"most": 6.1})],
)
def test_other_losses_or_a_larger_distance_from_float64_do_not_hold(apart: dict[str, float], ours: dict[str, float]):
    assert not holds(replace(APART, **apart), replace(OURS, **ours), OLD)


def test_without_python_36_the_command_says_what_it_needs():
    command = [sys.executable, "-m", "benchmarks.keras_step", "--python", "no-such-python"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Expected Python 3.6" in done.stderr and "no-such-python" in done.stderr and "--python" in done.stderr
