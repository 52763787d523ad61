"""Checkpoints on a real store: what is kept, what is found, what is passed over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from facefoundry.errors import FaceFoundryError, Unusable
from facefoundry.model import weights
from facefoundry.model.network import FORMAT
from facefoundry.settings import StoreSettings
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from services.trainer.worker import checkpoint
from services.trainer.worker.checkpoint import Checkpoints, State
from services.trainer.worker.history import History
from services.trainer.worker_protocol import Attempt, Preview, checkpoints_prefix

MakeRequest = Callable[..., Attempt]


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
    )


def write(store: Store, request: Attempt, worker: str, *iterations: int) -> Checkpoints:
    made = Checkpoints(store, request, worker)
    for iteration in iterations:
        made.begin(state(iteration))
    made.finish()
    return made


def commit_model(store: Store, request: Attempt, iterations: int) -> None:
    reached = Attempt(**{**vars(request), "iterations": iterations})
    network = weights.to_bytes(state(iterations).weights, {"format": FORMAT})
    checkpoint.commit_model(store, reached, state(iterations), network, {})


def assert_same(found: State | None, expected: State) -> None:
    assert found is not None
    assert found.facts() == expected.facts()
    for one, other in ((found.weights, expected.weights), (found.moments, expected.moments)):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_nothing_is_found_where_nothing_was_written(store: Store, make_attempt: MakeRequest) -> None:
    assert checkpoint.find_newest(store, make_attempt()) is None


def test_a_checkpoint_comes_back_whole(store: Store, make_attempt: MakeRequest) -> None:
    request = make_attempt()
    assert write(store, request, "one", 3).iteration == 3
    assert_same(checkpoint.find_newest(store, request), state(3))


def test_two_checkpoints_are_kept_under_keys_with_their_digest(store: Store, make_attempt: MakeRequest) -> None:
    request = make_attempt()
    write(store, request, "one", 1, 2, 3)
    prefix = f"{checkpoints_prefix(request.prefix)}/one"
    committed = manifest.load(store, prefix)
    assert [part.name for part in committed.parts] == ["0000002.safetensors", "0000003.safetensors"]
    assert sorted(store.list(prefix)) == sorted([f"{prefix}/manifest.json", *(part.key for part in committed.parts)])
    assert all(part.key == f"{prefix}/{part.name[:7]}-{part.sha256}.safetensors" for part in committed.parts)


def test_the_highest_iteration_of_all_workers_is_taken(store: Store, make_attempt: MakeRequest) -> None:
    request = make_attempt(iterations=100)
    write(store, request, "one", 10, 40)
    write(store, request, "two", 20, 30)
    assert_same(checkpoint.find_newest(store, request), state(40))


def test_iterations_beyond_the_wanted_are_left_aside(store: Store, make_attempt: MakeRequest) -> None:
    request = make_attempt(iterations=35)
    write(store, request, "one", 10, 40)
    write(store, request, "two", 30)
    assert_same(checkpoint.find_newest(store, request), state(30))


def test_a_damaged_checkpoint_is_passed_over(store: Store, make_attempt: MakeRequest) -> None:
    request = make_attempt(iterations=100)
    write(store, request, "one", 10, 40)
    newest = manifest.load(store, f"{checkpoints_prefix(request.prefix)}/one").part("0000040.safetensors")
    data = bytearray(store.get_bytes(newest.key))
    data[-1] ^= 1
    store.put_bytes(newest.key, bytes(data))
    assert_same(checkpoint.find_newest(store, request), state(10))
    store.delete([newest.key])
    assert_same(checkpoint.find_newest(store, request), state(10))


def test_a_checkpoint_without_its_manifest_does_not_exist(store: Store, make_attempt: MakeRequest) -> None:
    request = make_attempt()
    write(store, request, "one", 3)
    store.delete([f"{checkpoints_prefix(request.prefix)}/one/manifest.json"])
    assert checkpoint.find_newest(store, request) is None


def test_more_iterations_go_on_from_a_committed_model(store: Store, make_attempt: MakeRequest) -> None:
    request = make_attempt(iterations=1000)
    commit_model(store, request, 300)
    write(store, request, "one", 200)
    assert_same(checkpoint.find_newest(store, request), state(300))
    write(store, request, "two", 700)
    assert_same(checkpoint.find_newest(store, request), state(700))


def test_b09_the_model_that_is_kept_is_that_of_the_last_iteration_and_checkpoints_go(
    store: Store, make_attempt: MakeRequest
) -> None:
    request = make_attempt(iterations=6)
    write(store, request, "one", 2, 4)
    commit_model(store, request, 6)
    checkpoint.delete_all(store, request)
    assert list(store.list(checkpoints_prefix(request.prefix))) == []
    model = manifest.load(store, request.model_prefix)
    assert model.kind == "model"
    assert {part.name for part in model.parts} == {"weights.safetensors", "optimizer.safetensors"}
    assert model.info["losses"] == [[number, pytest.approx(0.1), pytest.approx(0.1)] for number in range(1, 7)]
    assert model.info["previews"] == [{"iteration": 1, "key": "previews/1.jpg"}]
    assert model.info["seconds"] == 1.5
    assert model.content_digest == weights.content_digest(state(6).weights)
    kept, _ = weights.from_bytes(manifest.read_part(store, model.part("weights.safetensors")), FORMAT)
    assert np.array_equal(kept["encoder/conv_1/kernel"], state(6).weights["encoder/conv_1/kernel"])


def test_a_failed_checkpoint_is_told_at_the_end_and_made_good_by_the_next(
    store: Store, store_settings: StoreSettings, make_attempt: MakeRequest
) -> None:
    request = make_attempt()
    dead = Store(store_settings.model_copy(update={"endpoint": "127.0.0.1:1", "attempts": 1}))
    failing = Checkpoints(dead, request, "one")
    failing.begin(state(2))
    with pytest.raises(FaceFoundryError):
        failing.finish()
    assert failing.iteration == 0
    failing.begin(state(3))
    failing._store = store
    failing.begin(state(4))
    failing.finish()
    assert failing.iteration == 4
    assert_same(checkpoint.find_newest(store, request), state(4))


@pytest.mark.parametrize("facts", [{}, {"iteration": 1, "previews": [], "history": {}, "seconds": 0}])
def test_facts_that_are_none_of_a_state_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(Unusable) as caught:
        State.of({}, facts)
    assert caught.value.reason == "NOT_A_CHECKPOINT"
