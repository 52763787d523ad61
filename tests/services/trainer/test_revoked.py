"""A training of revoked faces is not started, and its model is not found: real trainers, backends and a store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from facefoundry.errors import Unusable
from facefoundry.storage import keys
from facefoundry.storage.revocation import Tombstone, bury
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from tests.services.trainer.documents import attempt_of, commit_model
from tests.services.trainer.replicas import Replica

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def revoke(store: Store, digest: str) -> None:
    bury(store, Tombstone(digest, "extractions", "0" * 40, "2026-11-29T12:00:00+00:00"))


def test_a_training_of_a_revoked_extraction_is_not_started(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    request = ask()
    revoke(store, request.extraction_b_uri.rpartition("/")[2])
    with pytest.raises(Unusable) as caught:
        make_replica().trainings.start(request)
    assert caught.value.reason == "REVOKED" and store.objects("trainings/") == ()


def test_a_stored_model_of_a_revoked_training_is_not_found(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica, request = make_replica("done"), ask()
    started = replica.trainings.start(request)
    attempt = attempt_of(store, started)
    commit_model(store, attempt)
    assert replica.wait_for(started.uri, trainer_pb2.Training.STATE_SUCCEEDED)
    revoke(store, attempt.training)
    for call in (lambda: replica.trainings.start(request), lambda: commit_model(store, attempt)):
        with pytest.raises(Unusable) as caught:
            call()
        assert caught.value.reason == "REVOKED"
    (listed,), _ = make_replica().trainings.list("set", 10, "")
    assert keys.training(attempt.training) in listed.uri
