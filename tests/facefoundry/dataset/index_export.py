"""An export as docs/extending.md describes one: each fake's videos with a JSON index of their labels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import click
from google.protobuf import json_format

from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.view import make_view
from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.record import PairRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import FaceFoundryError, InvalidInput, NotFound
from facefoundry.v1 import recipe_pb2


def export(layout: Layout, pair: PairRecord, levels: Sequence[str], out: Path) -> None:
    """Write the fakes of one pair.

    Raises:
        InvalidInput: a video or the labels are missing.
    """
    for fake in pair.fakes:
        videos = {level: layout.fake_video(level, fake.id) for level in levels}
        labels = layout.labels(fake.id)
        for path in (*videos.values(), labels):
            if not path.is_file():
                raise InvalidInput(f"Expected the file {path}. It is missing. Make the dataset again.", reason="FILE")
        for level, video in videos.items():
            shutil.copyfile(video, files.in_new_folder(out / level / f"{fake.id}.mp4"))
        index = {"id": fake.id, "source": fake.source, "labels": json.loads(labels.read_bytes())}
        files.write(out / f"{fake.id}.json", json.dumps(index).encode())


@click.command(name="export-index", short_help="Write fakes and an index of their labels.")
@click.argument("dataset", type=click.Path(path_type=Path, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per pair.")
def export_index(dataset: Path, out: Path, as_json: bool) -> None:
    """Write the fakes of DATASET and an index of their labels to OUT.

    \b
    Example:
      facefoundry export-index DATASET EXPORTED
    """
    layout = layout_of(dataset)
    run = RunFolder(layout.run_folder())
    try:
        record = run.load_run()
    except NotFound as error:
        raise InvalidInput(error.message, reason=error.reason) from error
    recipe = json_format.ParseDict(record.recipe, recipe_pb2.Recipe())
    levels = [level.name for level in recipe.compression.levels]
    view = make_view(as_json)
    failed = False
    for pair in run.load_pairs():
        if pair.state != "done" or not pair.fakes:
            view.message(f"{pair.id} is left out: it has no finished fakes.")
            continue
        try:
            export(layout, pair, levels, out)
            view.message(f"{pair.id}: {out}")
        except FaceFoundryError as error:
            failed = True
            view.message(f"{pair.id} failed: {error.message} [{error.reason}]")
    if failed:
        raise click.exceptions.Exit(SOME_FAILED)
