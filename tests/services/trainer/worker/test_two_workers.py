"""Several workers of one training, as after a network partition or a paused machine: they make one model."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

from facefoundry.errors import Interrupted
from facefoundry.model import network, weights
from facefoundry.settings import StoreSettings
from facefoundry.storage import document, manifest
from facefoundry.storage.info import Restart
from facefoundry.storage.store import Store
from services.trainer import worker_protocol
from services.trainer.settings import WorkerSettings
from services.trainer.worker import checkpoint
from services.trainer.worker.attempt_runner import AttemptRunner
from services.trainer.worker_protocol import Attempt, ExitCode, Status
from tests.waiting import wait_until

Spawn = Callable[..., "subprocess.Popen[bytes]"]
PutAttempt = Callable[..., Attempt]

# The network of `tiny_recipe`.
TINY = network.Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4))


def uri_of(store: Store, attempt: Attempt) -> str:
    return store.uri(worker_protocol.attempt_key(attempt.prefix))


def status_of(store: Store, attempt: Attempt) -> Status | None:
    key = worker_protocol.status_key(attempt.prefix)
    return document.get(store, key, Status) if store.exists(key) else None


def under_way(store: Store, attempt: Attempt, worker: str) -> bool:
    status = status_of(store, attempt)
    return status is not None and status.worker == worker and status.checkpoint_iteration > 0


def objects(store: Store, prefix: str) -> dict[str, str]:
    return {key: hashlib.sha256(store.get_bytes(key)).hexdigest() for key in store.list(f"{prefix}/")}


def assert_whole(store: Store, attempt: Attempt) -> None:
    """The model's parts are those of its manifest, and its tensors those that the content digest says."""
    model = manifest.load(store, attempt.model_prefix)
    for part in model.parts:
        assert part.size == len(manifest.read_part(store, part))
    trained = manifest.read_part(store, model.part("weights.safetensors"))
    tensors, _ = weights.from_bytes(trained, weights.NETWORK_FORMAT)
    assert weights.content_digest(tensors) == model.content_digest
    assert model.info["iterations"] == attempt.iterations
    assert list(store.list(f"{worker_protocol.checkpoints_prefix(attempt.prefix)}/")) == []


def commit_foreign_model(store: Store, attempt: Attempt) -> None:
    """Commit what a machine of another type may have made of the same training: the same kind, other numbers."""
    other = network.build(TINY, seed=99)
    state = checkpoint.State(attempt.iterations, other.tensors(), {"moments/a/x/first": np.zeros(1, np.float32)})
    checkpoint.commit_model(store, attempt, state, other.to_bytes(), {})


@pytest.mark.timeout(1500)
def test_two_finish_at_once_and_a_third_wakes_up_after_them(
    store: Store, spawn: Spawn, put_attempt: PutAttempt
) -> None:
    attempt = put_attempt(iterations=60)
    often = {"call_seconds": 0.001, "status_seconds": 0.05, "checkpoint_seconds": 0.05, "threads": 1}
    late = spawn(uri_of(store, attempt), id="late", **often)
    wait_until(lambda: under_way(store, attempt, "late"))
    late.send_signal(signal.SIGSTOP)
    assert manifest.load_if_committed(store, attempt.model_prefix) is None, "it was paused too late"
    both = [spawn(uri_of(store, attempt), id=name, **often) for name in ("one", "two")]
    assert [process.wait(500) for process in both] == [ExitCode.DONE] * 2
    assert manifest.load_if_committed(store, attempt.model_prefix) is not None
    committed = objects(store, attempt.model_prefix)

    late.send_signal(signal.SIGCONT)
    assert late.wait(300) == ExitCode.DONE
    assert objects(store, attempt.model_prefix) == committed
    assert_whole(store, attempt)
    status = status_of(store, attempt)
    assert status is not None and status.attempt == 1 and status.iteration <= 60


def test_a_late_worker_with_another_result_leaves_the_committed_model_alone(
    store: Store, spawn: Spawn, put_attempt: PutAttempt
) -> None:
    attempt = put_attempt(iterations=20)
    # It does not read the bucket between its first report and the end.
    late = spawn(uri_of(store, attempt), id="late", call_seconds=0.1, status_seconds=1000, checkpoint_seconds=1000)
    wait_until(lambda: status_of(store, attempt) is not None)
    late.send_signal(signal.SIGSTOP)
    assert manifest.load_if_committed(store, attempt.model_prefix) is None, "it was paused too late"
    commit_foreign_model(store, attempt)
    committed = objects(store, attempt.model_prefix)
    late.send_signal(signal.SIGCONT)
    assert late.wait(300) == ExitCode.DONE
    assert objects(store, attempt.model_prefix) == committed
    assert_whole(store, attempt)


