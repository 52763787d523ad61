"""What the trainer tells Prometheus of trainings."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY

from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.stalls import Stalls
from tests.services.trainer.documents import LONG_AGO, attempt_of, put_status, sign_model
from tests.services.trainer.replicas import Replica

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def value(name: str, replica: Replica) -> float:
    return REGISTRY.get_sample_value(name, {"backend": replica.backend.name}) or 0.0


def test_iterations_and_seconds_are_counted_once_when_a_training_ends(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica("done")
    before = [value(f"facefoundry_training_{name}_total", replica) for name in ("iterations", "seconds")]
    started = replica.trainings.start(ask())
    model = manifest.Manifest("model", {}, {}, (), {"seconds": 7.5}, "content")
    sign_model(store, attempt_of(store, started), model)
    replica.wait_for(started.uri, trainer_pb2.Training.STATE_SUCCEEDED)
    replica.trainings.get(started.uri)
    after = [value(f"facefoundry_training_{name}_total", replica) for name in ("iterations", "seconds")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [6, 7.5]


def test_a_silent_worker_is_counted_until_it_reports_or_nobody_asks(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica("hang")
    started = replica.trainings.start(ask())
    replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING)
    attempt = attempt_of(store, started)
    put_status(store, attempt, updated=LONG_AGO)
    assert replica.trainings.get(started.uri).state == trainer_pb2.Training.STATE_STALLED
    assert value("facefoundry_trainings_stalled", replica) == 1
    put_status(store, attempt)
    replica.trainings.get(started.uri)
    assert value("facefoundry_trainings_stalled", replica) == 0

    now = [0.0]
    stalls = Stalls("unasked", lambda: now[0])
    stalls.see("a", is_stalled=True)
    assert stalls.count() == 1
    now[0] = 301.0
    assert stalls.count() == 0
