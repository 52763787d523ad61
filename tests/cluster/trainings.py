"""Trainings on a release, as a client starts and follows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facefoundry.client import ENDED, Client
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import trainer_pb2
from tests import tiny
from tests.cluster.release import Release
from tests.waiting import wait_until

RUNNING, QUEUED = trainer_pb2.Training.STATE_RUNNING, trainer_pb2.Training.STATE_QUEUED
SUCCEEDED, FAILED = trainer_pb2.Training.STATE_SUCCEEDED, trainer_pb2.Training.STATE_FAILED


# Large enough for a training to last while pods are deleted.
NETWORK: dict[str, object] = {
    "training__encoder_filters": [4, 8, 8, 16],
    "training__bottleneck": 16,
    "training__upscale_filters": 16,
    "training__batch_size": 8,
}


class Trainings:
    """Trainings of the pair's extractions; each seed is a training of its own."""

    def __init__(self, release: Release, dataset: Path, environment: Mapping[str, str]) -> None:
        self.release, self.dataset = release, dataset
        record = RunFolder(FfppLayout(dataset).run_folder()).load_run()
        (self.pair,) = record.pairs
        self.extractions = [record.sequences[name].extraction_uri for name in self.pair.split("_")]
        known = {key.removeprefix("FACEFOUNDRY_").lower(): value for key, value in environment.items()}
        self.client = Client(read(ChannelSettings, **{key: known[key] for key in known if key.endswith("_address")}))

    def start(self, seed: int, iterations: int = 60) -> trainer_pb2.Training:
        """StartTraining with a tiny model."""
        first, second = self.extractions
        request = trainer_pb2.StartTrainingRequest(extraction_a_uri=first, extraction_b_uri=second, pair_id=self.pair)
        request.recipe.CopyFrom(tiny.recipe(**NETWORK, training__seed=seed, training__iterations=iterations))
        return self.client.start_training(request)

    def wait(
        self, training: trainer_pb2.Training, condition: Callable[[trainer_pb2.Training], bool], seconds: float = 240.0
    ) -> trainer_pb2.Training:
        """Return the training once the condition holds for it."""
        seen = training

        def reached() -> bool:
            nonlocal seen
            seen = self.client.get_training(training.uri)
            holds = condition(seen)
            assert holds or seen.state not in ENDED, seen
            return holds

        wait_until(reached, seconds, every=0.3, failure=lambda: seen)
        return seen

    def end(self, training: trainer_pb2.Training, state: int = SUCCEEDED) -> trainer_pb2.Training:
        """Return the training once it has ended in a state."""
        return self.wait(training, lambda seen: seen.state == state, seconds=400)

    def job(self, training: trainer_pb2.Training) -> Any:
        (job,) = self.release.jobs_of(training.uri)
        return job

    def workers(self, training: trainer_pb2.Training) -> list[Any]:
        """All its pods, the newest last; a Job keeps those that ended."""
        return self.release.pods_of_job(self.job(training).metadata.name)

    def evict(self, worker: Any) -> None:
        """Evict the pod of a worker, as a node does that is drained."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": worker.metadata.name}}
        self.release.core.create_namespaced_pod_eviction(worker.metadata.name, self.release.jobs, eviction)

    def assert_resumed(self, training: trainer_pb2.Training, victim: Any, checkpoint: int, iterations: int) -> None:
        """Another pod went on from the victim's checkpoint or a later one, and the model has all its iterations."""
        ended = self.end(training)
        assert (ended.attempt, ended.iteration) == (1, iterations)
        assert ended.model_uri.rpartition("/")[2] == str(iterations)
        last = self.workers(training)[-1]
        assert last.metadata.uid != victim.metadata.uid
        log = self.release.core.read_namespaced_pod_log(last.metadata.name, self.release.jobs)
        (resumed,) = (json.loads(line) for line in log.splitlines() if '"resumed"' in line)
        assert checkpoint <= resumed["iteration"] < iterations
