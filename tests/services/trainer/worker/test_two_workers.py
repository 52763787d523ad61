"""Several workers at one training, as after a partition or a paused machine: one model, and nobody comes to harm."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from services.trainer.worker.job import Job

from facefoundry.errors import Interrupted
from facefoundry.model import network, weights
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from services.trainer import worker_protocol
from services.trainer.settings import WorkerSettings
from services.trainer.worker import checkpoint
from services.trainer.worker_protocol import Attempt, ExitCode, Status

Spawn = Callable[..., "subprocess.Popen[bytes]"]
PutAttempt = Callable[..., Attempt]
WaitFor = Callable[[Callable[[], bool]], None]

# The network of `tiny_recipe`.
TINY = network.Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4))


def uri_of(store: Store, request: Attempt) -> str:
    return store.uri(worker_protocol.attempt_key(request.prefix))


def status_of(store: Store, request: Attempt) -> Status | None:
    key = worker_protocol.status_key(request.prefix)
    return worker_protocol.from_json(Status, store.get_bytes(key)) if store.exists(key) else None


def under_way(store: Store, request: Attempt, worker: str) -> bool:
    status = status_of(store, request)
    return status is not None and status.worker == worker and status.checkpoint_iteration > 0


def objects(store: Store, prefix: str) -> dict[str, str]:
    return {key: hashlib.sha256(store.get_bytes(key)).hexdigest() for key in store.list(f"{prefix}/")}


def assert_whole(store: Store, request: Attempt) -> None:
    """The model's parts are those of its manifest, and its tensors those that the content digest says."""
    model = manifest.load(store, request.model_prefix)
    for part in model.parts:
        assert part.size == len(manifest.read_part(store, part))
    trained = manifest.read_part(store, model.part("weights.safetensors"))
    tensors, _ = weights.from_bytes(trained, weights.NETWORK_FORMAT)
    assert weights.content_digest(tensors) == model.content_digest
    assert model.info["iterations"] == request.iterations
    assert list(store.list(f"{worker_protocol.checkpoints_prefix(request.prefix)}/")) == []


def commit_foreign_model(store: Store, request: Attempt) -> None:
    """Commit what a machine of another type may have made of the same training: the same kind, other numbers."""
    other = network.build(TINY, seed=99)
    state = checkpoint.State(request.iterations, other.tensors(), {"moments/a/x/first": np.zeros(1, np.float32)})
    checkpoint.commit_model(store, request, state, other.to_bytes(), {})


@pytest.mark.timeout(1500)
def test_two_run_to_the_end_at_once_and_a_third_wakes_up_behind_them(
    store: Store, spawn: Spawn, put_attempt: PutAttempt, wait_for: WaitFor
) -> None:
    request = put_attempt(iterations=60)
    pace = {"call_seconds": 0.001, "status_seconds": 0.05, "checkpoint_seconds": 0.05, "threads": 1}
    late = spawn(uri_of(store, request), id="late", **pace)
    wait_for(lambda: under_way(store, request, "late"))
    late.send_signal(signal.SIGSTOP)
    assert manifest.load_if_committed(store, request.model_prefix) is None, "it was paused too late"
    both = [spawn(uri_of(store, request), id=name, **pace) for name in ("one", "two")]
    assert [process.wait(500) for process in both] == [ExitCode.DONE] * 2
    assert manifest.load_if_committed(store, request.model_prefix) is not None
    committed = objects(store, request.model_prefix)

    late.send_signal(signal.SIGCONT)
    assert late.wait(300) == ExitCode.DONE
    assert objects(store, request.model_prefix) == committed
    assert_whole(store, request)
    status = status_of(store, request)
    assert status is not None and status.attempt == 1 and status.iteration <= 60


