"""Measures a fake by the faces extracted from it: whose face it shows, and whether its mouth follows the target's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facefoundry.dataset.record import IdentityDistances
from facefoundry.errors import InvalidInput
from facefoundry.faces.alignments import Alignments
from facefoundry.recipes import ranges
from facefoundry.v1 import recipe_pb2

__all__ = [
    "SAMPLED_FRAMES",
    "identity",
    "mouth_correlation",
    "mouth_motion",
    "mouth_opening",
    "sample_recipe",
    "sampled_frames",
]

SAMPLED_FRAMES = 32
"""Number of frames of a fake that are measured."""

_INNER_UPPER_LIP, _INNER_LOWER_LIP = 62, 66
_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)
_CHIN, _BROWS = 8, slice(17, 27)
_MIN_FRAMES = 10


def identity(swap: Alignments, control: Alignments, source: Alignments, target: Alignments) -> IdentityDistances:
    """Measure how near the faces of a fake and of its control are to the source and to the target.

    A face embedding is a vector; the vectors of one person's faces are near each other. Each measurement is the median,
    over the sampled frames, of the distance to the mean embedding of the source or of the target. The control is the
    target's face converted with the target's own decoder. Network and blending of control and fake are the same, so
    they differ only in whose face they show.

    Args:
        swap: Alignments of sampled frames of the fake.
        control: Alignments of the same frames of the control.
        source: Alignments of the sequence that gives the face.
        target: Alignments of the sequence whose frames the fake keeps.

    Raises:
        InvalidInput: the extractions have no embeddings.
    """
    frames = swap.found & control.found

    def distance(faces: Alignments, reference: Alignments) -> float | None:
        distances = np.linalg.norm(_embeddings(faces)[frames] - _mean_embedding(reference), axis=1)
        return round(float(np.median(distances)), 4) if frames.any() else None

    return IdentityDistances(
        frames=int(frames.sum()),
        swap_to_source=distance(swap, source),
        swap_to_target=distance(swap, target),
        control_to_source=distance(control, source),
        control_to_target=distance(control, target),
    )


def sampled_frames(
    swapped: NDArray[np.bool_], conversion: recipe_pb2.ConversionOptions, frame_count: int, count: int = SAMPLED_FRAMES
) -> list[int]:
    """Return the numbers of up to `count` swapped frames that are evenly spread over all swapped frames.

    Args:
        swapped: bool [n], whether each frame of the fake is swapped.
        conversion: Conversion options of the fake. With `discard` it contains only the frames in the ranges.
        frame_count: Number of frames of the target.
        count: Largest number of frames.

    Returns:
        Numbers of frames of the target, in ascending order.
    """
    places = np.flatnonzero(swapped)
    chosen = places[np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(np.int64)].tolist()
    kept = ranges.frame_numbers(ranges.of(conversion) if conversion.discard else [], frame_count)
    return [kept[place] for place in chosen]


def sample_recipe(recipe: recipe_pb2.Recipe, frames: Sequence[int]) -> recipe_pb2.Recipe:
    """Return the recipe of a conversion of the given frames alone, without loss. Their pixels are those of the fake."""
    sample = recipe_pb2.Recipe()
    sample.CopyFrom(recipe)
    del sample.conversion.frame_ranges[:], sample.compression.levels[:]
    sample.conversion.discard = True
    sample.conversion.frame_ranges.extend(recipe_pb2.FrameRange(first=frame, last=frame) for frame in frames)
    sample.compression.levels.extend(level for level in recipe.compression.levels if level.name == "raw")
    return sample


def mouth_opening(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute how far a mouth is open: the gap between the inner lips, divided by the distance between the eyes.

    Args:
        landmarks: float32 [n, 68, 2], pixels.

    Returns:
        float64 [n], 0 for a closed mouth.
    """
    points = landmarks.astype(np.float64)
    gap = np.linalg.norm(points[:, _INNER_LOWER_LIP] - points[:, _INNER_UPPER_LIP], axis=1)
    eyes = np.linalg.norm(points[:, _LEFT_EYE].mean(axis=1) - points[:, _RIGHT_EYE].mean(axis=1), axis=1)
    return np.asarray(gap / np.maximum(eyes, 1e-6))


def mouth_correlation(swap: Alignments, target: Alignments) -> float | None:
    """Compute the Pearson correlation of the mouth openings of a fake and its target.

    Args:
        swap: Alignments of sampled frames of the fake.
        target: Alignments of the same frames of the target. Only frames with both faces are compared.

    Returns:
        The correlation, -1 to 1; None if there are fewer than 10 such frames, or a mouth does not move.
    """
    frames = swap.found & target.found
    if frames.sum() < _MIN_FRAMES:
        return None
    in_swap, in_target = mouth_opening(swap.landmarks[frames]), mouth_opening(target.landmarks[frames])
    if in_swap.std() == 0 or in_target.std() == 0:
        return None
    return round(float(np.corrcoef(in_swap, in_target)[0, 1]), 4)


def mouth_motion(target: Alignments) -> float | None:
    """Compute how much the mouth of a target moves.

    Args:
        target: Alignments of sampled frames of the target.

    Returns:
        Standard deviation of the gap between the inner lips, in heights of the face from chin to brows; None if there
        are fewer than 10 frames with the face.
    """
    if target.found.sum() < _MIN_FRAMES:
        return None
    points = target.landmarks[target.found].astype(np.float64)
    gap = np.linalg.norm(points[:, _INNER_LOWER_LIP] - points[:, _INNER_UPPER_LIP], axis=1)
    height = np.linalg.norm(points[:, _CHIN] - points[:, _BROWS].mean(axis=1), axis=1)
    return round(float((gap / np.maximum(height, 1e-6)).std()), 4)


def _embeddings(alignments: Alignments) -> NDArray[np.float32]:
    if alignments.embeddings is None:
        message = "Expected an extraction with face embeddings. Received one without. Set extraction.identity to true."
        raise InvalidInput(message, reason="NO_EMBEDDINGS")
    return alignments.embeddings


def _mean_embedding(alignments: Alignments) -> NDArray[np.float32]:
    return np.asarray(_embeddings(alignments)[alignments.found].mean(axis=0))
