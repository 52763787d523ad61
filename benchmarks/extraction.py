"""Extracts clips in this process with the product, and with plain dlib, for `benchmarks.faces` to compare."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.reference.detection import PlainDlib
from benchmarks.row import cpu_seconds
from facefoundry import codec, recipes
from facefoundry.errors import Unusable
from facefoundry.faces.alignments import NO_FACE, REASONS, Alignments
from facefoundry.media.read import open_source
from facefoundry.storage.parts import ALIGNMENTS
from facefoundry.work.messages import Result
from facefoundry.work.workspace import Workspace
from services.extractor import pipeline
from services.extractor.functions import Chosen, ExtractArgs, ExtractionOptions, FaceShares
from services.extractor.plan import EMBED_EVERY

__all__ = ["Extracted", "Plain", "extract", "plain", "untold"]

_TELLS = {
    "NO_FACE": {"GAPS", "FEW_FACES", "NO_FACE_FOUND"},
    "OTHER_PERSON": {"OTHER_PEOPLE", "NO_FACE_FOUND"},
    "BAD_LANDMARKS": {"FEW_FACES", "NO_FACE_FOUND"},
}


@dataclass(frozen=True)
class Extracted:
    """What the product finds in a clip.

    Attributes:
        points: Landmarks of the subject, float64 [n, 68, 2]; NaN in frames without it.
        labels: For each frame the name of its reason, one of `alignments.REASONS`.
        tracked: Number of frames in which the face was found at its last place, and not by the detector.
        warned: Reasons of the warnings, and `refused` if so few frames have the face that a clip is refused.
        milliseconds: CPU time of the extraction for each frame.
    """

    points: NDArray[np.float64]
    labels: list[str]
    tracked: int
    warned: tuple[str, ...]
    milliseconds: float


@dataclass(frozen=True)
class Plain:
    """What plain dlib finds in a clip: landmarks as in `Extracted`, of the largest face of each frame."""

    points: NDArray[np.float64]
    milliseconds: float


def extract(clip: Path, engine: str, chosen: Chosen | None = None, weights: Path | None = None) -> Extracted:
    """Extract a clip with the recipe ffpp.

    Args:
        clip: Video or folder of frames.
        engine: Name of the engine.
        chosen: Whom to follow by face embeddings; None to follow as FF++ does.
        weights: Folder of weights, for engines whose packages contain none.

    Raises:
        Unusable: the clip cannot be read.
    """
    options = codec.from_values(ExtractionOptions, recipes.options(recipes.load("ffpp").extraction))
    arguments = ExtractArgs(
        clip_files=(str(clip.resolve()),),
        weights_dir=weights,
        name=clip.stem,
        options=replace(options, engine=engine, identity=chosen is not None),
        chosen=chosen,
        embed_every=EMBED_EVERY,
        shares=FaceShares(refuse=0.0),
    )
    pipeline.load_engine(engine, weights)
    start = cpu_seconds()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch)).create()
        try:
            (info,) = [made.info for made in pipeline.extract(arguments, workspace) if isinstance(made, Result)]
        except Unusable as error:
            if error.reason != "NO_FACE_FOUND":
                raise
            count = int(error.metadata["frames"])
            took = cpu_seconds() - start
            return Extracted(_nothing(count), [REASONS[NO_FACE]] * count, 0, (error.reason,), 1e3 * took / count)
        took = cpu_seconds() - start
        rows = Alignments.from_bytes(workspace.made_part(ALIGNMENTS).read_bytes())
    points = _nothing(len(rows))
    points[rows.found] = rows.landmarks[rows.found]
    refused = ("refused",) if rows.found.mean() < FaceShares().refuse else ()
    return Extracted(
        points=points,
        labels=[REASONS[reason] for reason in rows.reasons.tolist()],
        tracked=0 if rows.tracked is None else int(rows.tracked.sum()),
        warned=(*(warning.reason for warning in info.warnings), *refused),
        milliseconds=1e3 * took / len(rows),
    )


def plain(clip: Path, keep: Path | None = None) -> Plain:
    """Find the largest face of every frame with plain dlib.

    Args:
        clip: Video or folder of frames.
        keep: Folder in which results are kept, and looked for first; None to compute them.
    """
    kept = None if keep is None or clip.is_dir() else keep / f"{_digest(clip)}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as arrays:
            return Plain(arrays["points"], float(arrays["milliseconds"]))
    finder, points = PlainDlib(), []
    start = cpu_seconds()
    with open_source(clip) as source:
        for frame in source:
            faces = finder.faces(frame)
            points.append(faces[0] if len(faces) else _nothing(1)[0])
    found = Plain(np.array(points), 1e3 * (cpu_seconds() - start) / len(points))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, points=found.points, milliseconds=found.milliseconds)
    return found


def untold(labels: Collection[str], warned: Collection[str]) -> list[str]:
    """Return the labels of frames without a face that no warning tells."""
    return sorted(label for label in set(labels) - {"FOUND"} if not _TELLS.get(label, set()) & set(warned))


def _nothing(count: int) -> NDArray[np.float64]:
    return np.full((count, 68, 2), np.nan)


def _digest(clip: Path) -> str:
    with clip.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
