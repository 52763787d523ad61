"""Measures the engine face_alignment on a tracked 720p frame, against the package's own function for one picture."""

from __future__ import annotations

import tempfile
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import random_weights
from benchmarks.material import shots
from benchmarks.row import Row, command, interleaved
from services.extractor import engines
from services.extractor.engines.face_alignment import LANDMARK_FILE

BOX = np.array([520.0, 250.0, 210.0, 210.0])
STAGE = "face_alignment engine, 720p, a tracked frame"
INSTALL = "needs `pip install --no-deps -r locks/face-alignment.txt`"


def run() -> list[Row]:
    """Return one row: tracking and landmarks of a frame on which the detector does not run, with random weights."""
    if util.find_spec("torch") is None or util.find_spec("face_alignment") is None:
        return [Row(STAGE, "s/frame", None, None, 1.5, "", True, INSTALL)]
    import torch
    from face_alignment import FaceAlignment, LandmarksType
    from face_alignment.models import FAN

    torch.set_num_threads(1)
    first, second = (shot.frame for shot in shots(2))
    rgb = np.ascontiguousarray(second[..., ::-1])
    with tempfile.TemporaryDirectory() as scratch:
        weights = random_weights.write(Path(scratch))
        engine: Any = engines.load("face_alignment", weights)

        class Local(FaceAlignment):  # type: ignore[misc]  # the package has no types
            """The package's own pipeline, with the random weights instead of a download."""

            def __init__(self) -> None:
                self.device, self.dtype, self.flip_input = "cpu", torch.float32, False
                self.landmarks_type, self.max_batch_size = LandmarksType.TWO_D, 1
                self.face_detector = engine._detector
                self.face_alignment_net = FAN(4)
                self.face_alignment_net.load_state_dict(torch.load(weights / LANDMARK_FILE, weights_only=True))
                self.face_alignment_net.eval()

        package = Local()
    tracker = engine.tracker(first, BOX)

    def ours() -> object:
        box = tracker.update(second)
        return engine.landmarks(second, BOX if box is None else box)

    given = [[BOX[0], BOX[1], BOX[0] + BOX[2], BOX[1] + BOX[3]]]
    timing = interleaved(lambda: package.get_landmarks_from_image(rgb), ours, rounds=2)
    alone = interleaved(
        lambda: package.get_landmarks_from_image(rgb, detected_faces=given),
        lambda: engine.landmarks(second, BOX),
        rounds=3,
    )
    planes = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        expected = package.face_alignment_net(planes)[-1]
        found = engine._network(planes.contiguous(memory_format=torch.channels_last))[-1]
    largest = float((expected - found).abs().max())
    return [
        Row(
            STAGE,
            "s/frame",
            timing.reference,
            timing.ours,
            1.5,
            f"fp32 heatmaps within {largest:.0e}",
            largest <= 1e-4,
            "the package's call for one picture, its detector included; with the detector's box given to both: "
            f"{alone.reference / alone.ours:.2f} times",
            timing.first_ours,
        )
    ]


if __name__ == "__main__":
    command(run)
