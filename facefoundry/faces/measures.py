"""Measures how the faces of a fake move, from landmarks alone: pure functions on arrays.

Landmarks are the 68 points of a face, (x, y) in frame pixels. Positions of a target are those of the target itself, and
a fake is measured in the same frames, so any difference comes from the swap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_FRAMES", "correlation", "deviation", "head_turn", "jitter", "mouth_opening", "runs_of_three"]

MIN_FRAMES: Final = 10
"""Fewest frames of which a motion is measured."""

_RIGHT_JAW, _CHIN, _LEFT_JAW = 0, 8, 16
_BROWS, _INNER_FACE = slice(17, 27), slice(17, 68)
_NOSE_TIP = 30
_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)
_INNER_UPPER_LIP, _INNER_LOWER_LIP = 62, 66
_TINY = 1e-6


def mouth_opening(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute how far a mouth is open: the gap between the inner lips, in heights of the face from chin to brows.

    Args:
        landmarks: float32 [n, 68, 2], pixels.

    Returns:
        float64 [n, 1], 0 for a closed mouth.
    """
    points = landmarks.astype(np.float64)
    gap = np.linalg.norm(points[:, _INNER_LOWER_LIP] - points[:, _INNER_UPPER_LIP], axis=1)
    height = np.linalg.norm(points[:, _CHIN] - points[:, _BROWS].mean(axis=1), axis=1)
    return np.asarray(gap / np.maximum(height, _TINY))[:, None]


def head_turn(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute how a head is turned and raised: where the tip of the nose is between the sides of the jaw.

    The jaw of a fake is the target's, as it lies at the mask's border, but its nose is made. How far a head is tilted
    in the picture does not count: the swap is pasted at the target's tilt.

    Args:
        landmarks: float32 [n, 68, 2], pixels.

    Returns:
        float64 [n, 2]: along the line between both sides of the jaw, and across it, from its middle, in its lengths.
    """
    points = landmarks.astype(np.float64)
    right, left = points[:, _RIGHT_JAW], points[:, _LEFT_JAW]
    line = left - right
    length = np.maximum(np.linalg.norm(line, axis=1, keepdims=True), _TINY)
    along = line / length
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    nose = points[:, _NOSE_TIP] - (left + right) / 2
    return np.asarray(np.stack([(nose * along).sum(axis=1), (nose * across).sum(axis=1)], axis=1) / length)


def correlation(made: NDArray[np.float64], target: NDArray[np.float64]) -> float | None:
    """Compute how well a motion follows the target's: Pearson's correlation, over all columns together.

    Args:
        made: float64 [n, c], a motion of the fake, as `mouth_opening` or `head_turn` returns it.
        target: float64 [n, c], the same of the target in the same frames.

    Returns:
        The correlation, -1 to 1; None if there are fewer than `MIN_FRAMES` frames, or one does not move.
    """
    if len(made) < MIN_FRAMES:
        return None
    first, second = made - made.mean(axis=0), target - target.mean(axis=0)
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return round(float((first * second).sum() / scale), 4) if scale > 0 else None


def deviation(motion: NDArray[np.float64]) -> float | None:
    """Compute how much something moves: its standard deviation, over all columns together.

    Args:
        motion: float64 [n, c], as `mouth_opening` or `head_turn` returns it.

    Returns:
        The deviation in the motion's unit, 0 or more; None if there are fewer than `MIN_FRAMES` frames.
    """
    if len(motion) < MIN_FRAMES:
        return None
    return round(float(np.sqrt(motion.var(axis=0).sum())), 4)


def jitter(landmarks: NDArray[np.float32]) -> float:
    """Compute how much the landmarks of brows, eyes, nose and mouth tremble from frame to frame.

    A motion at a constant speed is no jitter: the middle frame of three is compared with the mean of its neighbours.

    Args:
        landmarks: float32 [k, 3, 68, 2], pixels: k >= 1 runs of three consecutive frames.

    Returns:
        Mean distance of a landmark from the middle between its places before and after, in distances between the eyes.
    """
    points = landmarks.astype(np.float64)
    inner = points[:, :, _INNER_FACE]
    apart = np.linalg.norm(inner[:, 1] - (inner[:, 0] + inner[:, 2]) / 2, axis=2).mean(axis=1)
    middle = points[:, 1]
    eyes = np.linalg.norm(middle[:, _LEFT_EYE].mean(axis=1) - middle[:, _RIGHT_EYE].mean(axis=1), axis=1)
    return float((apart / np.maximum(eyes, _TINY)).mean())


def runs_of_three(frames: Sequence[int], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find three consecutive frames among sampled ones.

    Args:
        frames: Numbers of n sampled frames, ascending.
        usable: bool [n], whether each sampled frame may be used.

    Returns:
        int64 [k, 3], places in `frames`. Runs do not overlap.
    """
    found, place = [], 0
    while place + 2 < len(frames):
        if frames[place + 2] == frames[place] + 2 and usable[place : place + 3].all():
            found.append([place, place + 1, place + 2])
            place += 3
        else:
            place += 1
    return np.array(found, np.int64).reshape(-1, 3)
