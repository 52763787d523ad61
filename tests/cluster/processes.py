"""Trainer processes on this machine whose Jobs are on the cluster; pytest finds the fixtures by `conftest.py`."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from facefoundry.settings import StoreSettings
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from tests.cluster.workers import ClusterWorkers
from tests.processes import environment_of
from tests.waiting import wait_until


@pytest.fixture
def request_for_a_pair(store: Store) -> trainer_pb2.StartTrainingRequest:
    """Asks to train a pair of extractions that are committed but empty; no real worker reads them here."""
    uris = []
    for seed in (1, 2):
        prefix = keys.extraction(keys.digest_of({"seed": seed}))
        manifest.commit(store, prefix, manifest.Manifest("extraction", {}, {}, (), {}, f"content-{seed}"))
        uris.append(store.uri(prefix))
    request = trainer_pb2.StartTrainingRequest(extraction_a_uri=uris[0], extraction_b_uri=uris[1], pair_id="A_B")
    request.recipe.name = "preview"
    return request


@pytest.fixture
def trainer(cluster: ClusterWorkers, store_settings: StoreSettings) -> Callable[..., Any]:
    """Runs trainer processes whose workers behave as their mode says."""

    @contextmanager
    def run(mode: str, **changes: Any) -> Iterator[tuple[str, trainer_pb2_grpc.TrainerServiceStub]]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        gpus = changes.pop("gpus", 0)
        jobs = {"job_template": cluster.template(mode, **changes), "jobs_namespace": cluster.namespace}
        environment = environment_of(store_settings, backend="kubernetes", listen=address, gpus=gpus, **jobs)
        environment["KUBECONFIG"] = str(cluster.kubeconfig)
        process = subprocess.Popen([sys.executable, "-m", "services.trainer"], env=environment)
        try:
            with grpc.insecure_channel(address) as channel:
                grpc.channel_ready_future(channel).result(timeout=120)
                yield address, trainer_pb2_grpc.TrainerServiceStub(channel)
        finally:
            process.terminate()
            assert process.wait(60) == 0

    return run


def in_state(stub: trainer_pb2_grpc.TrainerServiceStub, uri: str, state: int, seconds: float) -> trainer_pb2.Training:
    def training() -> trainer_pb2.Training:
        return stub.GetTraining(trainer_pb2.GetTrainingRequest(training_uri=uri)).training

    wait_until(lambda: training().state == state, seconds, every=0.2, failure=training)
    return training()
