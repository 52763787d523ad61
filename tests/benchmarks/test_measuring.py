"""The sums of the benchmark of what measuring costs; its runs take minutes and are made by hand."""

from __future__ import annotations

import pytest

from benchmarks.measuring import HEAD, cost_of, row
from facefoundry.dataset.record import StageTime
from facefoundry.storage.usage import Usage


def test_a_stage_of_two_runs_counts_once_and_comparisons_are_what_measures_add() -> None:
    trained = [StageTime("extract a", 1.0, Usage(10.0)), StageTime("train", 9.0, Usage(80.0)), StageTime("upload a", 1)]
    made = [
        StageTime("extract a", 0.1, Usage(10.0)),
        StageTime("convert a_b", 1.0, Usage(20.0)),
        StageTime("compare swap a_b", 1.0, Usage(4.0)),
        StageTime("compare control a_b", 1.0, Usage(6.0)),
    ]
    cost = cost_of([*trained, *made], pixels=1.0, embeddings=5.0)
    assert (cost.whole, cost.comparisons, cost.without) == (120.0, 10.0, 109.0)
    assert cost.added == pytest.approx(11 / 109)
    assert cost.added_with_embeddings == pytest.approx(16 / 104)
    assert row("a_b", cost) == "| a_b | 120.0 | 10.0 | 1.0 | 109.0 | 10.1% | 5.0 | 15.4% |"
    assert {line.count("|") for line in (*HEAD.splitlines(), row("a_b", cost))} == {9}
