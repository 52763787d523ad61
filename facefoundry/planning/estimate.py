"""Estimates what a dataset costs, from measured rates. Pure functions.

The rates of the CPU are those of docs/performance.md, for frames of 720p and the recipe's levels. The speed of
trainings and the size of videos depend on the services and the clips, so they come from the record of an earlier run.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from facefoundry.codec import JsonValue
from facefoundry.dataset.costs import costs_of
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import Estimate, PairRecord, RunRecord
from facefoundry.model.architecture import Architecture
from facefoundry.planning.facts import ClipFacts
from facefoundry.v1 import recipe_pb2

__all__ = ["Rates", "estimate", "rates_of"]

_PIXELS = 1280 * 720
# CPU seconds for a frame of 720p, rows of docs/performance.md: frames of a video, detection and crop; conversion
# without the network, the network; all levels and masks.
_READ, _FACES, _SWAP, _NETWORK, _ENCODE = 2.28e-3, 2.6e-3, 1.91e-3, 14.4e-3, 77.5e-3
# Bytes that are stored for a frame of 720p beside the clip and the videos: crops and the chunk of a conversion.
_INTERMEDIATE_BYTES = 137e3
_TENSORS = 3  # a model has its weights and both moments of the optimizer
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Rates:
    """What an earlier run measured.

    Attributes:
        iterations_per_second: Speed of a training; None if no training of this network was measured.
        video_bytes: Bytes of the videos and masks of one frame and pixel of a fake and its real video; None if unknown.
    """

    iterations_per_second: float | None = None
    video_bytes: float | None = None


def estimate(
    pairs: Iterable[Pair], clips: Mapping[str, ClipFacts], recipe: recipe_pb2.Recipe, rates: Rates
) -> Estimate:
    """Estimate what pairs cost; pairs of a clip that cannot be used cost nothing.

    Args:
        pairs: The pairs.
        clips: What was found out about the clips.
        recipe: The complete recipe.
        rates: What an earlier run measured.
    """
    rows = [pair for pair in pairs if all(clips[clip].has_faces for clip in pair)]
    used = {clip for pair in rows for clip in pair}
    once = sum(_frames(clips[clip]) for clip in used)
    faked = sum(_frames(clips[clip]) for pair in rows for clip in pair)
    swapped = sum(clips[clip].frames * clips[clip].share for pair in rows for clip in pair)
    cpu_seconds = once * (_READ + _FACES + _ENCODE) + faked * (_READ + _SWAP + _ENCODE) + swapped * _NETWORK
    speed = rates.iterations_per_second
    model_bytes = _TENSORS * _FLOAT_BYTES * _parameters(recipe.training)
    clip_bytes = sum(clips[clip].size_bytes for clip in used)
    return Estimate(
        training_hours=len(rows) * recipe.training.iterations / speed / 3600 if speed else None,
        cpu_hours=cpu_seconds / 3600,
        stored_bytes=clip_bytes + (once + faked) * _INTERMEDIATE_BYTES + len(rows) * model_bytes,
        video_bytes=faked * _PIXELS * rates.video_bytes if rates.video_bytes is not None else None,
        clip_bytes=clip_bytes,
    )


def rates_of(run: RunRecord, pairs: Sequence[PairRecord], training: Mapping[str, JsonValue]) -> Rates:
    """Return what a run measured.

    Args:
        run: The record of the run.
        pairs: The records of its pairs.
        training: Training options of the recipe that is estimated; another network has another speed.
    """
    own = run.recipe.get("training")
    alike = isinstance(own, dict) and _network(own) == _network(training)
    speeds: list[float] = []
    frame_pixels = 0
    for pair in pairs:
        speeds += [pair.training.iterations_per_second] if pair.training.iterations_per_second > 0 else []
        for fake in pair.fakes:
            if sequence := run.sequences.get(fake.target):
                frame_pixels += fake.frames * sequence.width * sequence.height
    video_bytes = costs_of(pairs).video_bytes
    return Rates(
        iterations_per_second=statistics.median(speeds) if speeds and alike else None,
        video_bytes=video_bytes / frame_pixels if video_bytes and frame_pixels else None,
    )


def _network(training: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in training.items() if name not in ("iterations", "seed")}


def _frames(facts: ClipFacts) -> float:
    """Return the number of frames, in frames of 720p."""
    return facts.frames * facts.width * facts.height / _PIXELS


def _parameters(options: recipe_pb2.TrainingOptions) -> int:
    networks = Architecture.of(options).shapes()
    return sum(prod(shape) for shapes in networks.values() for shape in shapes.values())
