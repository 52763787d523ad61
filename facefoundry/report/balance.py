"""Writes the page that shows how a dataset is divided: tables and bars of `balance.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from facefoundry.checks.balance import POSES, TONES, BalanceReport, BalanceRow
from facefoundry.dataset.files import write as write_file
from facefoundry.dataset.layout import Layout
from facefoundry.report.charts import Bar, bars
from facefoundry.report.links import balance_page_of
from facefoundry.report.render import asset, render

__all__ = ["balance_page", "write_balance"]

_MEDIANS = {
    "Length, seconds": "seconds",
    "Height of the frames, pixels": "frame_height",
    "Height of the box, in heights of the frame": "face",
}


@dataclass(frozen=True)
class _Chart:
    """Bars below a heading: of one class or measure, one bar for the real videos and the fakes of each split."""

    heading: str
    bars: list[Bar]


def write_balance(layout: Layout, report: BalanceReport) -> Path:
    """Write `balance.html` beside `balance.json`, and return its path. It is one page without further files."""
    page = balance_page_of(layout)
    write_file(page, balance_page(layout.root.resolve().name, report).encode())
    return page


def balance_page(name: str, report: BalanceReport) -> str:
    """Return the page.

    Args:
        name: Name of the dataset.
        report: How it is divided.
    """
    rows = [row for row in report.rows if row.videos]
    tones, poses = [name for _, name in TONES], [name for _, name in reversed(POSES)]
    return render(
        "balance.html",
        name=name,
        rows=rows,
        warnings=[*report.failed, *report.warnings],
        shares={
            "Skin tone of the target, share of videos": _shares(rows, tones, "tones"),
            "Pose of the target, share of videos": _shares(rows, poses, "poses"),
        },
        medians=_medians(rows),
        style=Markup(asset("style.css")),
    )


def _shares(rows: Sequence[BalanceRow], classes: Sequence[str], field: str) -> list[_Chart]:
    """Return a chart for each class: its share among the videos of each row, in percent; none if none was measured."""
    known: list[tuple[str, dict[str, int]]] = [(row.name, getattr(row, field)) for row in rows]
    known = [(name, counts) for name, counts in known if counts]
    return [
        _Chart(
            label,
            bars(((name, 100 * counts.get(label, 0) / sum(counts.values())) for name, counts in known), longest=100),
        )
        for label in classes
        if known
    ]


def _medians(rows: Sequence[BalanceRow]) -> list[_Chart]:
    """Return a chart for each median: of lengths and sizes of all rows, and of the quality of the fakes."""
    charts = [
        _Chart(heading, bars((row.name, value) for row in rows if (value := getattr(row, field)) is not None))
        for heading, field in _MEDIANS.items()
    ]
    for name in sorted({name for row in rows for name in row.quality}):
        measured = ((row.name, row.quality[name]) for row in rows if name in row.quality)
        charts.append(_Chart(name, bars(measured)))
    return charts
