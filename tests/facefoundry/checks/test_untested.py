"""What the leak test says of fakes whose figures are given."""

from __future__ import annotations

import numpy as np

from facefoundry.checks.judge import rows_of
from facefoundry.checks.measured import Measured, Side

FIGURES = ("noise", "sharpness")


def _measured(pairs, offset=0.0):
    """Fakes of pairs of clips, with a figure of two families; the fakes' figures are larger by `offset`."""
    rng, found = np.random.default_rng(0), {}
    for pair in range(pairs):
        for target, source in ((2 * pair, 2 * pair + 1), (2 * pair + 1, 2 * pair)):
            content = rng.normal(size=2)
            sides = [
                Side(
                    {},
                    {"outside": dict(zip(FIGURES, (content + 0.1 * rng.normal(size=2) + more).tolist(), strict=True))},
                )
                for more in (offset, 0.0)
            ]
            found[f"{target:03d}_{source:03d}"] = Measured(sides[0], sides[1], frames=9, cpu_seconds=0.0)
    groups = {f"{target:03d}": target // 2 for target in range(2 * pairs)}
    return found, groups


def _outside(found, groups):
    return next(row for row in rows_of({"c23": found}, groups) if row.family == "outside")


def test_one_fake_without_figures_is_left_out_and_the_others_are_judged():
    found, groups = _measured(24, offset=2.0)
    odd = found["005_004"]
    found["005_004"] = Measured(Side({}, {}), Side({}, {}), frames=1, cpu_seconds=odd.cpu_seconds)
    row = _outside(found, groups)
    assert row.state == "leak"
    assert row.left_out == 1
    assert "1 of 48 fakes have no figures and were left out." in row.sentence


def test_one_fake_without_one_figure_is_left_out_too():
    found, groups = _measured(24)
    odd = found["005_004"]
    del odd.fake.numbers["outside"]["noise"]
    row = _outside(found, groups)
    assert (row.state, row.left_out) == ("ok", 1)
    assert {feature.name for feature in row.features} == set(FIGURES)


def test_a_family_without_figures_is_untested_and_not_ok():
    side = Side({"container": {"brand": "isom"}}, {})
    found = {f"{target:03d}_{target ^ 1:03d}": Measured(side, side, frames=1, cpu_seconds=0.0) for target in range(24)}
    rows = {row.family: row for row in rows_of({"c23": found}, {f"{target:03d}": target // 2 for target in range(24)})}
    assert rows["rate"].state == "untested"
    assert "No fake has figures" in rows["rate"].sentence
    assert rows["container"].state == "ok"  # it has facts only


def test_few_pairs_are_untested_and_not_accused():
    row = _outside(*_measured(8, offset=2.0))
    assert row.state == "untested"
    assert "Too few pairs to judge: expected 10 groups, received 8." in row.sentence
