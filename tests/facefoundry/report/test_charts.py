from __future__ import annotations

import math
import re

import pytest

from facefoundry.report import charts


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](\S+?) ([\d.]+)", path)]


def test_a_loss_curve_fills_the_box_from_left_to_right():
    chart = charts.loss_chart([(step, 0.2 / (1 + step), 0.1) for step in range(100)])
    curve = points(chart.a)
    assert curve[0][0] == 0
    assert curve[-1][0] == 100
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in curve)
    assert [y for _, y in curve] == sorted(y for _, y in curve)


def test_the_loss_axis_is_logarithmic():
    chart = charts.loss_chart([(0, 0.1, 0.1), (1, 0.01, 0.01), (2, 0.001, 0.001)])
    first, middle, last = (y for _, y in points(chart.a))
    assert middle - first == pytest.approx(last - middle)
    assert {tick.label for tick in chart.y} >= {"0.1", "0.01", "0.001"}
    assert all(
        tick.at == pytest.approx(100 * (math.log(0.1) - math.log(float(tick.label))) / math.log(100))
        for tick in chart.y
    )


def test_losses_that_cannot_be_drawn_are_left_out():
    chart = charts.loss_chart([(0, 0.5, 0.5), (1, None, 0.4), (2, 0.0, 0.3), (3, 0.2, 0.2)])
    assert len(points(chart.a)) == 2
    assert chart.last == (0.2, 0.2)


@pytest.mark.parametrize(
    "losses", [[], [(0, 0.5, 0.5)], [(7, 0.5, 0.5), (7, 0.4, 0.4)], [(0, None, 0.1), (1, 0.1, None)]]
)
def test_too_few_losses_make_no_chart(losses):
    assert charts.loss_chart(losses) is None


def test_long_curves_are_thinned_and_keep_both_ends():
    chart = charts.loss_chart([(step, 0.1, 0.2) for step in range(5000)], points=50)
    assert len(points(chart.b)) == 50
    assert points(chart.b)[-1][0] == 100


@pytest.mark.parametrize("last", [3, 17, 300, 1900, 200_000])
def test_iteration_ticks_are_few_and_inside(last):
    chart = charts.loss_chart([(0, 0.1, 0.1), (last, 0.05, 0.05)])
    assert 3 <= len(chart.x) <= 6
    assert all(0 <= tick.at <= 100.01 for tick in chart.x)


def test_a_strip_has_a_rectangle_for_every_run_of_swapped_frames():
    assert charts.strip([1, 1, 0, 1]) == "M0.000 0H50.000V100H0.000ZM75.000 0H100.000V100H75.000Z"
    assert charts.strip([0, 0]) == ""
    assert charts.strip([]) == ""


def test_bars_are_relative_to_the_longest_or_to_the_length_given():
    assert [bar.width for bar in charts.bars([("a", 1), ("b", 4)])] == [25, 100]
    assert [bar.width for bar in charts.bars([("a", 0.5)], longest=2)] == [25]
    assert [bar.width for bar in charts.bars([("a", 0)])] == [0]
