"""Writes `report.html` from a run record and the JPEG files beside it; reads nothing else and asks no service."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facefoundry.report import charts, wording
from facefoundry.report.pictures import Pictures
from facefoundry.report.run import Fake, Pair, Run, load

__all__ = ["write"]

_PICTURED_PAIRS = 8
_PICTURE_BUDGET_BYTES = 24 << 20
_OPEN_PAIRS = 3
_REFRESH_SECONDS = 10
_COLUMNS = (
    ("source", "Source"),
    ("target", "Target"),
    ("swap", "Swap, synthetic"),
    ("masks", "Mask: box"),
    ("masks_blend", "Mask: blended"),
    ("masks_changed", "Mask: changed"),
)


def write(out_folder: Path) -> Path:
    """Write `report.html` into the output folder of a dataset run, whole or not at all.

    Args:
        out_folder: Holds `misc/report/run.json` and the pictures it names.

    Returns:
        The page's path.

    Raises:
        NotFound: There is no run record.
        InvalidInput: The record cannot be read.
    """
    folder = out_folder / "misc" / "report"
    page = out_folder / "report.html"
    text = _render(load(folder / "run.json"), Pictures(folder, _PICTURE_BUDGET_BYTES))
    partial = page.with_name(f".{page.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(page)
    return page


def _render(run: Run, pictures: Pictures) -> str:
    environment = Environment(
        loader=PackageLoader("facefoundry.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": wording.duration,
        "label": wording.label,
        "moment": wording.moment,
        "frame_rate": wording.frame_rate,
        "reason": wording.reason,
        "thousands": lambda number: f"{number:,}",
    }
    state, state_words = wording.run_state(run)
    described = {"name", "version", "description"}
    return environment.get_template("page.html").render(
        run=run,
        state=state,
        state_words=state_words,
        refresh=_REFRESH_SECONDS if run.unfinished else None,
        counts=_counts(run),
        recipe_rows=list(wording.flatten({key: value for key, value in run.recipe.items() if key not in described})),
        version_rows=list(wording.flatten(run.versions)),
        pairs=[_pair(pair, index, run, pictures) for index, pair in enumerate(run.pairs)],
        pictured=_PICTURED_PAIRS,
        pictures=pictures,
        margin=wording.MARGIN,
        columns=_COLUMNS,
        style=Markup(files("facefoundry.report").joinpath("style.css").read_text(encoding="utf-8")),
    )


def _counts(run: Run) -> dict[str, Any]:
    """The figures of the summary."""
    fakes = [fake for pair in run.pairs for fake in pair.fakes]
    states = [pair.state for pair in run.pairs]
    return {
        "pairs": len(states),
        "done": states.count("done"),
        "failed": states.count("failed"),
        "running": states.count("running"),
        "pending": states.count("pending"),
        "fakes": len(fakes),
        "frames": sum(fake.frames for fake in fakes),
        "swapped": sum(fake.swapped for fake in fakes),
    }


def _pair(pair: Pair, index: int, run: Run, pictures: Pictures) -> dict[str, Any]:
    """A pair's record with everything the template shows; pictures only for the first pairs."""
    pictured = index < _PICTURED_PAIRS
    training = pair.training
    previews = []
    if training and pictured:
        embedded = ((preview.iteration, pictures.embed(preview.file)) for preview in training.previews)
        previews = [(iteration, uri) for iteration, uri in embedded if uri]
    return {
        "record": pair,
        "anchor": f"pair-{index + 1}",
        "open": len(run.pairs) <= _OPEN_PAIRS or (pair.state == "running" and pictured),
        "pictured": pictured,
        "chart": charts.loss_chart(training.losses, 240 if pictured else 40) if training else None,
        "time_left": wording.time_left(training) if training and pair.state == "running" else None,
        "progress": 100 * training.iteration / training.iterations if training and training.iterations else 0,
        "previews": previews,
        "fakes": [_fake(fake, pictures if pictured else None) for fake in pair.fakes],
        "stages": charts.bars((stage.stage, stage.seconds) for stage in pair.stages),
    }


def _fake(fake: Fake, pictures: Pictures | None) -> dict[str, Any]:
    """A fake's record with its charts, sentences and, where there is room, pictures."""
    identity = fake.identity
    distances: list[tuple[str, float]] = []
    if identity:
        named = {
            "Swap to source": identity.swap_to_source,
            "Swap to target": identity.swap_to_target,
            "Control to source": identity.control_to_source,
            "Control to target": identity.control_to_target,
        }
        distances = [(name, value) for name, value in named.items() if value is not None]
    samples = []
    for sample in fake.samples if pictures else ():
        row = {key: pictures.embed(getattr(sample, key)) for key, _ in _COLUMNS} if pictures else {}
        if any(row.values()):
            samples.append({"frame": sample.frame, "pictures": row})
    return {
        "record": fake,
        "strip": charts.strip(fake.labels),
        "share": wording.share(fake.swapped, fake.frames),
        "untouched": fake.frames - fake.swapped,
        "verdict": wording.identity_verdict(identity),
        "distances": charts.bars(distances, longest=max([1.0, *(value for _, value in distances)])),
        "mouth": wording.mouth_sentence(fake.mouth_correlation),
        "quality": list(wording.flatten(fake.quality)),
        "samples": samples,
    }
