"""Documents that a worker or a replica would put into the bucket."""

from __future__ import annotations

from dataclasses import replace

from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import signing
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import Attempt, Status

LONG_AGO = "2020-01-01T00:00:00+00:00"


def attempt_of(store: Store, training: trainer_pb2.Training) -> Attempt:
    """The newest attempt at a training."""
    return TrainingStore(store).load(keys.prefix_of(store.bucket, training.uri, "trainings"))


def make_old(store: Store, training: trainer_pb2.Training) -> None:
    """Make the newest attempt one that was created long ago."""
    TrainingStore(store).save_attempt(replace(attempt_of(store, training), created=LONG_AGO))


def commit_model(store: Store, attempt: Attempt) -> None:
    """Commit an empty model, as a worker does."""
    sign_model(store, attempt, manifest.Manifest("model", {}, {}, (), {}, "content"))


def sign_model(store: Store, attempt: Attempt, made: manifest.Manifest) -> None:
    """Sign and commit the manifest of a model, as a worker does."""
    key, prefix = signing.load(store, attempt.training), attempt.model_prefix
    manifest.commit(store, prefix, signing.signed(key, prefix, made))


def put_status(store: Store, attempt: Attempt, **fields: object) -> None:
    """Save a status after iteration 3."""
    status = replace(Status(attempt.number, "worker", 3, attempt.iterations), **fields)  # type: ignore[arg-type]  # checked when it is saved
    TrainingStore(store).save_status(attempt, status)