def test_a_late_worker_with_another_result_leaves_the_committed_model_alone(
    store: Store, spawn: Spawn, put_attempt: PutAttempt, wait_for: WaitFor
) -> None:
    request = put_attempt(iterations=20)
    # It looks at nothing between its first report and the end.
    late = spawn(uri_of(store, request), id="late", call_seconds=0.1, status_seconds=1000, checkpoint_seconds=1000)
    wait_for(lambda: status_of(store, request) is not None)
    late.send_signal(signal.SIGSTOP)
    assert manifest.load_if_committed(store, request.model_prefix) is None, "it was paused too late"
    commit_foreign_model(store, request)
    committed = objects(store, request.model_prefix)
    late.send_signal(signal.SIGCONT)
    assert late.wait(300) == ExitCode.DONE
    assert objects(store, request.model_prefix) == committed
    assert_whole(store, request)


def test_a_model_that_came_while_the_own_parts_were_written_stays(store: Store, put_attempt: PutAttempt) -> None:
    request = put_attempt()
    commit_foreign_model(store, request)
    before = store.get_bytes(f"{request.model_prefix}/manifest.json")
    mine = network.build(TINY, seed=7)
    checkpoint.commit_model(
        store, request, checkpoint.State(request.iterations, mine.tensors(), {}), mine.to_bytes(), {}
    )
    assert store.get_bytes(f"{request.model_prefix}/manifest.json") == before
    assert_whole(store, request)


def test_checkpoints_beyond_the_committed_model_are_kept_for_more_iterations(
    store: Store, put_attempt: PutAttempt
) -> None:
    request = put_attempt(iterations=300)
    for worker, iteration in (("short", 200), ("equal", 300), ("beyond", 700)):
        made = checkpoint.Checkpoints(store, request, worker)
        made.begin(checkpoint.State(iteration, {"w": np.ones(1, np.float32)}, {}))
        made.finish()
    checkpoint.delete_all(store, request)
    left = {key.split("/")[3] for key in store.list(f"{worker_protocol.checkpoints_prefix(request.prefix)}/")}
    assert left == {"beyond"}
    found = checkpoint.find_newest(store, put_attempt(iterations=1000))
    assert found is not None and found.iteration == 700


def test_a_worker_stopped_after_another_has_committed_ends_as_done(store: Store, put_attempt: PutAttempt) -> None:
    request = put_attempt(iterations=6)
    stop = threading.Event()
    settings = WorkerSettings(id="mine", call_seconds=0.01, status_seconds=1000, checkpoint_seconds=1000)
    job = Job(store, request, settings, stop)
    meanwhile = job._iterate

    def commit_first(*arguments: Any) -> bool:
        commit_foreign_model(store, request)
        stop.set()
        return meanwhile(*arguments)

    job._iterate = commit_first  # type: ignore[method-assign]
    try:
        job.run()
    except Interrupted:
        pytest.fail("there is nothing left to be interrupted")
    assert_whole(store, request)


def test_a_worker_told_to_stop_before_its_first_iteration_leaves_at_once_and_changes_nothing(
    store: Store, put_attempt: PutAttempt
) -> None:
    request = put_attempt(iterations=6)
    before = list(store.list(request.prefix))
    for moment in ("_done_elsewhere", "_resume"):
        stop = threading.Event()
        job = Job(store, request, WorkerSettings(id="mine"), stop)
        meanwhile = getattr(job, moment)

        def and_stop(*arguments: Any, stop: threading.Event = stop, meanwhile: Any = meanwhile) -> Any:
            stop.set()
            return meanwhile(*arguments)

        setattr(job, moment, and_stop)
        with pytest.raises(Interrupted, match="before its first iteration"):
            job.run()
        assert list(store.list(request.prefix)) == before


def test_a_long_upload_is_no_idleness_and_silence_is(store: Store, put_attempt: PutAttempt) -> None:
    job = Job(store, put_attempt(), WorkerSettings(id="mine"), threading.Event())
    begun = time.monotonic()
    job.progress.moved = begun - 10_000
    store.put_bytes("trainings/x", bytes(8 << 20))
    assert job.moved >= begun, "an answered upload is movement"
    store._connections.last_activity = begun - 10_000
    assert store.get_bytes("trainings/x")
    assert job.moved >= begun, "a download is movement"
    store._connections.last_activity = job.progress.moved = begun - 10_000
    assert begun - job.moved >= 10_000, "silence is not"