def test_a_model_that_came_while_the_own_parts_were_written_stays(store: Store, put_attempt: PutAttempt) -> None:
    attempt = put_attempt()
    commit_foreign_model(store, attempt)
    before = store.get_bytes(f"{attempt.model_prefix}/manifest.json")
    mine = network.build(TINY, seed=7)
    checkpoint.commit_model(
        store, attempt, checkpoint.State(attempt.iterations, mine.tensors(), {}), mine.to_bytes(), {}
    )
    assert store.get_bytes(f"{attempt.model_prefix}/manifest.json") == before
    assert_whole(store, attempt)


def test_checkpoints_beyond_the_committed_model_are_kept_for_more_iterations(
    store: Store, put_attempt: PutAttempt
) -> None:
    attempt = put_attempt(iterations=300)
    restart = Restart(100, 1e-4)
    for worker, iteration in (("short", 200), ("equal", 300), ("beyond", 700)):
        made = checkpoint.Checkpoints(store, attempt, worker)
        made.begin(checkpoint.State(iteration, {"w": np.ones(1, np.float32)}, {}, restart=restart))
        made.finish()
    checkpoint.delete_obsolete(store, attempt)
    left = {key.split("/")[3] for key in store.list(f"{worker_protocol.checkpoints_prefix(attempt.prefix)}/")}
    assert left == {"beyond"}
    found = checkpoint.find_newest(store, put_attempt(iterations=1000))
    assert found is not None and found.iteration == 700


class HookedStore(Store):
    """A store that calls a function once, right after an object was written or before keys were listed."""

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self._hooks: dict[str, Callable[[], object]] = {}

    def at(self, key: str, act: Callable[[], object]) -> None:
        """Call `act` when a key is next written, or a prefix next listed."""
        self._hooks[key] = act

    def put_bytes(
        self,
        key: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().put_bytes(key, data, content_type, metadata)
        self._call_hook(key)

    def list(self, prefix: str) -> Iterator[str]:
        self._call_hook(prefix)
        return super().list(prefix)

    def _call_hook(self, key: str) -> None:
        if act := self._hooks.pop(key, None):
            act()


def test_a_worker_stopped_after_another_has_committed_ends_as_done(store: Store, put_attempt: PutAttempt) -> None:
    attempt, stop = put_attempt(iterations=6), threading.Event()
    hooked = HookedStore(store.settings)

    def commit_and_stop() -> None:
        commit_foreign_model(store, attempt)
        stop.set()

    hooked.at(worker_protocol.status_key(attempt.prefix), commit_and_stop)
    settings = WorkerSettings(id="mine", call_seconds=0.01, status_seconds=1000, checkpoint_seconds=1000)
    AttemptRunner(hooked, attempt, settings, stop).run()
    assert stop.is_set()
    assert_whole(store, attempt)


def test_a_worker_stopped_before_it_looks_for_a_checkpoint_changes_nothing(
    store: Store, put_attempt: PutAttempt
) -> None:
    attempt, stop = put_attempt(iterations=6), threading.Event()
    before = list(store.list(attempt.prefix))
    stop.set()
    with pytest.raises(Interrupted, match="before its first iteration"):
        AttemptRunner(store, attempt, WorkerSettings(id="mine"), stop).run()
    assert list(store.list(attempt.prefix)) == before


def test_a_worker_stopped_while_it_looks_for_a_checkpoint_changes_nothing(
    store: Store, put_attempt: PutAttempt
) -> None:
    attempt, stop = put_attempt(iterations=6), threading.Event()
    before = list(store.list(attempt.prefix))
    hooked = HookedStore(store.settings)
    hooked.at(f"{worker_protocol.checkpoints_prefix(attempt.prefix)}/", stop.set)
    with pytest.raises(Interrupted, match="before its first iteration"):
        AttemptRunner(hooked, attempt, WorkerSettings(id="mine"), stop).run()
    assert stop.is_set()
    assert list(store.list(attempt.prefix)) == before


def test_uploads_downloads_and_iterations_are_activity_and_silence_is_none(
    store: Store, put_attempt: PutAttempt
) -> None:
    runner = AttemptRunner(store, put_attempt(), WorkerSettings(id="mine"), threading.Event())
    acts = (
        lambda: store.put_bytes("trainings/x", bytes(8 << 20)),
        lambda: store.get_bytes("trainings/x"),
        lambda: runner.progress.update(1),
    )
    for act in acts:
        before = runner.last_activity
        assert runner.last_activity == before, "silence is no activity"
        act()
        assert runner.last_activity > before
