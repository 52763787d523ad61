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
from services.trainer import worker_protocol
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import ENDED, Trainings, job_name
from tests.services.trainer.documents import attempt_of, commit_model, put_status

MakeTrainings = Callable[..., Trainings]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def wait_for(trainings: Trainings, uri: str, *states: int) -> trainer_pb2.Training:
    deadline = time.monotonic() + 20
    while True:
        training = trainings.get(uri)
        if training.state in states:
            return training
        assert time.monotonic() < deadline, training
        time.sleep(0.05)


def test_a_training_has_one_name_and_starting_it_again_finds_it(
    store: Store, make_trainings: MakeTrainings, ask: Ask
) -> None:
    trainings = make_trainings()
    started = trainings.start(ask())
    assert started.uri.startswith(store.uri("trainings/"))
    assert (started.pair_id, started.dataset, started.attempt, started.iterations) == ("A_B", "set", 1, 6)
    running = wait_for(trainings, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)
    again = trainings.start(ask(pair="X_Y"))
    assert (again.uri, again.attempt, again.create_time) == (started.uri, 1, running.create_time)
    assert trainings.start(ask(seed=1)).uri != started.uri


def test_another_number_of_iterations_is_the_same_training_and_conflicts_while_it_runs(
    make_trainings: MakeTrainings, ask: Ask
) -> None:
    trainings = make_trainings()
    started = trainings.start(ask())
    wait_for(trainings, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)
    with pytest.raises(Conflict, match="6 iterations"):
        trainings.start(ask(iterations=9))
    trainings.cancel(started.uri)
    further = trainings.start(ask(iterations=9))
    assert (further.uri, further.attempt, further.iterations) == (started.uri, 2, 9)


def test_success_needs_the_model(store: Store, make_trainings: MakeTrainings, ask: Ask) -> None:
    trainings = make_trainings("done")
    started = trainings.start(ask())
    failed = wait_for(trainings, started.uri, *ENDED)
    assert failed.state == trainer_pb2.TRAINING_STATE_FAILED
    assert failed.failure.reason == "MODEL_MISSING"
    assert not failed.model_uri


def test_a_finished_training_is_known_to_a_trainer_without_memory(
    store: Store, make_trainings: MakeTrainings, ask: Ask
) -> None:
    trainings = make_trainings("done")
    request = attempt_of(store, make_trainings("hang").start(ask()))
    commit_model(store, request)
    trainings._backend.start(job_name(request), "")
    done = wait_for(trainings, store.uri(request.prefix), trainer_pb2.TRAINING_STATE_SUCCEEDED)
    assert done.model_uri == store.uri(request.model_prefix)
    assert done.iteration == done.iterations == 6

    other = make_trainings("crash")
    assert other.get(done.uri) == done
    assert other.list("", 0, "") == ([done], "")
    assert other.start(ask()) == done


@pytest.mark.parametrize("lost", ["models/", ""], ids=["the model", "the bucket"])
def test_what_was_trained_and_got_lost_is_trained_again(
    store: Store, make_trainings: MakeTrainings, ask: Ask, lost: str
) -> None:
    trainings = make_trainings("done")
    started = trainings.start(ask(iterations=1))
    wait_for(trainings, started.uri, *ENDED)
    again = trainings.start(ask(iterations=6))
    commit_model(store, attempt_of(store, again))
    wait_for(trainings, again.uri, trainer_pb2.TRAINING_STATE_SUCCEEDED)
    assert trainings.start(ask(iterations=6)).attempt == again.attempt == 2
    kept = [key for key in store.list("") if key.startswith("extractions/")] if not lost else []
    store.delete([key for key in store.list(lost) if key not in kept])
    anew = trainings.start(ask(iterations=6))
    assert anew.attempt == 3
    assert trainings._backend.get(job_name(attempt_of(store, anew))) is not None


def test_a_failure_names_the_workers_reason_and_the_next_start_is_a_new_attempt(
    make_trainings: MakeTrainings, ask: Ask
) -> None:
    trainings = make_trainings("words")
    failed = wait_for(trainings, trainings.start(ask()).uri, *ENDED)
    assert failed.state == trainer_pb2.TRAINING_STATE_FAILED
    assert (failed.failure.reason, failed.failure.message) == ("NO_FACES", "There is no face.")
    assert failed.iteration == 3
    again = trainings.start(ask())
    assert (again.uri, again.attempt) == (failed.uri, 2)
    assert again.state not in ENDED
    assert not again.HasField("failure")


