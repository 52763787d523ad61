"""Computes the coordinates of the report's charts, which the templates draw as SVG.

A chart is a box of 100 by 100 units, with x to the right and y down. The page stretches the box to its width. The
labels are outside the box, so their size does not change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

__all__ = ["Bar", "LossChart", "Tick", "bars", "loss_chart", "strip"]

_POINTS = 80
_STEPS = (1, 2, 5)
_Row = TypeVar("_Row")


class Tick(NamedTuple):
    """A labelled position on an axis, in percent of the box."""

    at: float
    label: str


class LossChart(NamedTuple):
    """The losses of both sides over the iterations, on a logarithmic scale.

    Attributes:
        a: SVG path of the losses of side A.
        b: SVG path of the losses of side B.
        x: Ticks of the iterations, from the left.
        y: Ticks of the losses, from the top.
        last: The last losses of sides A and B.
    """

    a: str
    b: str
    x: list[Tick]
    y: list[Tick]
    last: tuple[float, float]


class Bar(NamedTuple):
    """A labelled bar; `width` is in percent of the longest bar."""

    label: str
    value: float
    width: float


def loss_chart(losses: Sequence[tuple[float, float | None, float | None]], points: int = _POINTS) -> LossChart | None:
    """Compute the chart of the losses; None if there are too few of them.

    Args:
        losses: Iteration, loss of side A, loss of side B. Rows are skipped if a loss is missing, infinite or not
            positive.
        points: Largest number of points of a curve.
    """
    rows = [(x, a, b) for x, a, b in losses if a and b and 0 < a < math.inf and 0 < b < math.inf]
    if len(rows) < 2 or rows[-1][0] <= rows[0][0]:
        return None
    values = [value for _, a, b in rows for value in (a, b)]
    low, high = _log_range(min(values), max(values))
    first, last = rows[0][0], rows[-1][0]

    def place(x: float, y: float) -> str:
        across = 100 * (x - first) / (last - first)
        down = 100 * (math.log(high) - math.log(y)) / (math.log(high) - math.log(low))
        return f"{across:.1f} {down:.1f}"

    thin = _thin(rows, points)
    return LossChart(
        a="M" + "L".join(place(x, a) for x, a, _ in thin),
        b="M" + "L".join(place(x, b) for x, _, b in thin),
        x=[Tick(100 * (x - first) / (last - first), f"{x:,.0f}") for x in _round_numbers(first, last)],
        y=[
            Tick(100 * (math.log(high) - math.log(y)) / (math.log(high) - math.log(low)), f"{y:g}")
            for y in _log_ticks(low, high)
        ],
        last=(rows[-1][1], rows[-1][2]),
    )


def strip(labels: Sequence[int]) -> str:
    """Return an SVG path that marks the swapped frames: a rectangle as high as the box for each consecutive series.

    Args:
        labels: 1 for each swapped frame, 0 for the others, in order.
    """
    if not labels:
        return ""
    path, width = [], 100 / len(labels)
    start = None
    for frame, label in enumerate([*labels, 0]):
        if label and start is None:
            start = frame
        elif not label and start is not None:
            path.append(f"M{start * width:.3f} 0H{frame * width:.3f}V100H{start * width:.3f}Z")
            start = None
    return "".join(path)


def bars(values: Iterable[tuple[str, float]], longest: float | None = None) -> list[Bar]:
    """Scale labelled values to bars.

    Args:
        values: The labels with their values.
        longest: The value of a bar of 100 percent; by default the largest value.
    """
    rows = [(label, max(0.0, value)) for label, value in values]
    top = longest or max((value for _, value in rows), default=0) or 1
    return [Bar(label, value, round(min(100.0, 100 * value / top), 2)) for label, value in rows]


def _thin(rows: list[_Row], points: int) -> list[_Row]:
    """Return at most `points` evenly spaced rows, including the first and the last."""
    if len(rows) <= points:
        return rows
    return [rows[round(index * (len(rows) - 1) / (points - 1))] for index in range(points)]


def _log_range(low: float, high: float) -> tuple[float, float]:
    """Return the numbers nearest below and above a range in the series ..., 0.1, 0.2, 0.5, 1, 2, 5, 10, ..."""
    steps = [step * 10.0**power for power in range(-12, 13) for step in _STEPS]
    below = max((step for step in steps if step <= low), default=low)
    above = min((step for step in steps if step >= high), default=high)
    return (below, above) if above > below else (below, below * 2)


def _log_ticks(low: float, high: float) -> list[float]:
    """Return at most seven numbers within a range from the series ..., 0.1, 0.2, 0.5, 1, 2, 5, 10, ..."""
    ticks = [step * 10.0**power for power in range(-12, 13) for step in _STEPS]
    inside = [float(f"{tick:g}") for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    return inside if len(inside) <= 7 else inside[:: math.ceil(len(inside) / 6)]


def _round_numbers(first: float, last: float) -> list[float]:
    """Return about four evenly spaced round numbers within a range."""
    rough = (last - first) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((step * power for step in (1, 2, 5, 10) if step * power >= rough), 10 * power)
    tick = math.ceil(first / step) * step
    ticks = []
    while tick <= last * 1.0001:
        ticks.append(tick)
        tick += step
    return ticks
