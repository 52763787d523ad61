"""Joins what extractions of fakes, controls, sources and targets say.

Whose face is it, and did the expression follow?
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import InvalidInput
from facefoundry.faces.alignments import Alignments
from facefoundry.recipes import ranges
from facefoundry.v1 import recipe_pb2

__all__ = ["identity", "mouth_correlation", "mouth_opening", "shown"]

_INNER_UPPER_LIP, _INNER_LOWER_LIP = 62, 66
_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)
_FEWEST_FRAMES = 10


def identity(
    swap: Alignments, control: Alignments, source: Alignments, target: Alignments, swapped: NDArray[np.bool_]
) -> dict[str, Any]:
    """Median distances in the identity embedding over the swapped frames.

    Every frame is compared with the mean embedding of the whole source and of the whole target. The control is the
    target decoded by its own decoder through the same blend, so what it moves is blur and blend, not identity.

    Args:
        swap: Extraction of the fake.
        control: Extraction of the control.
        source: Extraction of the sequence that gave the face.
        target: Extraction of the sequence that got it.
        swapped: bool [n], frames of the fake that carry the other face.

    Returns:
        `swap_to_source`, `swap_to_target`, `control_to_source`, `control_to_target` (Euclidean, about 0.6 separates
        persons) and `frames`, the number of frames compared.
    """
    frames = swapped & swap.found & control.found
    centres = {"source": _centre(source), "target": _centre(target)}
    result: dict[str, Any] = {"frames": int(frames.sum())}
    for name, face in (("swap", swap), ("control", control)):
        for other, centre in centres.items():
            distances = np.linalg.norm(_embeddings(face)[frames] - centre, axis=1)
            result[f"{name}_to_{other}"] = round(float(np.median(distances)), 4) if frames.any() else None
    return result


def shown(target: Alignments, conversion: recipe_pb2.ConversionOptions) -> Alignments:
    """The frames of a target that a fake of it has: all, or with `discard` those within the frame ranges."""
    if not conversion.discard:
        return target
    return target.take(ranges.frame_numbers(ranges.of(conversion), len(target)))


def mouth_opening(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Gap between the inner lips in units of the distance between the eyes.

    Args:
        landmarks: [n, 68, 2] pixels.

    Returns:
        [n], 0 for a closed mouth.
    """
    points = landmarks.astype(np.float64)
    gap = np.linalg.norm(points[:, _INNER_LOWER_LIP] - points[:, _INNER_UPPER_LIP], axis=1)
    eyes = np.linalg.norm(points[:, _LEFT_EYE].mean(axis=1) - points[:, _RIGHT_EYE].mean(axis=1), axis=1)
    return np.asarray(gap / np.maximum(eyes, 1e-6))


def mouth_correlation(swap: Alignments, target: Alignments, swapped: NDArray[np.bool_]) -> float | None:
    """Pearson correlation of the mouth opening of a fake and its target; None where too little can be compared."""
    frames = swapped & swap.found & target.found
    if frames.sum() < _FEWEST_FRAMES:
        return None
    one, other = mouth_opening(swap.landmarks[frames]), mouth_opening(target.landmarks[frames])
    if one.std() == 0 or other.std() == 0:
        return None
    return round(float(np.corrcoef(one, other)[0, 1]), 4)


def _embeddings(alignments: Alignments) -> NDArray[np.float32]:
    if alignments.embeddings is None:
        raise InvalidInput("Identity can only be compared where extraction.identity is true.", reason="NO_EMBEDDINGS")
    return alignments.embeddings


def _centre(alignments: Alignments) -> NDArray[np.float32]:
    return np.asarray(_embeddings(alignments)[alignments.found].mean(axis=0))
