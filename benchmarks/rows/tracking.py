"""Measures detection and tracking of one face with the engine dlib, against detectors that run on every frame."""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.material import shots
from benchmarks.row import Row, command, interleaved
from facefoundry.recipes import load
from services.extractor import engines
from services.extractor.boxes import iou, largest
from services.extractor.tracking import Subject

FACES = (200.0, 120.0, 320.0)  # widths, a shot each
FRAMES = 120
INSTALL_MTCNN = "needs `pip install mtcnn`, which brings its weights"

Box = NDArray[np.float64]


def run() -> list[Row]:
    """Return two rows: against dlib's detector on every frame, and against MTCNN, a detector of FF++'s time."""
    clip = [shot.frame for face in FACES for shot in shots(FRAMES // len(FACES), face)]
    engine = engines.load("dlib")
    every = load("ffpp").extraction.detect_every

    def follow(detect_every: int) -> list[Box | None]:
        subject = Subject(engine, detect_every)
        return [subject.follow(frame).box for frame in clip]

    timing = interleaved(lambda: follow(1), lambda: follow(every), rounds=5)
    expected, found = follow(1), follow(every)
    overlaps = np.array(
        [
            0.0 if box is None else iou(box, other)
            for box, other in zip(found, expected, strict=True)
            if other is not None
        ]
    )
    same, near = float(np.mean(overlaps > 0.3)), float(np.mean(overlaps >= 0.8))
    fidelity = f"same subject on {same:.0%} of frames; IoU >= 0.8 with that detector on {near:.0%}"
    faithful = len(overlaps) == FRAMES and same == 1 and near >= 0.95
    stage, ours = f"detect and track, 720p, detector every {every} frames and at cuts", timing.ours / FRAMES
    how = f"{FRAMES} frames of three shots, faces {FACES[0]:.0f}, {FACES[1]:.0f} and {FACES[2]:.0f} wide"
    rows = [
        Row(
            f"{stage}, against the same detector on every frame",
            "s/frame",
            timing.reference / FRAMES,
            ours,
            3,
            fidelity,
            faithful,
            f"dlib's HOG on every frame; {how}",
            timing.first_ours / FRAMES,
        )
    ]
    mtcnn = _mtcnn()
    stage = f"{stage}, against MTCNN on every frame"
    if mtcnn is None:
        return [*rows, Row(stage, "s/frame", None, None, 10, "", True, INSTALL_MTCNN)]
    few = clip[:: FRAMES // 5]
    timing = interleaved(lambda: [mtcnn(frame) for frame in few], lambda: follow(every), rounds=3)
    pairs = zip(map(mtcnn, few), expected[:: FRAMES // 5], strict=True)
    hits = [iou(largest(boxes), box) for boxes, box in pairs if len(boxes) and box is not None]
    agree = f"{sum(hit > 0.3 for hit in hits)} of MTCNN's {len(few)} largest faces are the subject"
    return [
        *rows,
        Row(
            stage,
            "s/frame",
            timing.reference / len(few),
            timing.ours / FRAMES,
            10,
            f"{fidelity}; {agree}",
            faithful,
            f"the package mtcnn with its defaults on {len(few)} of these frames; {how}",
        ),
    ]


def _mtcnn() -> Callable[[NDArray[np.uint8]], Box] | None:
    """Return a function that detects faces in a BGR frame with the package mtcnn; None if it is not installed.

    The function returns boxes, float64 [k, 4]: x, y, width and height in frame pixels.
    """
    if any(util.find_spec(package) is None for package in ("mtcnn", "joblib", "lz4", "cloudpickle")):
        return None
    import mtcnn

    detector: Any = mtcnn.MTCNN(device="CPU:0")

    def detect(frame: NDArray[np.uint8]) -> Box:
        faces = detector.detect_faces(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        return np.array([face["box"] for face in faces], dtype=np.float64).reshape(-1, 4)

    return detect


if __name__ == "__main__":
    command(run)
