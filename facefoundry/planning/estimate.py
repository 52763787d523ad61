"""Estimates what a dataset costs, from measured rates. Pure functions.

The rates of the CPU are those of docs/performance.md, for frames of 720p and the recipe's levels. How they fit the
machine, the speed of trainings and the size of videos come from the record of an earlier run.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from facefoundry.codec import JsonValue
from facefoundry.dataset.comparison import SAMPLED_FRAMES
from facefoundry.dataset.costs import costs_of
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import Estimate, PairRecord, RunRecord, SequenceRecord
from facefoundry.model.architecture import Architecture
from facefoundry.planning.facts import ClipFacts
from facefoundry.v1 import recipe_pb2

__all__ = ["EMBEDDED_OF_CLIP", "Rates", "estimate", "rates_of"]

_PIXELS = 1280 * 720
# CPU seconds for a frame of 720p, rows of docs/performance.md: frames of a video; conversion without the network; all
# levels and masks.
_READ, _SWAP, _ENCODE = 2.28e-3, 1.91e-3, 77.5e-3
# CPU seconds for a frame of any size: extraction with the crop, the network. The embedding is the difference of an
# extraction that embeds all faces and one without `extraction.identity`.
_FACES, _NETWORK, _EMBEDDING = 8.0e-3, 14.4e-3, 63e-3
_EMBEDDED_OF_FAKE = 3  # one of three faces of a fake has an embedding
EMBEDDED_OF_CLIP = 5
"""Of five faces of a clip about one has an embedding: of 9 clips one of 5.0 to 5.8."""
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
        cpu_factor: CPU time of all work but trainings, in units of what `estimate` expects; 1 if unknown.
        on_gpu: Whether the trainings ran on GPUs.
    """

    iterations_per_second: float | None = None
    video_bytes: float | None = None
    cpu_factor: float = 1.0
    on_gpu: bool = True


@dataclass(frozen=True)
class _Frames:
    """The frames of a clip: their number, their size in frames of 720p, and the share that has a face."""

    count: int
    size: float
    share: float


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
    used = {clip: _frames_of(clips[clip]) for pair in rows for clip in pair}
    sizes = {clip: frames.count * frames.size for clip, frames in used.items()}
    once, faked = sum(sizes.values()), sum(sizes[clip] for pair in rows for clip in pair)
    faces = [used[clip] for pair in rows for clip in pair]
    cpu_seconds = rates.cpu_factor * _cpu_seconds(used.values(), faces, identity=recipe.extraction.identity)
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
    sequences = {name: _frames_in(row) for name, row in run.sequences.items() if row.frames}
    targets = [
        sequences[fake.target] for pair in pairs for fake in pair.fakes if fake.frames and fake.target in sequences
    ]
    speeds = [speed for pair in pairs if (speed := pair.training.iterations_per_second) > 0]
    frame_pixels = sum(frames.count * frames.size for frames in targets) * _PIXELS
    extraction = run.recipe.get("extraction")
    identity = isinstance(extraction, dict) and extraction.get("identity") is True
    expected, took = _cpu_seconds(sequences.values(), targets, identity=identity), costs_of(pairs)
    is_whole = bool(pairs) and all(pair.state == "done" for pair in pairs) and not took.unknown
    return Rates(
        iterations_per_second=statistics.median(speeds) if speeds and alike else None,
        video_bytes=took.video_bytes / frame_pixels if took.video_bytes and frame_pixels else None,
        cpu_factor=took.cpu_seconds / expected if is_whole and took.cpu_seconds and expected else 1.0,
        on_gpu=took.gpu_seconds > 0 or not took.training_cpu_seconds,
    )


def _cpu_seconds(clips: Iterable[_Frames], targets: Iterable[_Frames], *, identity: bool) -> float:
    """Estimate the CPU time of all work but trainings.

    Args:
        clips: The clips, each once.
        targets: The target of each fake.
        identity: Whether faces have embeddings, and fakes are compared with a control.
    """
    seconds = 0.0
    for clip in clips:
        seconds += clip.count * (
            clip.size * (_READ + _ENCODE) + _FACES + identity * clip.share * _EMBEDDING / EMBEDDED_OF_CLIP
        )
    for target in targets:
        seconds += target.count * (target.size * (_READ + _SWAP + _ENCODE) + target.share * _NETWORK)
        if identity:  # fake and control: both read the target, and convert and search some of its frames
            of_frame = target.size * (_READ + _SWAP) + _NETWORK + _FACES + _EMBEDDING / _EMBEDDED_OF_FAKE
            seconds += 2 * (target.count * target.size * _READ + min(SAMPLED_FRAMES, target.count) * of_frame)
    return seconds


def _network(training: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in training.items() if name not in ("iterations", "seed")}


def _frames_of(facts: ClipFacts) -> _Frames:
    return _Frames(facts.frames, facts.width * facts.height / _PIXELS, facts.share)


def _frames_in(row: SequenceRecord) -> _Frames:
    return _Frames(row.frames, row.width * row.height / _PIXELS, row.faces / row.frames)


def _parameters(options: recipe_pb2.TrainingOptions) -> int:
    networks = Architecture.of(options).shapes()
    return sum(prod(shape) for shapes in networks.values() for shape in shapes.values())
