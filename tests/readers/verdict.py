"""What a reader's frames are, in words of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.readers import made
from tests.readers.made import Frames

# A matrix in integers and one in floating point differ by rounding alone.
_ROUNDING = 3


def of_raw(frames: Frames, size: tuple[int, int]) -> str:
    """Compare RGB frames with those that went into a lossless level."""
    expected = np.stack([frame[:, :, ::-1] for frame in made.drawn(size, made.FRAMES)])
    exact = np.array_equal(*_alike(frames, expected))
    return _count(frames, expected) or ("exact" if exact else _off(frames, expected))


def of_colours(frames: Frames, path: Path) -> str:
    """Name the matrix by which a level was converted to RGB frames."""
    right, other = made.as_rgb(path, 6), made.as_rgb(path, 1)
    wrong = _count(frames, right)
    if wrong or _largest(frames, right) <= _ROUNDING:
        return wrong or "right"
    nearer = _mean(frames, other) < _mean(frames, right) / 2
    return ("as BT.709, " if nearer else "") + _off(frames, right)


def of_masks(frames: Frames, expected: Frames) -> str:
    """Say which values masks have."""
    wrong = _count(frames, expected)
    if wrong or np.array_equal(frames, np.repeat(expected[..., None], 3, axis=-1)):
        return wrong or "0, 255"
    return ", ".join(map(str, np.unique(frames)[:8]))


def of_frame(frames: Frames, seconds: float) -> str:
    """Compare one frame with the wanted one, and give the time."""
    expected = made.frame(made.WANTED, made.LARGE)[:, :, ::-1]
    return f"{seconds:.2f} s" + ("" if np.array_equal(frames[0], expected) else ", another frame")


def _count(frames: Frames, expected: Frames) -> str:
    return "" if len(frames) in (1, len(expected)) else f"{len(frames)} of {len(expected)} frames"


def _alike(frames: Frames, expected: Frames) -> tuple[Frames, Frames]:
    """Return both with the same number of frames: a browser shows the first one only."""
    return frames, expected[: len(frames)]


def _largest(frames: Frames, expected: Frames) -> int:
    found, wanted = _alike(frames, expected)
    return int(np.abs(found.astype(int) - wanted).max())


def _mean(frames: Frames, expected: Frames) -> float:
    found, wanted = _alike(frames, expected)
    return float(np.abs(found.astype(int) - wanted).mean())


def _off(frames: Frames, expected: Frames) -> str:
    return f"up to {_largest(frames, expected)} levels off"
