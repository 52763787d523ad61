"""Makes a contact sheet of a clip, of a pair, or of a dataset, wherever it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from facefoundry import recipes
from facefoundry.client import Client
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.plan import CLIP_SUFFIXES, Clip, is_frame_folder
from facefoundry.dataset.reading import Reading
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import InvalidInput
from facefoundry.planning.fetching import fetch_with, pairs_of
from facefoundry.settings import StoreSettings, read
from facefoundry.sheets.clips import plan_clip
from facefoundry.sheets.datasets import plan_dataset, plan_pair
from facefoundry.sheets.drawing import draw
from facefoundry.sheets.sheet import Sheet
from facefoundry.storage import keys
from facefoundry.v1 import recipe_pb2

__all__ = ["FRAMES", "PAIRS", "clip_at", "look", "look_at_folder", "look_at_stored"]

FRAMES = 8
"""Number of frames in a row."""
PAIRS = 20
"""Most pairs in the sheet of a dataset."""


def look(
    place: str | Path,
    pair: str = "",
    *,
    frames: int = FRAMES,
    pairs: int = PAIRS,
    level: str = "",
    recipe: str = recipes.DEFAULT,
    client: Client | None = None,
) -> Sheet:
    """Return a contact sheet, which a notebook shows.

    Args:
        place: A clip: a video or a folder of frames. Or the folder of a dataset, or the name of one in the bucket.
        pair: Id of a pair of the dataset; empty shows a row for each pair, the worst first.
        frames: Number of frames of a clip or a pair.
        pairs: Most pairs of a dataset.
        level: Name of the level of a dataset that is shown; empty takes the first one that a fake has.
        recipe: Name of the recipe by which the faces of a clip are extracted.
        client: The client of the services, for a clip; by default one with the addresses of the environment.

    Raises:
        InvalidInput: there is no such pair, a clip has a wrong name, there are no keys of the object store (NO_KEYS),
            or a library is missing (EXTRA_MISSING).
        NotFound: the bucket has no such dataset (NO_SUCH_DATASET), or it is not finished (DATASET_NOT_FINISHED).
        Unusable: the clip cannot be used.
        FaceFoundryError: a service or the store does not answer.
    """
    clip = clip_at(place)
    if clip is None:
        if Path(place).is_dir():
            return look_at_folder(Path(place), pair, frames=frames, pairs=pairs, level=level)
        return look_at_stored(read(StoreSettings), str(place), pair, frames=frames, pairs=pairs)
    if client is None:
        with Client() as own:
            return look(place, frames=frames, recipe=recipe, client=own)
    return draw(plan_clip(Transfers(client), clip, Reading(), recipe_pb2.Recipe(name=recipe), frames))


def clip_at(place: str | Path) -> Clip | None:
    """Return the clip at a path; None if there is none, as at a dataset's folder.

    Raises:
        InvalidInput: the file has no suffix of a clip (INPUT_FILE), or its name is no id (SEQUENCE_ID).
    """
    path = Path(place)
    if path.is_dir():
        return Clip(keys.sequence_id(path.name, field=str(path)), path) if is_frame_folder(path) else None
    if not path.is_file():
        return None
    if path.suffix.lower() not in CLIP_SUFFIXES:
        suffixes = ", ".join(sorted(CLIP_SUFFIXES))
        message = f"Expected a clip with one of the suffixes {suffixes}. Received {path}. Rename it."
        raise InvalidInput(message, reason="INPUT_FILE")
    return Clip(keys.sequence_id(path.stem, field=str(path)), path)


def look_at_folder(folder: Path, pair: str = "", *, frames: int = FRAMES, pairs: int = PAIRS, level: str = "") -> Sheet:
    """Return the sheet of a dataset's folder, or of a pair of it; arguments and errors are as in `look`."""
    layout = layout_of(folder)
    return draw(plan_pair(layout, pair, frames, level) if pair else plan_dataset(layout, pairs, level))


def look_at_stored(
    settings: StoreSettings,
    name: str,
    pair: str = "",
    *,
    frames: int = FRAMES,
    pairs: int = PAIRS,
    on_wait: Callable[[str], object] = lambda _: None,
) -> Sheet:
    """Return the sheet of a dataset in a bucket, of the sample pictures of its report; no video is fetched.

    Args:
        settings: Address and keys of the object store.
        name: Name of the dataset, or its place, `s3://bucket/datasets/NAME/`.
        pair: As in `look`.
        frames: Number of frames of a pair.
        pairs: Most pairs of the dataset.
        on_wait: Called with a sentence for the user when a request has failed and will be repeated.

    Raises:
        InvalidInput: there are no keys of the object store (NO_KEYS), or no such pair.
        NotFound: there is no such dataset (NO_SUCH_DATASET), or it is not finished (DATASET_NOT_FINISHED).
    """
    chosen = pairs_of([pair]) if pair else []
    with TemporaryDirectory(prefix="look-") as folder:
        fetch_with(settings, name, Path(folder), ("report",), chosen, 8, on_wait=on_wait)
        return look_at_folder(Path(folder), pair, frames=frames, pairs=pairs)
