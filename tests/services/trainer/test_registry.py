"""Trainings over real storage and a real process backend, through the real gRPC server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import pytest

from facefoundry import recipes
from facefoundry.errors import Conflict, InvalidInput, NotFound
from facefoundry.rpc.server import Server
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from services.trainer import handoff
from services.trainer.registry import ENDED, Registry, job_name
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from tests.services.trainer.documents import commit_model, put_status, request_of

MakeRegistry = Callable[..., Registry]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def wait_for(registry: Registry, uri: str, *states: int) -> trainer_pb2.Training:
    deadline = time.monotonic() + 20
    while True:
        training = registry.get(uri)
        if training.state in states:
            return training
        assert time.monotonic() < deadline, training
        time.sleep(0.05)


def test_a_training_has_one_name_and_starting_it_again_finds_it(
    store: Store, make_registry: MakeRegistry, ask: Ask
) -> None:
    registry = make_registry()
    started = registry.start(ask())
    assert started.uri.startswith(store.uri("trainings/"))
    assert (started.pair_id, started.dataset, started.attempt, started.iterations) == ("A_B", "set", 1, 6)
    running = wait_for(registry, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)
    again = registry.start(ask(pair="X_Y"))
    assert (again.uri, again.attempt, again.create_time) == (started.uri, 1, running.create_time)
    assert registry.start(ask(seed=1)).uri != started.uri


def test_another_number_of_iterations_is_the_same_training_and_conflicts_while_it_runs(
    make_registry: MakeRegistry, ask: Ask
) -> None:
    registry = make_registry()
    started = registry.start(ask())
    wait_for(registry, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)
    with pytest.raises(Conflict, match="6 iterations"):
        registry.start(ask(iterations=9))
    registry.cancel(started.uri)
    further = registry.start(ask(iterations=9))
    assert (further.uri, further.attempt, further.iterations) == (started.uri, 2, 9)


def test_success_needs_the_model(store: Store, make_registry: MakeRegistry, ask: Ask) -> None:
    registry = make_registry("done")
    started = registry.start(ask())
    failed = wait_for(registry, started.uri, *ENDED)
    assert failed.state == trainer_pb2.TRAINING_STATE_FAILED
    assert failed.failure.reason == "MODEL_MISSING"
    assert not failed.model_uri


def test_a_finished_training_is_known_to_a_trainer_without_memory(
    store: Store, make_registry: MakeRegistry, ask: Ask
) -> None:
    registry = make_registry("done")
    request = request_of(store, make_registry("hang").start(ask()))
    commit_model(store, request)
    registry._backend.start(job_name(request), "")
    done = wait_for(registry, store.uri(request.prefix), trainer_pb2.TRAINING_STATE_SUCCEEDED)
    assert done.model_uri == store.uri(request.model_prefix)
    assert done.iteration == done.iterations == 6

    other = make_registry("crash")
    assert other.get(done.uri) == done
    assert other.list("", 0, "") == ([done], "")
    assert other.start(ask()) == done


@pytest.mark.parametrize("lost", ["models/", ""], ids=["the model", "the bucket"])
def test_what_was_trained_and_got_lost_is_trained_again(
    store: Store, make_registry: MakeRegistry, ask: Ask, lost: str
) -> None:
    registry = make_registry("done")
    started = registry.start(ask(iterations=1))
    wait_for(registry, started.uri, *ENDED)
    again = registry.start(ask(iterations=6))
    commit_model(store, request_of(store, again))
    wait_for(registry, again.uri, trainer_pb2.TRAINING_STATE_SUCCEEDED)
    assert registry.start(ask(iterations=6)).attempt == again.attempt == 2
    kept = [key for key in store.list("") if key.startswith("extractions/")] if not lost else []
    store.delete([key for key in store.list(lost) if key not in kept])
    anew = registry.start(ask(iterations=6))
    assert anew.attempt == 3
    assert registry._backend.get(job_name(request_of(store, anew))) is not None


def test_a_failure_names_the_workers_reason_and_the_next_start_is_a_new_attempt(
    make_registry: MakeRegistry, ask: Ask
) -> None:
    registry = make_registry("words")
    failed = wait_for(registry, registry.start(ask()).uri, *ENDED)
    assert failed.state == trainer_pb2.TRAINING_STATE_FAILED
    assert (failed.failure.reason, failed.failure.message) == ("NO_FACES", "There is no face.")
    assert failed.iteration == 3
    again = registry.start(ask())
    assert (again.uri, again.attempt) == (failed.uri, 2)
    assert again.state not in ENDED
    assert not again.HasField("failure")


def test_a_worker_without_last_words_is_named_a_crash(make_registry: MakeRegistry, ask: Ask) -> None:
    registry = make_registry("crash", restarts=1)
    failed = wait_for(registry, registry.start(ask()).uri, *ENDED)
    assert failed.failure.reason == "WORKER_CRASHED"
    assert "exit code 1" in failed.failure.message


def test_a_cancelled_training_stays_cancelled_until_it_is_started_again(make_registry: MakeRegistry, ask: Ask) -> None:
    registry = make_registry()
    started = registry.start(ask())
    assert registry.cancel(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    assert registry.cancel(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    assert make_registry().get(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    again = registry.start(ask())
    assert again.attempt == 2
    assert again.state not in ENDED
    wait_for(registry, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)


def test_a_training_whose_trainer_died_is_taken_on_again(store: Store, make_registry: MakeRegistry, ask: Ask) -> None:
    started = make_registry().start(ask())
    successor = make_registry("hang")
    assert successor.get(started.uri).state == trainer_pb2.TRAINING_STATE_QUEUED
    assert successor.start(ask()).attempt == 1
    wait_for(successor, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)


def test_a_job_that_has_been_gone_for_long_is_lost_and_started_anew(
    store: Store, make_registry: MakeRegistry, ask: Ask
) -> None:
    request = request_of(store, make_registry().start(ask()))
    old = handoff.Request(**{**vars(request), "created": "2020-01-01T00:00:00+00:00"})
    store.put_bytes(handoff.request_key(request.prefix), handoff.to_json(old))
    successor = make_registry()
    lost = successor.get(store.uri(request.prefix))
    assert (lost.state, lost.failure.reason) == (trainer_pb2.TRAINING_STATE_FAILED, "JOB_LOST")
    assert successor.start(ask()).attempt == 2


def test_fewer_iterations_whose_model_exists_are_found_not_trained(
    store: Store, make_registry: MakeRegistry, ask: Ask
) -> None:
    registry = make_registry()
    started = registry.start(ask(iterations=9))
    registry.cancel(started.uri)
    commit_model(store, handoff.Request(**{**vars(request_of(store, started)), "iterations": 6}))
    found = registry.start(ask(iterations=6))
    assert found.state == trainer_pb2.TRAINING_STATE_SUCCEEDED
    assert found.model_uri.endswith("/6")
    assert registry.get(started.uri) == found


def test_status_reports_show_and_a_silent_worker_is_stalled(
    store: Store, make_registry: MakeRegistry, ask: Ask
) -> None:
    registry = make_registry()
    started = registry.start(ask())
    wait_for(registry, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)
    request = request_of(store, started)
    put_status(
        store, request, iterations_per_second=2.0, eta_seconds=1.5, losses=((3, 0.25, 0.5),), checkpoint_iteration=2
    )
    running = registry.get(started.uri)
    assert running.state == trainer_pb2.TRAINING_STATE_RUNNING
    assert (running.iteration, running.checkpoint_iteration) == (3, 2)
    assert (running.iterations_per_second, running.eta_seconds) == (2.0, 1.5)
    assert (running.loss_a, running.loss_b) == (0.25, 0.5)
    put_status(store, request, updated="2020-01-01T00:00:00+00:00", iterations_per_second=2.0)
    stalled = registry.get(started.uri)
    assert stalled.state == trainer_pb2.TRAINING_STATE_STALLED
    assert stalled.iterations_per_second == 0


def test_a_status_of_an_earlier_attempt_says_nothing(store: Store, make_registry: MakeRegistry, ask: Ask) -> None:
    registry = make_registry()
    started = registry.start(ask())
    put_status(store, request_of(store, started))
    registry.cancel(started.uri)
    assert registry.start(ask()).iteration == 0


def test_pages_list_every_training_once_newest_first(make_registry: MakeRegistry, ask: Ask) -> None:
    registry = make_registry()
    uris = [registry.start(ask(seed=seed, dataset="even" if seed % 2 == 0 else "odd")).uri for seed in range(5)]
    seen, token, pages = [], "", 0
    while True:
        page, token = registry.list("", 2, token)
        seen += [training.uri for training in page]
        pages += 1
        if not token:
            break
    assert seen == uris[::-1]
    assert pages == 3
    assert [training.uri for training in registry.list("even", 0, "")[0]] == uris[4::-2]
    assert registry.list("none", 0, "") == ([], "")


@pytest.mark.parametrize("token", ["x", "bm90IGpzb24=", "WzFd"])
def test_a_foreign_page_token_is_refused(make_registry: MakeRegistry, token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_registry().list("", 0, token)
    assert caught.value.violations[0].field == "page_token"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pair_id": "A"}, "pair_id"),
        ({"pair_id": "A_B_C"}, "pair_id"),
        ({"pair_id": "a b_c"}, "pair_id"),
        ({"dataset": "a/b"}, "dataset"),
        ({"extraction_b_uri": "s3://elsewhere/extractions/" + "0" * 40}, "extraction_b_uri"),
        ({"extraction_a_uri": "x"}, "extraction_a_uri"),
    ],
)
def test_wrong_fields_are_named(make_registry: MakeRegistry, ask: Ask, change: dict[str, str], field: str) -> None:
    asked = ask()
    for name, value in change.items():
        setattr(asked, name, value)
    with pytest.raises(InvalidInput) as caught:
        make_registry().start(asked)
    assert caught.value.violations[0].field == field


def test_what_does_not_exist_is_not_found(store: Store, make_registry: MakeRegistry, ask: Ask) -> None:
    registry = make_registry()
    asked = ask()
    asked.extraction_a_uri = store.uri("extractions/" + "0" * 40)
    with pytest.raises(NotFound):
        registry.start(asked)
    for call in (registry.get, registry.cancel):
        with pytest.raises(NotFound):
            call(store.uri("trainings/" + "0" * 40))


def test_the_digest_is_free_of_iterations_and_labels_but_not_of_options() -> None:
    options = recipes.options(recipes.load("preview").training)
    digest = handoff.training_digest("a", "b", options, "1")
    assert handoff.training_digest("a", "b", {**options, "iterations": 7}, "1") == digest
    for other in (("b", "a", options, "1"), ("a", "b", {**options, "bottleneck": 7}, "1"), ("a", "b", options, "2")):
        assert handoff.training_digest(*other) != digest


@contextmanager
def serving(
    store: Store, registry: Registry, settings: TrainerSettings
) -> Iterator[tuple[Server, trainer_pb2_grpc.TrainerServiceStub]]:
    server = Server("trainer", settings, store, "facefoundry.v1.TrainerService")
    servicer = TrainerServicer(registry, settings, server.draining)
    server.add(lambda made: trainer_pb2_grpc.add_TrainerServiceServicer_to_server(servicer, made))
    port = server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield server, trainer_pb2_grpc.TrainerServiceStub(channel)
    server.stop()


def test_watching_begins_with_a_snapshot_follows_changes_and_beats(
    store: Store, make_registry: MakeRegistry, ask: Ask
) -> None:
    settings = TrainerSettings(listen="127.0.0.1:0", poll_seconds=0.05, heartbeat_seconds=0.5, drain_seconds=5)
    registry = make_registry()
    with serving(store, registry, settings) as (_, stub):
        started = stub.StartTraining(ask()).training
        wait_for(registry, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)
        stream = iter(stub.WatchTraining(trainer_pb2.WatchTrainingRequest(training_uri=started.uri)))
        assert next(stream).training.state == trainer_pb2.TRAINING_STATE_RUNNING
        before = time.monotonic()
        assert next(stream).training.iteration == 0
        assert 0.3 < time.monotonic() - before < 2
        put_status(store, request_of(store, started))
        assert next(stream).training.iteration == 3
        assert stub.GetTraining(trainer_pb2.GetTrainingRequest(training_uri=started.uri)).training.iteration == 3
        assert len(stub.ListTrainings(trainer_pb2.ListTrainingsRequest(dataset="set")).trainings) == 1
        stub.CancelTraining(trainer_pb2.CancelTrainingRequest(training_uri=started.uri))
        states = [message.training.state for message in stream]
        assert states[-1] == trainer_pb2.TRAINING_STATE_CANCELLED


def test_a_stopping_trainer_ends_its_watches_as_unavailable(
    store: Store, make_registry: MakeRegistry, ask: Ask
) -> None:
    settings = TrainerSettings(listen="127.0.0.1:0", poll_seconds=0.05, drain_seconds=5)
    with serving(store, make_registry(), settings) as (server, stub):
        started = stub.StartTraining(ask()).training
        stream = iter(stub.WatchTraining(trainer_pb2.WatchTrainingRequest(training_uri=started.uri)))
        next(stream)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        stopping.join()
