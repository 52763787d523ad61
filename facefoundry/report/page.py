"""Writes the report page of a run from the files in the dataset's folder, without any service."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facefoundry.checks import leaks
from facefoundry.checks.leaks import LeakReport
from facefoundry.dataset import verdict
from facefoundry.dataset.files import write as write_file
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import PairRecord, RunRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.samples import find_samples, samples_of
from facefoundry.dataset.version import short
from facefoundry.report import wording
from facefoundry.report.costs import cost_rows
from facefoundry.report.pictures import Pictures
from facefoundry.report.views import COLUMNS, MAX_PICTURED_PAIRS, PairView, count, view_pair

__all__ = ["write"]

_PICTURE_BUDGET_BYTES = 24 << 20
_REFRESH_SECONDS = 10


def write(layout: Layout) -> Path:
    """Write the report page of a dataset run, and return its path.

    Args:
        layout: Names the paths of the run record, its pictures and the page.

    Raises:
        NotFound: there is no run record.
        InvalidInput: the run record has another format or a wrong field; the message names it.
    """
    folder = RunFolder(layout.run_folder())
    pictures = Pictures(folder.path, _PICTURE_BUDGET_BYTES)
    run = folder.load_run()
    records = (_with_samples(folder.load_pair(name), run, layout) for name in run.pairs)
    pairs = [view_pair(record, index, len(run.pairs), pictures) for index, record in enumerate(records)]
    page = layout.report_page()
    run_folder = folder.path.relative_to(layout.root).as_posix()
    write_file(page, _render(run, pairs, pictures, run_folder, leaks.read(layout)).encode())
    return page


def _with_samples(pair: PairRecord, run: RunRecord, layout: Layout) -> PairRecord:
    """Name the sample pictures that a fetched dataset has, but not its record, which a run into a bucket wrote."""
    for fake in pair.fakes:
        if not fake.samples and (found := find_samples(layout, fake.id)):
            known = run.sequences[fake.source].samples if fake.source in run.sequences else []
            faces = known or [views[""] for views in find_samples(layout, fake.source).values() if "" in views]
            fake.samples = samples_of(found, faces)
    return pair


def _render(
    run: RunRecord, pairs: list[PairView], pictures: Pictures, run_folder: str, found: LeakReport | None
) -> str:
    environment = Environment(
        loader=PackageLoader("facefoundry.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": wording.duration,
        "moment": wording.moment,
        "frame_rate": wording.frame_rate,
        "reason": wording.reason,
        "short": short,
        "thousands": lambda number: f"{number:,}",
    }
    state, state_words = wording.run_state([pair.record.state for pair in pairs])
    described = {"name", "version", "description"}
    return environment.get_template("page.html").render(
        run=run,
        run_folder=run_folder,
        state=state,
        state_words=state_words,
        refresh=_REFRESH_SECONDS if state == "running" else None,
        counts=count(pairs),
        cost_rows=cost_rows(run, [pair.record for pair in pairs]),
        recipe_rows=list(wording.flatten({key: value for key, value in run.recipe.items() if key not in described})),
        version_rows=list(wording.flatten(run.versions)),
        pairs=pairs,
        leaks=found,
        leaks_are_old=found is not None and found.is_older(run.created, run.seconds),
        pictured=MAX_PICTURED_PAIRS,
        pictures=pictures,
        margin=verdict.MARGIN,
        columns=COLUMNS,
        style=Markup(files("facefoundry.report").joinpath("style.css").read_text(encoding="utf-8")),
    )
