"""`facefoundry auc`: computes the AUC of a detector from its scores."""

from __future__ import annotations

import json
from pathlib import Path

import click

from facefoundry import codec
from facefoundry.cli.tables import print_table
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import load_dataset
from facefoundry.exports.place import FolderPlace
from facefoundry.exports.record import RECORD, parse_record
from facefoundry.planning import scoring
from facefoundry.planning.scoring import AucRow

__all__ = ["auc"]

_NAMED = 3


@click.command(short_help="Compute the AUC of a detector from its scores.")
@click.argument("scores", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--export",
    "exported",
    metavar="OUT",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The export that was scored, if it numbers its videos: its export.json has their ids.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row.")
def auc(scores: Path, dataset: Path, exported: Path | None, as_json: bool) -> None:
    """Print the AUC of a detector by video and by frame, for each compression level and split of DATASET.

    SCORES is a CSV file with the columns `video` and `score`, and maybe `frame` and `level`. A video is named by its
    id, by its path in DATASET or in an export, or by its key in a webdataset. Frames count from 0. A higher score means
    fake.

    \b
    Example:
      facefoundry auc scores.csv OUT

    The score of a video is the mean of its frames' scores. Frames of fakes that are not swapped count for no frame's
    AUC.
    """
    found = load_dataset(dataset)
    names: dict[str, str] = {}
    if exported is not None:
        data, path = FolderPlace(exported).read_record(), f"{exported / RECORD}"
        if data is None:
            message = f"Expected an export with {RECORD} in {exported}. It has none. Give the folder of an export."
            raise InvalidInput(message, reason="EXPORT")
        names = {name: id_ for id_, name in parse_record(data, path).numbers.items()}
    read = scoring.read_scores(scores, found, names)
    if others := sorted({score.id for score in read} - set(found.ids)):
        shown = ", ".join(others[:_NAMED])
        click.echo(f"Not counted: {len(others):,} videos that the dataset leaves out, such as {shown}.", err=True)
    rows = list(scoring.rows_of(read, found))
    if as_json:
        for row in rows:
            click.echo(json.dumps({"event": "auc", **codec.to_values(row)}))
        return
    columns = ("level", "split", "recipe", "real", "fakes", "AUC by video", "frames", "AUC by frame", "without score")
    print_table(columns, map(_cells, rows))


def _cells(row: AucRow) -> tuple[str, ...]:
    return (
        row.level or "-",
        row.split,
        row.recipe,
        f"{row.real:,}",
        f"{row.fakes:,}",
        _number(row.by_video),
        f"{row.frames:,}" if row.by_frame is not None else "-",
        _number(row.by_frame),
        f"{row.missing:,}",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
