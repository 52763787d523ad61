"""The worker of a training that is revoked ends, and is not started again: a real worker and a store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from facefoundry.storage.revocation import Tombstone, bury
from facefoundry.storage.store import Store
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import Attempt, ExitCode, attempt_key
from tests.services.trainer.worker.conftest import Spawn
from tests.waiting import wait_until


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_worker_whose_training_is_revoked_ends_without_a_model(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt]
) -> None:
    attempt, documents = put_attempt(iterations=1_000_000), TrainingStore(store)
    worker = spawn(store.uri(attempt_key(attempt.prefix)), call_seconds=0.05, status_seconds=0.2, threads=1)
    wait_until(lambda: (status := documents.find_status(attempt)) is not None and status.iteration > 0, 300)
    bury(store, Tombstone(attempt.training, "trainings", "0" * 40, "2026-11-29T12:00:00+00:00"))
    assert worker.wait(120) == ExitCode.BAD_INPUT
    assert not store.objects("models/")
