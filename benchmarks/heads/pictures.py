"""Landmarks of the rendered heads by plain dlib and by the engines, pose by pose, beside the exact ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.landmarks import INNER
from benchmarks.reference.detection import PlainDlib
from services.extractor import engines
from services.extractor.boxes import truncate_box
from services.extractor.tracking import Subject

__all__ = ["PLAIN", "Pictures", "errors", "failures", "finders", "read", "table"]

Frame = NDArray[np.uint8]
Points = NDArray[np.float64]
Find = Callable[[Frame], Points]

_DETECT_EVERY = 12  # as in the recipe ffpp

PLAIN = "*plain dlib*"
"""The column of plain dlib."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of one pose.

    Attributes:
        frames: uint8 [h, w, 3], BGR.
        points: The exact landmarks of each, float64 [n, 68, 2].
        eyes: Distance between the eyes of each head, seen from the front, pixels, float64 [n].
    """

    frames: list[Frame]
    points: Points
    eyes: Points


def read(folder: Path) -> dict[str, Pictures]:
    """Read what `python -m benchmarks.heads` made: the pictures of each pose, in the order of the file."""
    entries = json.loads((folder / "points.json").read_text())
    poses = dict.fromkeys(entry["pose"] for entry in entries)
    found = {}
    for pose in poses:
        chosen = [entry for entry in entries if entry["pose"] == pose]
        frames = [np.asarray(cv2.imread(str(folder / entry["file"])), np.uint8) for entry in chosen]
        points, eyes = ([entry[key] for entry in chosen] for key in ("points", "eyes"))
        found[pose] = Pictures(frames, np.array(points, np.float64), np.array(eyes, np.float64))
    return found


def finders(names: Sequence[str], weights: Path | None = None) -> dict[str, Find]:
    """Return plain dlib and engines, by their names, as functions from a frame to the landmarks of its largest face."""

    def with_engine(name: str) -> Find:
        engine = engines.load(name, weights)

        def find(frame: Frame) -> Points:
            box = Subject(engine, _DETECT_EVERY).follow(frame).box
            if box is None:
                return np.full((68, 2), np.nan)
            return np.asarray(engine.landmarks(frame, truncate_box(box)), np.float64)

        return find

    plain = PlainDlib()

    def find_plainly(frame: Frame) -> Points:
        faces = plain.faces(frame)
        return faces[0] if len(faces) else np.full((68, 2), np.nan)

    return {PLAIN: find_plainly, **{name: with_engine(name) for name in names}}


def errors(pictures: Pictures, find: Find) -> Points:
    """Return the mean error of the inner landmarks in each picture, eye distances, float64 [n]; NaN without a face."""
    points = np.array([find(frame) for frame in pictures.frames])
    apart = np.linalg.norm(points[:, INNER] - pictures.points[:, INNER], axis=2).mean(axis=1)
    return np.asarray(apart / pictures.eyes, np.float64)


def table(measured: Mapping[str, Mapping[str, Points]]) -> str:
    """Return a table of errors, by pose and finder: faces found, and the median and the largest error."""
    names = list(next(iter(measured.values())))
    lines = [f"| pose | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for pose, by_name in measured.items():
        lines.append(f"| {pose} | {' | '.join(map(_cell, by_name.values()))} |")
    return "\n".join(lines)


def _cell(values: Points) -> str:
    found = values[np.isfinite(values)]
    if not len(found):
        return f"0 of {len(values)}"
    return f"{len(found)} of {len(values)}: {np.median(found):.3f}, {found.max():.3f}"


def failures(measured: Mapping[str, Mapping[str, Points]]) -> Iterator[str]:
    """Yield a sentence for each pose in which an engine finds fewer heads than plain dlib."""
    for pose, by_name in measured.items():
        expected = int(np.isfinite(by_name[PLAIN]).sum())
        for name, values in by_name.items():
            found = int(np.isfinite(values).sum())
            if found < expected:
                yield f"heads, {pose}, {name}: {found} found, and {expected} by plain dlib."
