"""Trainings on a release, as a client starts and follows them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facefoundry import recipes
from facefoundry.client import ENDED, Client
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import trainer_pb2
from tests.cluster.release import Release

RUNNING, QUEUED = trainer_pb2.TRAINING_STATE_RUNNING, trainer_pb2.TRAINING_STATE_QUEUED
SUCCEEDED, FAILED = trainer_pb2.TRAINING_STATE_SUCCEEDED, trainer_pb2.TRAINING_STATE_FAILED
TINY = {
    "training.encoder_filters": [4, 8, 8, 16],
    "training.bottleneck": 16,
    "training.upscale_filters": 16,
    "training.decoder_filters": [8, 4, 4],
    "training.batch_size": 8,
}


class Trainings:
    """Trainings on the pair's extractions; a seed makes one of its own."""

    def __init__(self, release: Release, dataset: Path, environment: Mapping[str, str]) -> None:
        self.release, self.dataset = release, dataset
        record = json.loads((dataset / "misc/report/run.json").read_text())
        (pair,) = record["pairs"]
        self.pair = str(pair["id"])
        self.extractions = [record["sequences"][one]["extraction_uri"] for one in self.pair.split("_")]
        known = {key.removeprefix("FACEFOUNDRY_").lower(): value for key, value in environment.items()}
        self.client = Client(read(ChannelSettings, **{key: known[key] for key in known if key.endswith("_address")}))

    def start(self, seed: int, iterations: int = 60) -> trainer_pb2.Training:
        """StartTraining with a tiny model."""
        first, second = self.extractions
        request = trainer_pb2.StartTrainingRequest(extraction_a_uri=first, extraction_b_uri=second, pair_id=self.pair)
        request.recipe.name = "preview"
        for field, value in {**TINY, "training.seed": seed, "training.iterations": iterations}.items():
            recipes.override(request.recipe, f"{field}={json.dumps(value)}")
        return self.client.start_training(request)

    def wait(
        self, training: trainer_pb2.Training, condition: Callable[[trainer_pb2.Training], bool], seconds: float = 240.0
    ) -> trainer_pb2.Training:
        """Wait until a training is as the condition wants it."""
        deadline = time.monotonic() + seconds
        while not condition(seen := self.client.get_training(training.uri)):
            assert seen.state not in ENDED, seen
            assert time.monotonic() < deadline, seen
            time.sleep(0.3)
        return seen

    def end(self, training: trainer_pb2.Training, state: int = SUCCEEDED) -> trainer_pb2.Training:
        """Wait until it has ended so."""
        return self.wait(training, lambda seen: seen.state == state, seconds=400)

    def job(self, training: trainer_pb2.Training) -> Any:
        (job,) = self.release.jobs_of(training.uri)
        return job

    def workers(self, training: trainer_pb2.Training) -> list[Any]:
        """All its pods, the newest last; a Job keeps those that ended."""
        return self.release.pods_of_job(self.job(training).metadata.name)


def tiny_flags() -> list[str]:
    """The tiny model as flags of the command."""
    return [f"--set={field}={json.dumps(value)}" for field, value in TINY.items()]
