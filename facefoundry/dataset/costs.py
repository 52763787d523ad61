"""Sums what the results of a dataset took. What several pairs share, such as an extraction, counts once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from facefoundry.dataset.record import PairRecord, StageTime

__all__ = ["Costs", "costs_of"]

_TRAIN = "train"


@dataclass(frozen=True)
class Costs:
    """What results took.

    Attributes:
        gpu_seconds: Time of trainings on GPUs.
        training_cpu_seconds: CPU time of trainings.
        cpu_seconds: CPU time of all other work.
        energy_joules: Energy of the GPUs; None if there was no GPU, or NVML did not tell the energy of each training.
        stored_bytes: Bytes of results in the bucket, without clips and videos.
        video_bytes: Bytes of videos and masks.
        retries: Failed calls and transfers that were repeated, and further attempts at trainings.
        unknown: Number of results whose usage is not known.
    """

    gpu_seconds: float = 0.0
    training_cpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    energy_joules: float | None = None
    stored_bytes: int = 0
    video_bytes: int = 0
    retries: int = 0
    unknown: int = 0


def costs_of(pairs: Iterable[PairRecord]) -> Costs:
    """Return what the results of pairs took together."""
    shared: dict[str, StageTime] = {}
    own: list[StageTime] = []  # a pair that was trained again has two of some names
    for pair in pairs:
        for stage in pair.stages:
            if stage.stage.rpartition(" ")[2] in (pair.a, pair.b):
                shared[stage.stage] = stage
            else:
                own.append(stage)
    stages = [*shared.values(), *own]
    made = [stage for stage in stages if stage.stored_bytes or stage.video_bytes]
    trainings = [stage.usage for stage in made if stage.stage == _TRAIN and stage.usage]
    others = [stage.usage for stage in made if stage.stage != _TRAIN and stage.usage]
    on_gpu = [usage.energy_joules for usage in trainings if usage.gpu_seconds]
    known = [energy for energy in on_gpu if energy is not None]
    return Costs(
        gpu_seconds=sum(usage.gpu_seconds for usage in trainings),
        training_cpu_seconds=sum(usage.cpu_seconds for usage in trainings),
        cpu_seconds=sum(usage.cpu_seconds for usage in others),
        energy_joules=sum(known) if known and len(known) == len(on_gpu) else None,
        stored_bytes=sum(stage.stored_bytes for stage in made),
        video_bytes=sum(stage.video_bytes for stage in made),
        retries=sum(stage.retries for stage in stages),
        unknown=sum(stage.usage is None for stage in made),
    )