def test_a_worker_without_last_words_is_named_a_crash(make_trainings: MakeTrainings, ask: Ask) -> None:
    trainings = make_trainings("crash", restarts=1)
    failed = wait_for(trainings, trainings.start(ask()).uri, *ENDED)
    assert failed.failure.reason == "WORKER_CRASHED"
    assert "exit code 1" in failed.failure.message


def test_a_cancelled_training_stays_cancelled_until_it_is_started_again(
    make_trainings: MakeTrainings, ask: Ask
) -> None:
    trainings = make_trainings()
    started = trainings.start(ask())
    assert trainings.cancel(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    assert trainings.cancel(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    assert make_trainings().get(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    again = trainings.start(ask())
    assert again.attempt == 2
    assert again.state not in ENDED
    wait_for(trainings, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)


def test_a_training_whose_trainer_died_is_taken_on_again(store: Store, make_trainings: MakeTrainings, ask: Ask) -> None:
    started = make_trainings().start(ask())
    successor = make_trainings("hang")
    assert successor.get(started.uri).state == trainer_pb2.TRAINING_STATE_QUEUED
    assert successor.start(ask()).attempt == 1
    wait_for(successor, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)


def test_a_job_that_has_been_gone_for_long_is_lost_and_started_anew(
    store: Store, make_trainings: MakeTrainings, ask: Ask
) -> None:
    request = attempt_of(store, make_trainings().start(ask()))
    old = worker_protocol.Attempt(**{**vars(request), "created": "2020-01-01T00:00:00+00:00"})
    store.put_bytes(worker_protocol.attempt_key(request.prefix), worker_protocol.to_json(old))
    successor = make_trainings()
    lost = successor.get(store.uri(request.prefix))
    assert (lost.state, lost.failure.reason) == (trainer_pb2.TRAINING_STATE_FAILED, "JOB_LOST")
    assert successor.start(ask()).attempt == 2


def test_fewer_iterations_whose_model_exists_are_found_not_trained(
    store: Store, make_trainings: MakeTrainings, ask: Ask
) -> None:
    trainings = make_trainings()
    started = trainings.start(ask(iterations=9))
    trainings.cancel(started.uri)
    commit_model(store, worker_protocol.Attempt(**{**vars(attempt_of(store, started)), "iterations": 6}))
    found = trainings.start(ask(iterations=6))
    assert found.state == trainer_pb2.TRAINING_STATE_SUCCEEDED
    assert found.model_uri.endswith("/6")
    assert trainings.get(started.uri) == found


def test_status_reports_show_and_a_silent_worker_is_stalled(
    store: Store, make_trainings: MakeTrainings, ask: Ask
) -> None:
    trainings = make_trainings()
    started = trainings.start(ask())
    wait_for(trainings, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)
    request = attempt_of(store, started)
    put_status(
        store, request, iterations_per_second=2.0, eta_seconds=1.5, losses=((3, 0.25, 0.5),), checkpoint_iteration=2
    )
    running = trainings.get(started.uri)
    assert running.state == trainer_pb2.TRAINING_STATE_RUNNING
    assert (running.iteration, running.checkpoint_iteration) == (3, 2)
    assert (running.iterations_per_second, running.eta_seconds) == (2.0, 1.5)
    assert (running.loss_a, running.loss_b) == (0.25, 0.5)
    put_status(store, request, updated="2020-01-01T00:00:00+00:00", iterations_per_second=2.0)
    stalled = trainings.get(started.uri)
    assert stalled.state == trainer_pb2.TRAINING_STATE_STALLED
    assert stalled.iterations_per_second == 0


def test_a_status_of_an_earlier_attempt_says_nothing(store: Store, make_trainings: MakeTrainings, ask: Ask) -> None:
    trainings = make_trainings()
    started = trainings.start(ask())
    put_status(store, attempt_of(store, started))
    trainings.cancel(started.uri)
    assert trainings.start(ask()).iteration == 0


def test_pages_list_every_training_once_newest_first(make_trainings: MakeTrainings, ask: Ask) -> None:
    trainings = make_trainings()
    uris = [trainings.start(ask(seed=seed, dataset="even" if seed % 2 == 0 else "odd")).uri for seed in range(5)]
    seen, token, pages = [], "", 0
    while True:
        page, token = trainings.list("", 2, token)
        seen += [training.uri for training in page]
        pages += 1
        if not token:
            break
    assert seen == uris[::-1]
    assert pages == 3
    assert [training.uri for training in trainings.list("even", 0, "")[0]] == uris[4::-2]
    assert trainings.list("none", 0, "") == ([], "")


@pytest.mark.parametrize("token", ["x", "bm90IGpzb24=", "WzFd"])
def test_a_foreign_page_token_is_refused(make_trainings: MakeTrainings, token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_trainings().list("", 0, token)
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
def test_wrong_fields_are_named(make_trainings: MakeTrainings, ask: Ask, change: dict[str, str], field: str) -> None:
    asked = ask()
    for name, value in change.items():
        setattr(asked, name, value)
    with pytest.raises(InvalidInput) as caught:
        make_trainings().start(asked)
    assert caught.value.violations[0].field == field


def test_what_does_not_exist_is_not_found(store: Store, make_trainings: MakeTrainings, ask: Ask) -> None:
    trainings = make_trainings()
    asked = ask()
    asked.extraction_a_uri = store.uri("extractions/" + "0" * 40)
    with pytest.raises(NotFound):
        trainings.start(asked)
    for call in (trainings.get, trainings.cancel):
        with pytest.raises(NotFound):
            call(store.uri("trainings/" + "0" * 40))


def test_the_digest_is_free_of_iterations_and_labels_but_not_of_options() -> None:
    options = recipes.options(recipes.load("preview").training)
    digest = worker_protocol.training_digest("a", "b", options, "1")
    assert worker_protocol.training_digest("a", "b", {**options, "iterations": 7}, "1") == digest
    for other in (("b", "a", options, "1"), ("a", "b", {**options, "bottleneck": 7}, "1"), ("a", "b", options, "2")):
        assert worker_protocol.training_digest(*other) != digest


@contextmanager
def serving(
    store: Store, trainings: Trainings, settings: TrainerSettings
) -> Iterator[tuple[Server, trainer_pb2_grpc.TrainerServiceStub]]:
    server = Server("trainer", settings, store, "facefoundry.v1.TrainerService")
    servicer = TrainerServicer(trainings, settings, server.draining)
    server.add(lambda made: trainer_pb2_grpc.add_TrainerServiceServicer_to_server(servicer, made))
    port = server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield server, trainer_pb2_grpc.TrainerServiceStub(channel)
    server.stop()


def test_watching_begins_with_a_snapshot_follows_changes_and_beats(
    store: Store, make_trainings: MakeTrainings, ask: Ask
) -> None:
    settings = TrainerSettings(listen="127.0.0.1:0", poll_seconds=0.05, heartbeat_seconds=0.5, drain_seconds=5)
    trainings = make_trainings()
    with serving(store, trainings, settings) as (_, stub):
        started = stub.StartTraining(ask()).training
        wait_for(trainings, started.uri, trainer_pb2.TRAINING_STATE_RUNNING)
        stream = iter(stub.WatchTraining(trainer_pb2.WatchTrainingRequest(training_uri=started.uri)))
        assert next(stream).training.state == trainer_pb2.TRAINING_STATE_RUNNING
        before = time.monotonic()
        assert next(stream).training.iteration == 0
        assert 0.3 < time.monotonic() - before < 2
        put_status(store, attempt_of(store, started))
        assert next(stream).training.iteration == 3
        assert stub.GetTraining(trainer_pb2.GetTrainingRequest(training_uri=started.uri)).training.iteration == 3
        assert len(stub.ListTrainings(trainer_pb2.ListTrainingsRequest(dataset="set")).trainings) == 1
        stub.CancelTraining(trainer_pb2.CancelTrainingRequest(training_uri=started.uri))
        states = [message.training.state for message in stream]
        assert states[-1] == trainer_pb2.TRAINING_STATE_CANCELLED


def test_a_stopping_trainer_ends_its_watches_as_unavailable(
    store: Store, make_trainings: MakeTrainings, ask: Ask
) -> None:
    settings = TrainerSettings(listen="127.0.0.1:0", poll_seconds=0.05, drain_seconds=5)
    with serving(store, make_trainings(), settings) as (server, stub):
        started = stub.StartTraining(ask()).training
        stream = iter(stub.WatchTraining(trainer_pb2.WatchTrainingRequest(training_uri=started.uri)))
        next(stream)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        stopping.join()
