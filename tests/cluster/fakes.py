"""What a fake of a test's clip must be like."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from facefoundry.media.read import open_source
from tests.clips import Picture


def frames(path: Path) -> Picture:
    """All frames of a video, uint8 of shape (frames, height, width, 3)."""
    with open_source(path) as source:
        return np.stack(list(source))


def assert_is_a_fake(dataset: Path, target: Path, name: str) -> None:
    """The fake differs from its target where the mask says so, and almost all its frames are swapped."""
    fakes = dataset / "manipulated_sequences" / "Deepfakes"
    made = frames(fakes / "raw" / "videos" / f"{name}.mp4")
    changed = frames(fakes / "masks_changed" / "videos" / f"{name}.mp4")[..., 0] == 255
    assert np.array_equal((frames(target) != made).any(axis=-1), changed)
    labels = json.loads((fakes / "labels" / f"{name}.json").read_text())
    assert np.mean([row["swapped"] for row in labels["frames"]]) > 0.9
