"""What a worker or a replica would have put into the bucket."""

from __future__ import annotations

from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import worker_protocol
from services.trainer.worker_protocol import Attempt, Status


def attempt_of(store: Store, training: trainer_pb2.Training) -> Attempt:
    prefix = store.prefix_of(training.uri, "trainings")
    return worker_protocol.from_json(Attempt, store.get_bytes(worker_protocol.attempt_key(prefix)))


def commit_model(store: Store, request: Attempt) -> None:
    manifest.commit(store, request.model_prefix, manifest.Manifest("model", {}, {}, (), {}, "content"))


def put_status(store: Store, request: Attempt, **fields: object) -> None:
    status = Status(request.attempt, "worker", 3, request.iterations, **fields)  # type: ignore[arg-type]
    store.put_bytes(worker_protocol.status_key(request.prefix), worker_protocol.to_json(status))
