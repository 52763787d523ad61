"""`facefoundry look`: makes a contact sheet of a clip, of a pair, or of a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click

from facefoundry.cli.connection import store_settings
from facefoundry.cli.errors import missing_is_wrong_input
from facefoundry.cli.options import (
    ConnectionOptions,
    RecipeOptions,
    connection_options,
    recipe_options,
)
from facefoundry.cli.session import connected_view
from facefoundry.cli.view import make_view
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.progress import Event
from facefoundry.dataset.reading import Reading
from facefoundry.dataset.subjects import with_subjects
from facefoundry.errors import InvalidInput
from facefoundry.planning import looking
from facefoundry.sheets.clips import plan_clip
from facefoundry.sheets.drawing import draw
from facefoundry.sheets.sheet import Sheet
from facefoundry.v1 import common_pb2

__all__ = ["look"]


@click.command(short_help="Make a contact sheet of a clip, a pair or a dataset.")
@click.argument("place", metavar="CLIP|OUT|NAME")
@click.argument("pair", required=False, default="")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="sheet.png",
    show_default=True,
    help="The PNG to write.",
)
@click.option(
    "--frames",
    type=click.IntRange(1, 64),
    default=looking.FRAMES,
    show_default=True,
    help="Frames of a clip or a pair to show.",
)
@click.option(
    "--pairs",
    type=click.IntRange(1, 500),
    default=looking.PAIRS,
    show_default=True,
    help="Most pairs of a dataset to show.",
)
@click.option("--level", default="", metavar="LEVEL", help="Level to show, such as c23.  [default: the recipe's first]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
@recipe_options
@connection_options
def look(
    place: str,
    pair: str,
    out: Path,
    frames: int,
    pairs: int,
    level: str,
    as_json: bool,
    recipe: RecipeOptions,
    connection: ConnectionOptions,
) -> None:
    """Write a contact sheet, a PNG, and print its path.

    \b
    Of a CLIP, a video or a folder of frames, it shows frames with the box and the landmarks of the face, and the faces
    that a training would get. The services extract them; a run with the same recipe finds them stored.
    Of OUT, the folder of a dataset, it shows a row for each pair, the worst first by its gates.
    Of one PAIR of it, such as 033_097, it shows previews of the training, then source, target, fake and masks.
    Of NAME, a dataset in the bucket, it shows the same by the sample pictures of its report.

    \b
    Examples:
      facefoundry look 033.mp4 --local
      facefoundry look OUT
      facefoundry look OUT 033_097 -o pair.png
      facefoundry look celebs                       (needs keys of the object store)

    It needs the extra `media`. In Python, `facefoundry.look(...)` returns the sheet, and a notebook shows it.
    """
    clip = looking.clip_at(place)
    if clip is not None:
        if pair:
            raise click.UsageError(f"Expected no PAIR after a clip. Received {pair!r}.")
        sheet = _look_at_clip(clip, frames, as_json, recipe, connection)
    elif Path(place).is_dir():
        sheet = looking.look_at_folder(Path(place), pair, frames=frames, pairs=pairs, level=level)
    else:
        sheet = _look_at_stored(place, pair, frames, pairs, as_json, connection)
    sheet.save(out)
    if as_json:
        click.echo(json.dumps({"event": "sheet", "path": str(out), "title": sheet.title, "rows": sheet.captions}))
    else:
        click.echo(f"{sheet.title}\n{out}")


def _look_at_clip(
    clip: Clip, frames: int, as_json: bool, recipe: RecipeOptions, connection: ConnectionOptions
) -> Sheet:
    chosen = with_subjects({clip.id: clip}, recipe.subjects)[clip.id]
    wanted = recipe.resolve()
    with connected_view(connection, as_json) as (view, connected):

        def on_progress(progress: common_pb2.Progress) -> None:
            event = Event(clip.id, progress.stage, "running", progress.done, progress.total, progress.unit)
            view.event(event)

        plan = plan_clip(connected.transfers, chosen, Reading(), wanted, frames, on_progress)
    return draw(plan)


def _look_at_stored(
    name: str, pair: str, frames: int, pairs: int, as_json: bool, connection: ConnectionOptions
) -> Sheet:
    view = make_view(as_json)
    with store_settings(connection.use_local, connection.local_dir, view.message) as settings:
        if not settings.has_keys:
            message = (
                f"Expected a clip, the folder of a dataset, or the name of one in the bucket. Received {name!r}: no "
                "such file or folder, and no keys of an object store. Check the path, or set "
                "FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY."
            )
            raise InvalidInput(message, reason="INPUT_FILE")
        with missing_is_wrong_input():
            return looking.look_at_stored(settings, name, pair, frames=frames, pairs=pairs, on_wait=view.message)
