"""`facefoundry check-leaks`: finds what gives the fakes of a dataset away besides their faces."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import click

from facefoundry import codec
from facefoundry.checks import checking
from facefoundry.checks.leaks import LeakReport, path_of
from facefoundry.cli.check_subjects import subjects_of, subjects_option
from facefoundry.cli.errors import FOUND, SOME_FAILED
from facefoundry.cli.plain import plain
from facefoundry.cli.save_option import save_beside, save_option
from facefoundry.cli.tables import print_table
from facefoundry.cli.view import make_view
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.progress import Event
from facefoundry.errors import NotFound
from facefoundry.report import write

__all__ = ["check_leaks"]

_PAIRS = 1000


@click.command(name="check-leaks", short_help="Find what gives fakes away besides the face.")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--levels", metavar="LEVELS", help="Levels to test, separated by commas, such as c23.  [default: all]")
@subjects_option
@click.option(
    "--frames",
    type=click.IntRange(4),
    default=checking.HEAD,
    show_default=True,
    help="Frames at the start of each video to decode; the last 4 come in addition.",
)
@save_option
@click.option("--processes", type=click.IntRange(1, 256), help="Processes that measure.  [default: one for each core]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
def check_leaks(
    dataset: Path,
    levels: str | None,
    subjects: Path | None,
    frames: int,
    saved_beside: str | None,
    processes: int | None,
    as_json: bool,
) -> None:
    """Find what tells the fakes in the folder DATASET from its real videos without a look at the faces.

    Each fake is compared with the real video of its target. Small classifiers then try to tell fakes from real videos
    by sizes, packets, key frames, lengths and the pixels far from the faces. An AUC of 0.5 is chance. A row is a leak
    if its interval excludes chance and the AUC is at least 0.55, or if a fact differs that must be equal.

    \b
    Examples:
      facefoundry check-leaks OUT
      facefoundry check-leaks OUT --levels c23 --subjects clips.csv
      facefoundry check-leaks OUT --save celebs            (OUT was fetched from the bucket)

    It needs the extra `check`. What was found is in leaks.json beside the run record, and on the report page. Run the
    same command again to continue a test that was stopped. For a dataset in a bucket run `facefoundry fetch` first.

    The exit code is 4 if there is a leak. `rate`, `packets` and `key frames` are leaks even if the swapped faces alone
    cause them: a detector can use them. Then no encoder mends them; train longer. The exit code is 3 if there is no
    leak, but some fakes could not be measured.
    """
    layout, view = layout_of(dataset), make_view(as_json)
    chosen = [name.strip() for name in (levels or "").split(",") if name.strip()]
    known, unmatched = subjects_of(subjects, layout, chosen)

    def on_progress(done: int, total: int, last: str) -> None:
        view.event(Event(dataset.name, "measure", "done" if done == total else "running", done, total, "fakes", last))

    with view:
        report = checking.check_leaks(
            layout, levels=chosen, subjects=known, head=frames, processes=processes, on_progress=on_progress
        )
    with suppress(NotFound):  # FF++'s own files have no run record
        write(layout)
    saved = save_beside(saved_beside, layout, path_of(layout))
    for sentence in filter(None, (unmatched, *report.failed, saved)):
        view.message(sentence)
    if as_json:
        click.echo(json.dumps({"event": "leaks", **codec.to_values(report)}))
    else:
        _print(report)
        click.echo(f"Details: {path_of(layout)}")
    if report.leaks:
        raise click.exceptions.Exit(FOUND)
    if report.failed:
        raise click.exceptions.Exit(SOME_FAILED)


def _print(report: LeakReport) -> None:
    rows = []
    for row in report.rows:
        differ = f"{row.differing} of {report.fakes}" if row.differing else ""
        rows.append((row.level, row.family, str(row.alone or ""), str(row.beside or ""), differ, row.state))
    print_table(("level", "family", "alone", "beside its target", "differ", ""), rows)
    for row in report.rows:
        if row.sentence:
            click.echo(plain(f"{row.level} {row.family}: {row.sentence}"))
    cores = os.cpu_count() or 1
    unit = "pairs" if report.by_pair else "subjects"
    click.echo(
        f"{len(report.leaks)} leaks, {len(report.untested)} rows untested; {report.fakes} fakes; "
        f"groups of {unit}: {report.groups}. {_PAIRS:,} pairs "
        f"like these would take about {report.hours(_PAIRS, cores):.1f} hours on {cores} cores."
    )
