"""`facefoundry check-balance`: finds near-identical clips, and what is unequal between the splits of a dataset."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import click

from facefoundry import codec
from facefoundry.checks.balance import POSES, TONES, BalanceReport, path_of
from facefoundry.checks.balancing import check_balance as check
from facefoundry.cli.check_subjects import subjects_of, subjects_option
from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.save_option import save_beside, save_option
from facefoundry.cli.tables import print_table
from facefoundry.cli.view import make_view
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.progress import Event
from facefoundry.errors import NotFound
from facefoundry.report import write
from facefoundry.report.balance import write_balance

__all__ = ["check_balance"]


@click.command(name="check-balance", short_help="Find near-identical clips and unequal splits.")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@subjects_option
@save_option
@click.option("--processes", type=click.IntRange(1, 256), help="Processes that look.  [default: one for each core]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
def check_balance(
    dataset: Path, subjects: Path | None, saved_beside: str | None, processes: int | None, as_json: bool
) -> None:
    """Find clips in the folder DATASET that are nearly the same, and what is unequal between its splits.

    It looks at 8 faces of each real video, and counts subjects, lengths, sizes, skin tones, poses and the quality of
    the fakes by split, for real videos and fakes. What was found is in balance.json beside the run record, and as
    tables and bars in balance.html. It needs the extra `check`. The exit code is 3 if some videos could not be looked
    at.

    \b
    Example:
      facefoundry check-balance OUT --subjects clips.csv
    """
    layout, view = layout_of(dataset), make_view(as_json)
    known, unmatched = subjects_of(subjects, layout)

    def on_progress(done: int, total: int, last: str) -> None:
        view.event(Event(dataset.name, "look", "done" if done == total else "running", done, total, "clips", last))

    with view:
        report = check(layout, subjects=known, processes=processes, on_progress=on_progress)
    page = write_balance(layout, report)
    with suppress(NotFound):  # FF++'s own files have no run record
        write(layout)
    saved = save_beside(saved_beside, layout, path_of(layout))
    for sentence in filter(None, (unmatched, *report.failed, *report.warnings, saved)):
        view.message(sentence)
    if as_json:
        click.echo(json.dumps({"event": "balance", **codec.to_values(report)}))
    else:
        _print(report)
        click.echo(f"Details: {page}")
    if report.failed:
        raise click.exceptions.Exit(SOME_FAILED)


def _print(report: BalanceReport) -> None:
    rows = [row for row in report.rows if row.videos]
    quality = sorted({name for row in rows for name in row.quality})
    lines = {
        "videos": [str(row.videos) for row in rows],
        "subjects": [str(row.subjects) for row in rows],
        "seconds, median": [f"{row.seconds:.1f}" for row in rows],
        "height of frames, median": [f"{row.frame_height:.0f}" for row in rows],
        "height of face, median": [f"{row.face:.0%}" if row.face is not None else "" for row in rows],
        **{f"skin: {name}": [str(row.tones.get(name, 0)) for row in rows] for _, name in TONES},
        **{
            f"pose: {name}": [str(row.poses.get(name, 0)) for row in rows]
            for _, name in reversed(POSES)
            if any(row.poses for row in rows)
        },
        **{f"{name.replace('_', ' ')}, median": [_number(row.quality.get(name)) for row in rows] for name in quality},
    }
    print_table(("", *(row.name for row in rows)), ((name, *cells) for name, cells in lines.items()))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
