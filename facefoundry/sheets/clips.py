"""Plans the sheet of a clip: its frames with box and landmarks, and the faces that a training would get."""

from __future__ import annotations

from facefoundry.client import OnProgress
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.reading import Reading
from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.sources import import_source
from facefoundry.dataset.transfer import Transfers
from facefoundry.faces.alignments import FOUND, REASONS, Alignments
from facefoundry.sheets.plan import Box, Cell, Row, SheetPlan, evenly
from facefoundry.storage.parts import ALIGNMENTS
from facefoundry.v1 import recipe_pb2

__all__ = ["plan_alignments", "plan_clip"]

_TILE = 160


def plan_clip(
    transfers: Transfers,
    clip: Clip,
    reading: Reading,
    recipe: recipe_pb2.Recipe,
    frames: int,
    on_progress: OnProgress = lambda _: None,
) -> SheetPlan:
    """Extract the faces of a clip on disk, as a run does, and plan its sheet. A run finds the extraction stored.

    Args:
        transfers: The connections.
        clip: The clip.
        reading: How it is read.
        recipe: Name of a recipe, and overrides.
        frames: Number of frames to show, evenly spread.
        on_progress: Called with each progress message.

    Raises:
        Unusable: the clip cannot be used.
        FaceFoundryError: a service or the store does not answer.
    """
    source = import_source(transfers, clip, reading, on_progress)
    extraction = transfers.client.extract(source.uri, clip.id, recipe, on_progress, clip.subject)
    found = Alignments.from_bytes(StoredResult(transfers, extraction.uri).read(ALIGNMENTS))
    return plan_alignments(clip, found, frames, tolerate_damage=reading.tolerate_damage)


def plan_alignments(clip: Clip, found: Alignments, frames: int, *, tolerate_damage: bool = False) -> SheetPlan:
    """Plan the sheet of a clip whose faces are known."""
    shown, path = evenly(range(len(found)), frames), str(clip.path)
    whole, faces = list[Cell](), list[Cell]()
    for frame in shown:
        if found.reasons[frame] != FOUND:
            whole.append(Cell(path, frame, words=f"{frame}: {REASONS[found.reasons[frame]]}"))
            faces.append(Cell(""))
            continue
        x, y, width, height = found.boxes[frame].tolist()
        box: Box = (x, y, width, height)
        points = [(float(x), float(y)) for x, y in found.landmarks[frame]]
        whole.append(Cell(path, frame, outline=box, points=points, words=f"{frame}"))
        faces.append(Cell(path, frame, matrix=found.matrices[frame].tolist(), words=f"{frame}"))
    missing = ", ".join(f"{reason} {count}" for reason, count in found.missing().items())
    title = f"{clip.id}: a face in {found.share:.0%} of {len(found)} frames{f'; {missing}' if missing else ''}"
    rows = [
        Row("frames, with box and landmarks", whole),
        Row("faces, as a training gets them", faces),
    ]
    return SheetPlan(title, rows, _TILE, is_clip=True, tolerate_damage=tolerate_damage)
