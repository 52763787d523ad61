"""Checkpoints on a real store: what is kept, what is found, what is passed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facefoundry.errors import Unavailable, Unusable
from facefoundry.model import weights
from facefoundry.model.network import FORMAT
from facefoundry.storage import manifest
from facefoundry.storage.info import ModelInfo, Restart
from facefoundry.storage.store import Store
from facefoundry.storage.usage import Usage
from services.trainer import signing
from services.trainer.worker import checkpoint
from services.trainer.worker.checkpoint import Checkpoints, State
from services.trainer.worker.history import History
from services.trainer.worker_protocol import Attempt, Preview, checkpoints_prefix
from tests.waiting import wait_until

MakeAttempt = Callable[..., Attempt]


def state(iteration: int) -> State:
    history = History()
    history.add(iteration, np.full((iteration, 2), 0.1, np.float32))
    return State(
        iteration,
        {"encoder/conv_1/kernel": np.full((2, 3), iteration, np.float32)},
        {"moments/a/encoder/conv_1/kernel/first": np.full((2, 3), -iteration, np.float32)},
        history,
        (Preview(1, "previews/1.jpg"),),
        1.5,
        (1, 4),
        usage=Usage(30.5, 20.0, 400.0),
    )


def write(store: Store, attempt: Attempt, worker: str, *iterations: int, restart: Restart | None = None) -> Checkpoints:
    made = Checkpoints(store, attempt, worker)
    for iteration in iterations:
        made.begin(replace(state(iteration), restart=restart))
    made.finish()
    return made


def commit_model(store: Store, attempt: Attempt, iterations: int, restart: Restart | None = None) -> None:
    reached = replace(attempt, iterations=iterations)
    network = weights.to_bytes(state(iterations).weights, {"format": FORMAT})
    checkpoint.commit_model(store, reached, replace(state(iterations), restart=restart), network, {})


def assert_same(found: State | None, expected: State) -> None:
    assert found is not None
    assert found.metadata() == expected.metadata()
    for left, right in ((found.weights, expected.weights), (found.moments, expected.moments)):
        assert left.keys() == right.keys()
        assert all(np.array_equal(left[name], right[name]) for name in left)


def test_nothing_is_found_where_nothing_was_written(store: Store, make_attempt: MakeAttempt) -> None:
    assert checkpoint.find_newest(store, make_attempt()) is None


def test_a_checkpoint_comes_back_whole(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    assert write(store, attempt, "one", 3).iteration == 3
    assert_same(checkpoint.find_newest(store, attempt), state(3))


def test_two_checkpoints_are_kept_under_keys_with_their_digest(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    write(store, attempt, "one", 1, 2, 3)
    prefix = f"{checkpoints_prefix(attempt.prefix)}/one"
    committed = manifest.load(store, prefix)
    assert [part.name for part in committed.parts] == ["0000002.safetensors", "0000003.safetensors"]
    assert sorted(store.list(prefix)) == sorted([f"{prefix}/manifest.json", *(part.key for part in committed.parts)])
    assert all(part.key == f"{prefix}/{part.name[:7]}-{part.sha256}.safetensors" for part in committed.parts)


def test_the_highest_iteration_of_all_workers_is_taken(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt(iterations=100)
    write(store, attempt, "one", 10, 40)
    write(store, attempt, "two", 20, 30)
    assert_same(checkpoint.find_newest(store, attempt), state(40))


def test_iterations_beyond_the_wanted_are_left_aside(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt(iterations=35)
    write(store, attempt, "one", 10, 40)
    write(store, attempt, "two", 30)
    assert_same(checkpoint.find_newest(store, attempt), state(30))


def test_states_from_after_a_restart_come_first_whatever_their_iterations(
    store: Store, make_attempt: MakeAttempt
) -> None:
    attempt = make_attempt(iterations=100)
    commit_model(store, attempt, 30)
    write(store, attempt, "a worker that does not know of the restart yet", 60, 80)
    restart = Restart(50, 1e-4)
    write(store, attempt, "one", 40)
    assert_same(checkpoint.find_newest(store, attempt), state(80))
    write(store, attempt, "one", 0, restart=restart)
    assert_same(checkpoint.find_newest(store, attempt), replace(state(0), restart=restart))
    write(store, attempt, "two", 10, 20, restart=restart)
    assert_same(checkpoint.find_newest(store, attempt), replace(state(20), restart=restart))
    commit_model(store, attempt, 70, restart)
    assert_same(checkpoint.find_newest(store, attempt), replace(state(70), restart=restart))
    model = manifest.load(store, replace(attempt, iterations=70).model_prefix)
    assert model.info_as(ModelInfo).restart == restart
    assert manifest.load(store, replace(attempt, iterations=30).model_prefix).info_as(ModelInfo).restart is None


def test_a_restart_after_more_iterations_than_wanted_is_left_aside(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt(iterations=35)
    write(store, attempt, "one", 30)
    write(store, attempt, "two", 10, 20, restart=Restart(40, 1e-4))
    assert_same(checkpoint.find_newest(store, attempt), state(30))


def test_a_damaged_checkpoint_is_passed_over(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt(iterations=100)
    write(store, attempt, "one", 10, 40)
    newest = manifest.load(store, f"{checkpoints_prefix(attempt.prefix)}/one").part("0000040.safetensors")
    data = bytearray(store.get_bytes(newest.key))
    data[-1] ^= 1
    store.put_bytes(newest.key, bytes(data))
    assert_same(checkpoint.find_newest(store, attempt), state(10))
    store.delete([newest.key])
    assert_same(checkpoint.find_newest(store, attempt), state(10))


def test_a_checkpoint_of_a_newer_version_is_told_and_not_passed_over(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    write(store, attempt, "worker", 1, 2)
    (prefix,) = {key.rpartition("/")[0] for key in store.list(f"{checkpoints_prefix(attempt.prefix)}/")}
    found = manifest.load(store, prefix)
    newest = max(found.parts, key=lambda part: part.name)
    data = weights.to_bytes(state(2).weights, {"format": "facefoundry.checkpoint/2"})
    newer = manifest.put_part(store, prefix, newest.name, data)
    made = replace(found, parts=(found.parts[0], newer))
    manifest.commit(store, prefix, signing.signed(signing.load(store, attempt.training), prefix, made), replace=True)
    with pytest.raises(Unusable, match=r"format facefoundry\.checkpoint/2") as caught:
        checkpoint.find_newest(store, attempt)
    assert caught.value.reason == "NEWER_FORMAT"


def test_a_checkpoint_without_its_manifest_does_not_exist(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    write(store, attempt, "one", 3)
    store.delete([f"{checkpoints_prefix(attempt.prefix)}/one/manifest.json"])
    assert checkpoint.find_newest(store, attempt) is None


def test_more_iterations_go_on_from_a_committed_model(store: Store, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt(iterations=1000)
    commit_model(store, attempt, 300)
    write(store, attempt, "one", 200)
    assert_same(checkpoint.find_newest(store, attempt), state(300))
    write(store, attempt, "two", 700)
    assert_same(checkpoint.find_newest(store, attempt), state(700))


def test_b09_the_model_that_is_kept_is_that_of_the_last_iteration_and_checkpoints_go(
    store: Store, make_attempt: MakeAttempt
) -> None:
    attempt = make_attempt(iterations=6)
    write(store, attempt, "one", 2, 4)
    commit_model(store, attempt, 6)
    checkpoint.delete_obsolete(store, attempt)
    assert list(store.list(checkpoints_prefix(attempt.prefix))) == []
    model = manifest.load(store, attempt.model_prefix)
    assert model.kind == "model"
    assert {part.name for part in model.parts} == {"weights.safetensors", "optimizer.safetensors"}
    assert model.info["losses"] == [[number, pytest.approx(0.1), pytest.approx(0.1)] for number in range(1, 7)]
    assert model.info["previews"] == [{"iteration": 1, "key": "previews/1.jpg", "similarity": []}]
    assert model.info["seconds"] == 1.5
    assert model.content_digest == weights.content_digest(state(6).weights)
    assert model.usage == Usage(30.5, 20.0, 400.0)
    kept, _ = weights.from_bytes(manifest.read_part(store, model.part("weights.safetensors")), FORMAT)
    assert np.array_equal(kept["encoder/conv_1/kernel"], state(6).weights["encoder/conv_1/kernel"])


class FailingStore(Store):
    """A store that can be made unavailable for writing."""

    failing = False

    def put_file(
        self,
        key: str,
        path: Path,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if self.failing:
            raise Unavailable("The store does not answer.")
        super().put_file(key, path, content_type, metadata)


def test_a_failed_checkpoint_is_reported_at_the_end_unless_the_next_one_succeeds(
    store: Store, make_attempt: MakeAttempt
) -> None:
    attempt = make_attempt()
    failing = FailingStore(store.settings)
    checkpoints = Checkpoints(failing, attempt, "one")
    failing.failing = True
    checkpoints.begin(state(2))
    with pytest.raises(Unavailable):
        checkpoints.finish()
    assert checkpoints.iteration == 0
    checkpoints.begin(state(3))
    wait_until(lambda: not checkpoints.busy)
    failing.failing = False
    checkpoints.begin(state(4))
    checkpoints.finish()
    assert checkpoints.iteration == 4
    assert_same(checkpoint.find_newest(store, attempt), state(4))


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({}, "iteration"),
        ({"iteration": "1", "previews": [], "history": {}, "seconds": 0}, "iteration"),
        ({"iteration": 1, "previews": [], "history": {"stride": "x"}, "seconds": 0}, "history.stride"),
        ({"iteration": 1, "previews": [{"key": "x"}], "history": {}, "seconds": 0}, "previews.0.iteration"),
    ],
)
def test_wrong_metadata_is_refused_with_its_field(metadata: dict[str, object], field: str) -> None:
    with pytest.raises(Unusable, match=field) as caught:
        State.of({}, metadata)
    assert caught.value.reason == "NOT_A_CHECKPOINT"
