"""Measures a fake by the faces extracted from it: whose face it shows, and whether it moves as the target does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facefoundry.dataset.record import IdentityDistances
from facefoundry.errors import InvalidInput
from facefoundry.faces import measures
from facefoundry.faces.alignments import Alignments
from facefoundry.recipes import ranges
from facefoundry.v1 import recipe_pb2

__all__ = ["SAMPLED_FRAMES", "identity", "motion", "sample_recipe", "sampled_frames"]

SAMPLED_FRAMES = 36
"""Number of frames of a fake that are measured: twelve times three consecutive ones."""

_RUN = 3


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
    frames = _embedded(swap) & _embedded(control)

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
    """Return the numbers of up to `count` swapped frames: runs of three, evenly spread over all swapped frames.

    Jitter shows from frame to frame, so the frames of a run are consecutive where no frame between them is unswapped.

    Args:
        swapped: bool [n], whether each frame of the fake is swapped.
        conversion: Conversion options of the fake. With `discard` it contains only the frames in the ranges.
        frame_count: Number of frames of the target.
        count: Largest number of frames, a multiple of 3.

    Returns:
        Numbers of frames of the target, in ascending order.
    """
    places = np.flatnonzero(swapped)
    if len(places) > count:
        runs = places[: len(places) // _RUN * _RUN].reshape(-1, _RUN)
        places = runs[np.linspace(0, len(runs) - 1, count // _RUN).round().astype(np.int64)].reshape(-1)
    chosen = places.tolist()
    kept = ranges.frame_numbers(ranges.of(conversion) if conversion.discard else [], frame_count)
    return [kept[place] for place in chosen]


def sample_recipe(recipe: recipe_pb2.Recipe, frames: Sequence[int]) -> recipe_pb2.Recipe:
    """Return the recipe of a conversion of the given frames alone, without loss, at little cost.

    The network gets a run of frames at once: a batch takes as long whether its other places are filled or not. Pixels
    are those of the fake, but for the rounding of a batch of another size.
    """
    sample = recipe_pb2.Recipe()
    sample.CopyFrom(recipe)
    del sample.conversion.frame_ranges[:], sample.compression.levels[:]
    sample.conversion.discard = True
    sample.conversion.batch_size = _RUN
    sample.conversion.frame_ranges.extend(recipe_pb2.FrameRange(first=frame, last=frame) for frame in frames)
    sample.compression.levels.extend(level for level in recipe.compression.levels if level.name == "raw")
    for raw in sample.compression.levels:
        raw.preset = "ultrafast"
    return sample


def motion(swap: Alignments, target: Alignments, frames: Sequence[int]) -> dict[str, float | None]:
    """Measure whether mouth and head of a fake follow the target's, and how much its landmarks tremble.

    Args:
        swap: Alignments of sampled frames of the fake.
        target: Alignments of the same frames of the target. Only frames with both faces are compared.
        frames: The numbers of these frames, ascending.

    Returns:
        mouth, head: Correlation of the opening of the mouth, and of the turn of the head, with the target's, -1 to 1.
        mouth_motion, head_motion: Standard deviation of the target's, as `measures` defines them.
        head_turn: How far the target's head is turned to a side, the median: 0 faces the camera, and at 1 the tip of
            the nose is above a side of the jaw.
        jitter: Jitter of the landmarks, divided by the target's in the same frames.
        A value is None if too few frames have both faces, or nothing moves.
    """
    usable = swap.found & target.found
    made, real = swap.landmarks[usable], target.landmarks[usable]
    figures: dict[str, float | None] = {}
    for name, measure in {"mouth": measures.mouth_opening, "head": measures.head_turn}.items():
        figures[name] = measures.correlation(measure(made), measure(real))
        figures[f"{name}_motion"] = measures.deviation(measure(real))
    turned = 2 * np.abs(measures.head_turn(real)[:, 0])
    figures["head_turn"] = round(float(np.median(turned)), 4) if len(turned) else None
    runs = measures.runs_of_three(frames, usable)
    own = measures.jitter(target.landmarks[runs]) if len(runs) else 0.0
    figures["jitter"] = round(measures.jitter(swap.landmarks[runs]) / own, 4) if own > 0 else None
    return figures


def _embeddings(alignments: Alignments) -> NDArray[np.float32]:
    if alignments.embeddings is None:
        message = "Expected an extraction with face embeddings. Received one without. Set extraction.identity to true."
        raise InvalidInput(message, reason="NO_EMBEDDINGS")
    return alignments.embeddings


def _embedded(alignments: Alignments) -> NDArray[np.bool_]:
    """Return which frames have an embedding; not every face has one."""
    return np.asarray(_embeddings(alignments).any(axis=1))


def _mean_embedding(alignments: Alignments) -> NDArray[np.float32]:
    return np.asarray(_embeddings(alignments)[_embedded(alignments)].mean(axis=0))
