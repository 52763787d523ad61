"""Trainings over real storage and a real process backend, through the real gRPC server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import pytest

from facefoundry import recipes
from facefoundry.errors import Conflict, InvalidInput, NotFound, Unavailable
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import Restart
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer import worker_protocol
from services.trainer.backends.base import JobState
from services.trainer.messages import ENDED
from services.trainer.trainings import job_name
from services.trainer.worker_protocol import training_digest
from tests.services.trainer.documents import LONG_AGO, attempt_of, commit_model, make_old, put_status
from tests.services.trainer.replicas import Replica
from tests.services.trainer.serving import serving

connect = grpc.insecure_channel
MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def test_a_training_has_one_name_and_starting_it_again_finds_it(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    assert started.uri.startswith(store.uri("trainings/"))
    assert (started.pair_id, list(started.datasets), started.attempt, started.iterations) == ("A_B", ["set"], 1, 6)
    running = replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING)
    again = replica.trainings.start(ask(pair="X_Y"))
    assert (again.uri, again.attempt, again.create_time) == (started.uri, 1, running.create_time)
    assert replica.trainings.start(ask(seed=1)).uri != started.uri


def test_another_number_of_iterations_is_the_same_training_and_conflicts_while_it_runs(
    make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING)
    with pytest.raises(Conflict, match="iterations=6"):
        replica.trainings.start(ask(iterations=9))
    replica.trainings.cancel(started.uri)
    further = replica.trainings.start(ask(iterations=9))
    assert (further.uri, further.attempt, further.iterations) == (started.uri, 2, 9)


def test_an_imported_model_is_never_the_model_of_a_training(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    prefix = keys.imported(attempt_of(store, started).training)
    manifest.commit(store, prefix, manifest.Manifest("model", {}, {}, (), {}, "content"))
    assert replica.trainings.cancel(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert replica.trainings.get(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert replica.trainings.start(ask()).attempt == 2


def test_success_needs_the_model(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica("done")
    started = replica.trainings.start(ask())
    failed = replica.wait_for(started.uri, *ENDED)
    assert failed.state == trainer_pb2.Training.STATE_FAILED
    assert failed.failure.reason == "MODEL_MISSING"
    assert not failed.model_uri


def test_a_finished_training_is_known_to_a_trainer_without_memory(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica("done")
    attempt = attempt_of(store, make_replica("hang").trainings.start(ask()))
    commit_model(store, attempt)
    replica.backend.start(job_name(attempt), "")
    done = replica.wait_for(store.uri(attempt.prefix), trainer_pb2.Training.STATE_SUCCEEDED)
    assert done.model_uri == store.uri(attempt.model_prefix)
    assert done.iteration == done.iterations == 6

    other = make_replica("crash")
    assert other.trainings.get(done.uri) == done
    assert other.trainings.list("", 0, "") == ([done], "")
    assert other.trainings.start(ask()) == done


@pytest.mark.parametrize("lost", ["models/", ""], ids=["the model", "the bucket"])
def test_a_model_that_was_lost_is_trained_again(store: Store, make_replica: MakeReplica, ask: Ask, lost: str) -> None:
    replica = make_replica("done")
    started = replica.trainings.start(ask(iterations=1))
    replica.wait_for(started.uri, *ENDED)
    again = replica.trainings.start(ask(iterations=6))
    commit_model(store, attempt_of(store, again))
    replica.wait_for(again.uri, trainer_pb2.Training.STATE_SUCCEEDED)
    assert replica.trainings.start(ask(iterations=6)).attempt == again.attempt == 2
    kept = [key for key in store.list("") if key.startswith("extractions/")] if not lost else []
    store.delete([key for key in store.list(lost) if key not in kept])
    restarted = replica.trainings.start(ask(iterations=6))
    assert restarted.attempt == 3
    assert replica.backend.get(job_name(attempt_of(store, restarted))) is not None


def test_a_failure_names_the_workers_reason_and_the_next_start_is_a_new_attempt(
    make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica("report")
    failed = replica.wait_for(replica.trainings.start(ask()).uri, *ENDED)
    assert failed.state == trainer_pb2.Training.STATE_FAILED
    assert (failed.failure.reason, failed.failure.message) == ("NO_FACES", "There is no face.")
    assert failed.iteration == 3
    again = replica.trainings.start(ask())
    assert (again.uri, again.attempt) == (failed.uri, 2)
    assert again.state not in ENDED
    assert not again.HasField("failure")


def test_a_worker_without_an_exit_report_has_crashed(make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica("crash", restarts=1)
    failed = replica.wait_for(replica.trainings.start(ask()).uri, *ENDED)
    assert failed.failure.reason == "WORKER_CRASHED"
    assert "exit code 1" in failed.failure.message


def test_a_cancelled_training_stays_cancelled_until_it_is_started_again(make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    assert replica.trainings.cancel(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert replica.trainings.cancel(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert make_replica().trainings.get(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    again = replica.trainings.start(ask())
    assert again.attempt == 2
    assert again.state not in ENDED
    replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING)


def test_a_cancel_whose_stop_failed_can_be_repeated(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica("hang")
    started = replica.trainings.start(ask())
    job = job_name(attempt_of(store, started))
    replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING)

    def refuse() -> None:
        raise Unavailable("The backend does not answer.")

    replica.backend.before("cancel", refuse)
    with pytest.raises(Unavailable):
        replica.trainings.cancel(started.uri)
    assert replica.trainings.get(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    found = replica.backend.get(job)
    assert found is not None and found.state is JobState.RUNNING
    assert replica.trainings.cancel(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert replica.backend.get(job) is None


def test_another_replica_continues_a_training_whose_trainer_died(make_replica: MakeReplica, ask: Ask) -> None:
    started = make_replica().trainings.start(ask())
    successor = make_replica("hang")
    assert successor.trainings.get(started.uri).state == trainer_pb2.Training.STATE_QUEUED
    assert successor.trainings.start(ask()).attempt == 1
    successor.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING)


def test_a_job_that_has_been_gone_for_long_is_lost_and_started_again(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    started = make_replica().trainings.start(ask())
    make_old(store, started)
    successor = make_replica()
    lost = successor.trainings.get(started.uri)
    assert (lost.state, lost.failure.reason) == (trainer_pb2.Training.STATE_FAILED, "JOB_LOST")
    assert successor.trainings.start(ask()).attempt == 2


def test_fewer_iterations_whose_model_exists_are_found_not_trained(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask(iterations=9))
    replica.trainings.cancel(started.uri)
    commit_model(store, replace(attempt_of(store, started), iterations=6))
    found = replica.trainings.start(ask(iterations=6))
    assert found.state == trainer_pb2.Training.STATE_SUCCEEDED
    assert found.model_uri.endswith("/6")
    assert replica.trainings.get(started.uri) == found


def test_status_reports_show_and_a_silent_worker_is_stalled(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING)
    attempt = attempt_of(store, started)
    put_status(
        store, attempt, iterations_per_second=2.0, eta_seconds=1.5, losses=((3, 0.25, 0.5),), checkpoint_iteration=2
    )
    running = replica.trainings.get(started.uri)
    assert running.state == trainer_pb2.Training.STATE_RUNNING
    assert (running.iteration, running.checkpoint_iteration) == (3, 2)
    assert (running.iterations_per_second, running.eta.ToMilliseconds()) == (2.0, 1500)
    assert (running.loss_a, running.loss_b) == (0.25, 0.5)
    assert not running.HasField("restart")
    put_status(store, attempt, updated=LONG_AGO, iterations_per_second=2.0)
    stalled = replica.trainings.get(started.uri)
    assert stalled.state == trainer_pb2.Training.STATE_STALLED
    assert stalled.iterations_per_second == 0
    assert not stalled.HasField("eta")


def test_a_restart_after_a_collapse_shows(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    put_status(store, attempt_of(store, started), restart=Restart(40, 0.003))
    shown = replica.trainings.get(started.uri).restart
    assert (shown.collapsed_at, shown.learning_rate) == (40, 0.003)
    assert "collapsed by iteration 40" in shown.message and "learning_rate=0.003" in shown.message


def test_a_training_whose_previews_get_no_better_has_a_warning(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    attempt = attempt_of(store, started)
    previews = tuple(worker_protocol.Preview(iteration, "x", (0.5, 0.5)) for iteration in (1, 3))
    put_status(store, attempt, previews=previews[:1])
    assert not replica.trainings.get(started.uri).warnings
    put_status(store, attempt, previews=previews)
    (warning,) = replica.trainings.get(started.uri).warnings
    assert warning.reason == "STAGNATES"
    assert "no better than after 1 " in warning.message


def test_a_status_of_an_earlier_attempt_is_ignored(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    put_status(store, attempt_of(store, started))
    replica.trainings.cancel(started.uri)
    assert replica.trainings.start(ask()).iteration == 0


def test_pages_list_every_training_once_newest_first(make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica()
    datasets = ["even", "odd", "even", "odd", "even"]
    uris = [replica.trainings.start(ask(seed=seed, dataset=name)).uri for seed, name in enumerate(datasets)]
    seen, token, pages = [], "", 0
    while True:
        page, token = replica.trainings.list("", 2, token)
        seen += [training.uri for training in page]
        pages += 1
        if not token:
            break
    assert seen == uris[::-1]
    assert pages == 3
    assert [training.uri for training in replica.trainings.list("even", 0, "")[0]] == uris[4::-2]
    assert replica.trainings.list("none", 0, "") == ([], "")
    with pytest.raises(InvalidInput, match="with the other fields as in that request"):
        replica.trainings.list("odd", 2, replica.trainings.list("even", 2, "")[1])


def test_every_label_of_a_training_is_kept_whether_it_starts_runs_or_is_done(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica, other = make_replica("done"), make_replica("done")
    started = replica.trainings.start(ask(dataset=""))
    assert list(started.datasets) == []
    commit_model(store, attempt_of(store, started))
    done = replica.wait_for(started.uri, trainer_pb2.Training.STATE_SUCCEEDED)
    assert list(replica.trainings.start(ask(dataset="mine")).datasets) == ["mine"]
    assert list(other.trainings.start(ask(dataset="..")).datasets) == ["..", "mine"]
    assert list(replica.trainings.start(ask(dataset="mine")).datasets) == ["..", "mine"]
    done.datasets.extend(["..", "mine"])
    assert replica.trainings.get(done.uri) == replica.trainings.cancel(done.uri) == done
    assert replica.trainings.follow(done.uri, 0.0) == done
    for label in ("", "..", "mine"):
        assert other.trainings.list(label, 0, "") == ([done], "")
    assert other.trainings.list("min", 0, "") == ([], "")


def test_labels_that_replicas_save_at_the_same_time_are_all_kept(make_replica: MakeReplica, ask: Ask) -> None:
    replicas = [make_replica() for _ in range(4)]
    labels = [f"run-{number}" for number in range(12)]
    with ThreadPoolExecutor(len(labels)) as pool:
        for started in [
            pool.submit(replicas[number % 4].trainings.start, ask(dataset=label)) for number, label in enumerate(labels)
        ]:
            started.result()
    (training,), _ = replicas[0].trainings.list("run-7", 0, "")
    assert list(training.datasets) == sorted(labels)
    again = replicas[1].trainings
    assert again.cancel(training.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert list(again.start(ask(dataset="next")).datasets) == sorted([*labels, "next"])


@pytest.mark.parametrize("token", ["x", "bm90IGpzb24=", "WzFd"])
def test_a_foreign_page_token_is_refused(make_replica: MakeReplica, token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_replica().trainings.list("", 0, token)
    assert caught.value.violations[0].field == "page_token"


def test_an_extraction_of_another_bucket_is_refused(make_replica: MakeReplica, ask: Ask) -> None:
    asked = ask()
    asked.extraction_b_uri = "s3://elsewhere/extractions/" + "0" * 40
    with pytest.raises(InvalidInput) as caught:
        make_replica().trainings.start(asked)
    assert caught.value.violations[0].field == "extraction_b_uri"


def test_what_does_not_exist_is_not_found(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica()
    asked = ask()
    asked.extraction_a_uri = store.uri("extractions/" + "0" * 40)
    with pytest.raises(NotFound):
        replica.trainings.start(asked)
    for call in (replica.trainings.get, replica.trainings.cancel):
        with pytest.raises(NotFound):
            call(store.uri("trainings/" + "0" * 40))


def changed(options: TrainingOptions, **values: int) -> TrainingOptions:
    made = TrainingOptions()
    made.CopyFrom(options)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_the_digest_does_not_depend_on_iterations_but_on_everything_else() -> None:
    options = recipes.load("preview").training
    digest = training_digest("a", "b", options, "1")
    assert training_digest("a", "b", changed(options, iterations=7), "1") == digest
    others = [("b", "a", options, "1"), ("a", "b", changed(options, bottleneck=7), "1"), ("a", "b", options, "2")]
    for other in others:
        assert training_digest(*other) != digest


def test_no_checkpoint_of_another_algorithm_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    options = recipes.load("preview").training
    digest = training_digest("a", "b", options, "1")
    monkeypatch.setattr(worker_protocol, "ALGORITHM_VERSION", 1)
    assert training_digest("a", "b", options, "1") != digest


@pytest.mark.parametrize(
    ("recipe", "digest"),
    [("ffpp", "e4a3b943dff67836a747d9b37239be0fd6a5f88f"), ("preview", "c06ceac58cae7ece37d05f0a24ed479a0faeec14")],
)
def test_digests_stay_equal_so_that_stored_trainings_are_found(recipe: str, digest: str) -> None:
    assert training_digest("a", "b", recipes.load(recipe).training, "1") == digest


def test_a_client_starts_lists_watches_and_cancels_a_training(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica()
    with (
        serving(store, replica.trainings, poll_seconds=0.05) as served,
        grpc.insecure_channel(served.address) as channel,
    ):
        stub = trainer_pb2_grpc.TrainerServiceStub(channel)
        started = stub.StartTraining(ask()).training
        replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING)
        stream = iter(stub.WatchTraining(trainer_pb2.WatchTrainingRequest(training_uri=started.uri)))
        assert next(stream).training.state == trainer_pb2.Training.STATE_RUNNING
        put_status(store, attempt_of(store, started))
        assert next(stream).training.iteration == 3
        assert stub.GetTraining(trainer_pb2.GetTrainingRequest(training_uri=started.uri)).training.iteration == 3
        assert len(stub.ListTrainings(trainer_pb2.ListTrainingsRequest(dataset="set")).trainings) == 1
        stub.CancelTraining(trainer_pb2.CancelTrainingRequest(training_uri=started.uri))
        states = [message.training.state for message in stream]
        assert states[-1] == trainer_pb2.Training.STATE_CANCELLED


def test_a_stopping_trainer_ends_its_watches_as_unavailable(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    trainings = make_replica().trainings
    with serving(store, trainings, poll_seconds=0.05) as served, connect(served.address) as channel:
        stub = trainer_pb2_grpc.TrainerServiceStub(channel)
        started = stub.StartTraining(ask()).training
        stream = iter(stub.WatchTraining(trainer_pb2.WatchTrainingRequest(training_uri=started.uri)))
        next(stream)
        stopping = threading.Thread(target=served.server.stop)
        stopping.start()
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        stopping.join()
