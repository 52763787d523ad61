"""The bench's own arithmetic: ratios, bars, interleaved calls, records."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace

import pytest

from benchmarks.row import CHECK_SHARE, Row, interleaved, table
from benchmarks.rows import ROWS

ROW = Row("decode", "s/frame", 0.3, 0.1, 2.5, "pixels identical", True, "PNG files", 0.5)


def test_a_row_holds_at_its_bar_and_not_below() -> None:
    assert ROW.ratio == pytest.approx(3)
    assert ROW.holds() and replace(ROW, bar=ROW.ratio or 0).holds()
    slower = replace(ROW, ours=0.13)
    assert not slower.holds() and slower.holds(CHECK_SHARE)


def test_a_check_holds_what_was_reached_where_the_bar_is_out_of_reach() -> None:
    far = replace(ROW, bar=6, reached=3.6)
    assert not far.holds() and far.holds(CHECK_SHARE)
    assert not replace(far, ours=0.13).holds(CHECK_SHARE)


def test_speed_does_not_make_up_for_fidelity() -> None:
    assert not replace(ROW, faithful=False).holds(CHECK_SHARE)


def test_an_unmeasured_row_has_no_ratio_and_holds() -> None:
    row = replace(ROW, ours=None)
    assert row.ratio is None and row.holds()
    assert "not here" in table([row])


def test_a_row_survives_json() -> None:
    assert Row.from_record(json.loads(json.dumps(ROW.to_record()))) == ROW


def test_the_table_shows_amounts_verdict_and_first_call() -> None:
    lines = table([ROW, replace(ROW, ours=0.2, unit="B/frame", reference=2e6)]).splitlines()
    assert lines[2] == (
        "| decode | 300 ms/frame | 100 ms/frame | 3.00 | 2.50 | ok | pixels identical | PNG files; first call 500 ms |"
    )
    assert "BELOW" in table([replace(ROW, ours=0.3)]) and len(lines) == 4


def test_calls_are_interleaved_and_the_first_of_each_is_not_counted() -> None:
    calls: list[str] = []
    now = 0.0

    def call(name: str, costs: list[float]) -> None:
        nonlocal now
        calls.append(name)
        now += costs[calls.count(name) - 1]

    timing = interleaved(lambda: call("a", [1, 2, 5, 3]), lambda: call("b", [2, 4, 3, 9]), rounds=3, clock=lambda: now)
    assert calls == ["a", "b"] * 4
    assert (timing.first_reference, timing.first_ours, timing.reference, timing.ours) == (1, 2, 2, 3)


def test_every_listed_row_is_a_module() -> None:
    for name in ROWS:
        assert importlib.util.find_spec(f"benchmarks.rows.{name}"), name
