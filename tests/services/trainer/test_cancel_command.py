"""`facefoundry cancel` against a real trainer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from facefoundry.cli.main import cli
from facefoundry.cluster.manifests import COMPONENT, job_name
from facefoundry.errors import Conflict, InvalidInput, NotFound
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2, trainer_pb2
from services.trainer.backends.local import LocalBackend
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import Trainings
from tests.facefoundry.cluster.api_server import NAMESPACE, serve
from tests.services.trainer.queue_backend import QueueBackend
from tests.services.trainer.serving import serving

CANCELLED = trainer_pb2.Training.STATE_CANCELLED
Start = Callable[..., trainer_pb2.Training]


@pytest.fixture
def trainings(
    request: pytest.FixtureRequest, store: Store, make_local_backend: Callable[..., LocalBackend]
) -> Trainings:
    """Trainings in a backend of the kind that a test names, or whose workers do not end."""
    make = getattr(request, "param", lambda: make_local_backend("hang", local_workers=4))
    return Trainings(store, make(), TrainerSettings())


@pytest.fixture
def cancel(store: Store, trainings: Trainings) -> Iterator[Callable[..., Result]]:
    """Runs the command against a served trainer."""
    with serving(store, trainings) as served:
        yield lambda *words: CliRunner().invoke(cli, ["cancel", "--trainer", served.address, *words])


@pytest.fixture
def start(
    store: Store, trainings: Trainings, put_extraction: Callable[..., str], tiny_recipe: recipe_pb2.Recipe
) -> Start:
    uris = [store.uri(put_extraction(seed)) for seed in (1, 2)]

    def make(seed: int, pair: str = "A_B", dataset: str = "set", iterations: int = 6) -> trainer_pb2.Training:
        tiny_recipe.training.seed, tiny_recipe.training.iterations = seed, iterations
        return trainings.start(
            trainer_pb2.StartTrainingRequest(
                extraction_a_uri=uris[0], extraction_b_uri=uris[1], pair_id=pair, dataset=dataset, recipe=tiny_recipe
            )
        )

    return make


def states(trainings: Trainings, *started: trainer_pb2.Training) -> list[bool]:
    return [trainings.get(training.uri).state == CANCELLED for training in started]


def test_trainings_are_named_by_uri(trainings: Trainings, cancel: Callable[..., Result], start: Start) -> None:
    first, second, third = (start(seed) for seed in range(3))
    done = cancel(first.uri, second.uri)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == ["A_B is cancelled after iteration 0/6."] * 2
    assert states(trainings, first, second, third) == [True, True, False]


class TogetherBackend(QueueBackend):
    """Stops two jobs at a time, and none alone."""

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2, timeout=20)

    def cancel(self, name: str) -> None:
        self._both.wait()
        super().cancel(name)


@pytest.mark.parametrize("trainings", [TogetherBackend], indirect=True)
def test_several_are_stopped_at_once_and_printed_in_order(
    trainings: Trainings, cancel: Callable[..., Result], start: Start
) -> None:
    started = [start(seed, pair=f"A_{seed}") for seed in range(4)]
    done = cancel(*(training.uri for training in started))
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [f"A_{seed} is cancelled after iteration 0/6." for seed in range(4)]


def test_a_pair_of_a_run_is_neither_the_pair_of_another_nor_another_pair(
    trainings: Trainings, cancel: Callable[..., Result], start: Start
) -> None:
    mine, other_run, other_pair = start(0), start(1, dataset="theirs"), start(2, pair="C_D")
    done = cancel("--pair", "A_B", "--dataset", "set", "--json")
    assert [json.loads(line)["uri"] for line in done.output.splitlines()] == [mine.uri]
    assert states(trainings, mine, other_run, other_pair) == [True, False, False]
    assert cancel("--dataset", "set").exit_code == 0
    assert states(trainings, mine, other_run, other_pair) == [True, False, True]


def test_unknown_and_unnamed_trainings_are_refused(cancel: Callable[..., Result]) -> None:
    assert cancel().exit_code == 2
    assert isinstance(cancel("--pair", "X_Y").exception, NotFound)
    assert isinstance(cancel("s3://elsewhere/x").exception, InvalidInput)


def test_the_conflict_of_other_iterations_names_the_command_that_resolves_it(
    cancel: Callable[..., Result], start: Start
) -> None:
    started = start(0)
    with pytest.raises(Conflict, match="facefoundry cancel") as caught:
        start(0, iterations=9)
    words = caught.value.message.partition("`facefoundry cancel ")[2].partition("`")[0]
    assert words == started.uri
    assert cancel(words).exit_code == 0
    again = start(0, iterations=9)
    assert (again.attempt, again.iterations) == (2, 9)


def _job(run: str) -> dict[str, Any]:
    annotations = {"facefoundry/run": run, "facefoundry/output": f"s3://b/datasets/{run}/"}
    return {"metadata": {"name": job_name(run), "labels": COMPONENT, "annotations": annotations}, "spec": {}}


def test_a_job_in_a_cluster_that_was_not_named_is_only_mentioned(
    trainings: Trainings,
    cancel: Callable[..., Result],
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = start(0)
    with serve(tmp_path) as (api, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        api.add("jobs", _job("set"))
        done = cancel("--dataset", "set")
        assert done.exit_code == 0, done.output
        assert f"The Job {job_name('set')} in {NAMESPACE}" in done.stderr and "--namespace" in done.stderr
        assert list(api.objects["jobs"]) == [job_name("set")] and states(trainings, first) == [True]
        api.end_job(job_name("set"), "Complete", 0)
        assert "--namespace" not in cancel("--dataset", "set").stderr, "a Job that has ended needs no mention"


def test_the_job_of_a_run_is_deleted_before_its_trainings_are_stopped(
    trainings: Trainings,
    cancel: Callable[..., Result],
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = start(0), start(1, pair="C_D")
    with serve(tmp_path) as (api, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        api.add("jobs", _job("set"))
        seen: list[list[bool]] = []
        api.on_delete = lambda job: seen.append(states(trainings, first, second))
        assert cancel("--dataset", "set", "--pair", "A_B").exit_code == 0
        assert not seen and states(trainings, first, second) == [True, False], "a pair is not the whole run"
        done = cancel("--dataset", "set", "--namespace", NAMESPACE)
        assert done.exit_code == 0, done.output
        assert done.output.splitlines()[0].startswith("The Job of the run set is deleted.")
    assert seen == [[True, False]] and states(trainings, first, second) == [True, True]
