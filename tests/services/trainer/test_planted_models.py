"""What no worker of a training has made is no model of it, wherever it was put: real trainers, backends and a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from facefoundry.errors import NotFound
from facefoundry.storage import document, keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import signing
from services.trainer.messages import ENDED
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import Attempt
from tests.services.trainer.documents import attempt_of, commit_model
from tests.services.trainer.replicas import Replica

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def plant(store: Store, prefix: str, signature: str = "") -> None:
    """Commit a model as whoever may write below `models/` can."""
    part = manifest.put_part(store, prefix, "weights.safetensors", b"planted")
    made = Manifest("model", {}, {}, (part,), {"iterations": 6}, "content", signature=signature)
    manifest.commit(store, prefix, made, replace=True)


@pytest.mark.parametrize("signature", ["", "0" * 64])
def test_a_model_that_was_there_before_the_training_is_none(
    store: Store, make_replica: MakeReplica, ask: Ask, signature: str
) -> None:
    known = attempt_of(store, make_replica().trainings.start(ask()))
    store.delete([*store.list("trainings/"), *store.list("signing/")])
    plant(store, known.model_prefix, signature)
    replica = make_replica()
    started = replica.trainings.start(ask())
    assert started.state not in ENDED and not started.model_uri
    assert replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING).uri == store.uri(known.prefix)
    assert replica.trainings.cancel(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert replica.trainings.get(started.uri).state == trainer_pb2.Training.STATE_CANCELLED


def test_a_planted_training_that_ended_with_a_planted_model_is_trained(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica("done")
    started = replica.trainings.start(ask())
    attempt = attempt_of(store, started)
    commit_model(store, attempt)
    assert replica.wait_for(started.uri, *ENDED).state == trainer_pb2.Training.STATE_SUCCEEDED
    store.delete([*store.list("signing/")])  # all else stays, as if it had been copied from elsewhere
    again = make_replica("hang").trainings.start(ask())
    assert (again.attempt, again.model_uri) == (2, "")
    assert again.state not in ENDED


def test_success_needs_a_model_that_a_worker_of_the_training_signed(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica("done")
    started = replica.trainings.start(ask())
    plant(store, attempt_of(store, started).model_prefix)
    failed = replica.wait_for(started.uri, *ENDED)
    assert (failed.state, failed.failure.reason) == (trainer_pb2.Training.STATE_FAILED, "MODEL_MISSING")


@pytest.mark.parametrize("change", ["another training", "other iterations", "other bytes", "other content", "options"])
def test_a_signature_is_of_one_model_at_one_prefix(
    store: Store, put_attempt: Callable[..., Attempt], change: str
) -> None:
    documents, attempt = TrainingStore(store), put_attempt()
    commit_model(store, attempt)
    assert documents.has_model(attempt)
    right = manifest.load(store, attempt.model_prefix)
    if change == "another training":
        attempt = put_attempt(faces=5)
    elif change == "other iterations":
        attempt = replace(attempt, iterations=9)
    elif change == "other bytes":
        part = manifest.put_part(store, attempt.model_prefix, "weights.safetensors", b"planted")
        right = replace(right, parts=(part,))
    elif change == "other content":
        right = replace(right, content_digest="other")
    else:
        right = replace(right, options={"batch_size": 1})
    manifest.commit(store, attempt.model_prefix, right, replace=True)
    assert not documents.has_model(attempt)


def test_the_key_of_a_training_is_made_once_and_every_training_has_another(
    store: Store, put_attempt: Callable[..., Attempt]
) -> None:
    first, other = put_attempt(), put_attempt(faces=5)
    key = signing.load(store, first.training)
    assert signing.load(store, other.training) != key
    TrainingStore(store).save_attempt(replace(first, number=2))
    assert signing.load(store, first.training) == key
    assert document.get(store, keys.signing(first.training), signing.SigningKey) == key
    with pytest.raises(NotFound, match="Start the training again") as caught:
        signing.load(store, "f" * 40)
    assert caught.value.reason == "NO_SIGNING_KEY"
