"""A training has a longest time, whatever its iterations cost."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from facefoundry.errors import Unusable
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from services.trainer.settings import WorkerSettings
from services.trainer.worker import checkpoint
from services.trainer.worker.__main__ import exit_code
from services.trainer.worker.attempt_runner import AttemptRunner
from services.trainer.worker_protocol import Attempt, ExitCode


def test_a_training_over_its_hours_ends_for_good_with_a_reason_and_its_checkpoint_is_kept(
    store: Store, put_attempt: Callable[..., Attempt]
) -> None:
    attempt = put_attempt(iterations=40)

    def train(max_hours: float) -> None:
        settings = WorkerSettings(id="one", call_seconds=0.001, max_hours=max_hours)
        AttemptRunner(store, attempt, settings, threading.Event()).run()

    done = 0
    for _ in range(2):  # a worker that resumes counts the time of those before it
        with pytest.raises(Unusable, match=r"40 iterations within 1e-07 hours.*FACEFOUNDRY_WORKER_MAX_HOURS") as caught:
            train(1e-7)
        assert caught.value.reason == "MAX_HOURS" and exit_code(caught.value) == ExitCode.BAD_INPUT
        assert manifest.load_if_committed(store, attempt.model_prefix) is None
        kept = checkpoint.find_newest(store, attempt)
        assert kept is not None and done < kept.iteration < 40
        done = kept.iteration
    train(1.0)
    assert manifest.load(store, attempt.model_prefix).info["iterations"] == 40
