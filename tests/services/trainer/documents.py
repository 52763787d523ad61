"""What a worker or a replica would have put into the bucket."""

from __future__ import annotations

from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import handoff
from services.trainer.handoff import Request, Status


def request_of(store: Store, training: trainer_pb2.Training) -> Request:
    prefix = store.prefix_of(training.uri, "trainings")
    return handoff.from_json(Request, store.get_bytes(handoff.request_key(prefix)))


def commit_model(store: Store, request: Request) -> None:
    manifest.commit(store, request.model_prefix, manifest.Manifest("model", {}, {}, (), {}, "content"))


def put_status(store: Store, request: Request, **fields: object) -> None:
    status = Status(request.attempt, "worker", 3, request.iterations, **fields)  # type: ignore[arg-type]
    store.put_bytes(handoff.status_key(request.prefix), handoff.to_json(status))
