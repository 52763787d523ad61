"""Readiness while the store hangs: no replica is taken away for a fault that all of them share."""

from __future__ import annotations

import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facefoundry.settings import read
from facefoundry.storage import keys
from facefoundry.storage.store import Store
from facefoundry.v1 import info_pb2, info_pb2_grpc, trainer_pb2, trainer_pb2_grpc
from services.trainer.__main__ import build
from services.trainer.backends.local import LocalBackend, LocalSettings
from services.trainer.settings import TrainerSettings
from tests.stores.stalls import Stalls
from tests.waiting import wait_until

QUICK_THREADS = 32
SERVICE = "facefoundry.v1.TrainerService"


@pytest.fixture
def trainer(store, tmp_path):
    """A trainer on a store behind a proxy that never answers, and an open channel to it."""
    backend = LocalBackend(read(LocalSettings), command=("false",))
    settings = read(TrainerSettings, listen="127.0.0.1:0", scratch_dir=tmp_path, drain_seconds=1.0)
    with Stalls(store.settings.endpoint, silent=True) as proxy:
        behind = store.settings.model_copy(update={"endpoint": proxy.endpoint, "timeout_seconds": 600.0, "attempts": 1})
        server, _ = build(settings, Store(behind), backend)
        with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
            yield channel
    server.stop()
    backend.close()


def readiness(channel: grpc.Channel):
    check = health_pb2_grpc.HealthStub(channel).Check
    return check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=60).status


def test_a_trainer_whose_threads_all_wait_for_a_store_that_hangs_stays_ready_and_says_what_hangs(store, trainer):
    stub = trainer_pb2_grpc.TrainerServiceStub(trainer)
    request = trainer_pb2.GetTrainingRequest(training_uri=store.uri(keys.training("1" * 40)))
    calls = [stub.GetTraining.future(request) for _ in range(QUICK_THREADS + 1)]
    wait_until(lambda: sum(thread.name.startswith("call-quick") for thread in threading.enumerate()) == QUICK_THREADS)
    assert not any(call.done() for call in calls)
    assert readiness(trainer) == health_pb2.HealthCheckResponse.SERVING
    info = info_pb2_grpc.InfoServiceStub(trainer).GetInfo(info_pb2.GetInfoRequest(), timeout=60)
    assert not info.store.reachable and "does not answer" in info.store.detail
