"""A collapsed training is told from a sound one by its losses and by its network, early and late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry import recipes
from facefoundry.errors import Unusable
from facefoundry.model import weights
from facefoundry.model.network import SIDES, Architecture, Network, SideName, build
from facefoundry.storage import manifest
from facefoundry.storage.info import ModelInfo, Restart
from facefoundry.storage.store import Store
from facefoundry.v1.recipe_pb2 import Recipe, TrainingOptions
from services.trainer.settings import WorkerSettings
from services.trainer.training_store import TrainingStore
from services.trainer.worker import checkpoint, loop
from services.trainer.worker.attempt_runner import AttemptRunner
from services.trainer.worker.collapse import CollapseCheck, Collapsed, restart_after
from services.trainer.worker.history import History
from services.trainer.worker_protocol import Attempt, checkpoints_prefix

Faces = Mapping[SideName, NDArray[np.uint8]]


@pytest.fixture(scope="module")
def crops(draw_faces: Callable[[int, int], NDArray[np.uint8]]) -> Faces:
    return {"a": draw_faces(12, 1), "b": draw_faces(12, 2)}


@pytest.fixture
def options(tiny_recipe: Recipe) -> TrainingOptions:
    return recipes.resolve(tiny_recipe).training


def small(crops: Faces) -> Faces:
    return {side: crops[side][:5, 48:208:2, 48:208:2][:, :64, :64] for side in SIDES}


def signs(training: loop.Training, crops: Faces, iterations: int) -> list[str]:
    """Train, and return every sign of a collapse; the network is looked at in every fifth iteration."""
    check, history, found = CollapseCheck(training.network, training.options.precision, small(crops)), History(), []
    for _ in range(iterations // 5):
        losses = training.run(5)
        history.add(training.iteration, losses)
        found += [sign for sign in (check.losses(history), check.network()) if sign]
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 1, "seed": 3},
        pytest.param({}, marks=pytest.mark.full),
        pytest.param({"learning_rate": 5e-5}, marks=pytest.mark.full),
        pytest.param({"precision": "bfloat16"}, marks=pytest.mark.full),
    ],
)
def test_an_ordinary_training_shows_no_sign(crops: Faces, options: TrainingOptions, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(options, name, value)
    loop.configure()
    assert signs(loop.Training(options, crops), crops, 150) == []


@pytest.mark.full
@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_a_hundredfold_learning_rate_shows_one_in_the_first_iterations(
    crops: Faces, options: TrainingOptions, rate: float
) -> None:
    options.learning_rate = rate
    loop.configure()
    assert signs(loop.Training(options, crops), crops, 25)


def network(options: TrainingOptions, bias: float, precision: str = "float32") -> Network:
    made = build(Architecture.of(options), precision=precision)
    tensors = made.tensors()
    tensors["decoder_b/output/bias"][:] = bias
    if bias:
        tensors["decoder_b/output/kernel"][:] = 0
    made.assign(tensors)
    return made


@pytest.mark.parametrize(
    ("bias", "precision", "dead"),
    [(0, "float32", False), (0.3, "float32", True), (100, "bfloat16", True), (0.3, "bfloat16", False)],
)
def test_a_network_that_draws_one_picture_is_dead(
    crops: Faces, options: TrainingOptions, bias: float, precision: str, dead: bool
) -> None:
    sign = CollapseCheck(network(options, bias, precision), precision, small(crops)).network()
    assert ("decoder B draws it for every face" in sign) == dead


def test_equal_faces_may_give_one_picture(crops: Faces, options: TrainingOptions) -> None:
    face = small(crops)["a"][:1]
    assert CollapseCheck(network(options, 0.3), "float32", {"a": face, "b": face}).network() == ""


@pytest.mark.parametrize("side", [0, 1])
def test_losses_worse_than_those_of_a_grey_picture_are_a_sign(
    crops: Faces, options: TrainingOptions, side: int
) -> None:
    check = CollapseCheck(network(options, 0), "float32", small(crops))
    losses = np.full((40, 2), 0.05, np.float32)
    losses[:, side] = 0.9
    history = History()
    history.add(2, losses[:2])
    assert check.losses(history, ended=True) == ""
    history.add(19, losses[2:19])
    assert check.losses(history) == "" != check.losses(history, ended=True)
    history.add(20, losses[:1])
    assert check.losses(history) == "are worse than those of a grey picture"
    recovered = History()
    recovered.add(20, np.concatenate([losses[:19], np.full((1, 2), 0.05, np.float32)]))
    assert check.losses(recovered) == ""


@pytest.mark.parametrize("calls", [1, 7, 40])
def test_a_collapse_is_found_after_the_same_iteration_however_calls_are_split(
    crops: Faces, options: TrainingOptions, calls: int
) -> None:
    check, history = CollapseCheck(network(options, 0), "float32", small(crops)), History()
    passing = np.full((40, 2), 0.05, np.float32)
    passing[5:25] = 0.9
    with pytest.raises(Collapsed, match="after iteration 25") as caught:
        for start in range(0, 40, calls):
            losses = passing[start : start + calls]
            check.add_losses(history, start + len(losses), losses)
    assert (caught.value.iteration, history.points[-1][0]) == (25, 25)


RATES = TrainingOptions(learning_rate=0.02, retry_learning_rate_factor=0.5)
FAILS = Collapsed(7, "are not finite")


def test_a_collapse_leads_to_one_restart_at_the_recipes_share_of_the_learning_rate() -> None:
    assert restart_after(FAILS, RATES, None) == Restart(7, 0.01)


def test_a_recipe_without_a_restart_fails_at_the_first_collapse() -> None:
    with pytest.raises(Unusable, match=r"After iteration 7 they are not finite.*here 0\.02.*such as 0\.002") as caught:
        restart_after(FAILS, TrainingOptions(learning_rate=0.02), None)
    assert caught.value.reason == "COLLAPSED"


def test_a_second_collapse_fails_and_both_are_reported() -> None:
    reported = r"After iteration 7 .* as it had by iteration 3 with 0\.02.*here 0\.01\. .* below that, such as 0\.001\."
    with pytest.raises(Unusable, match=reported) as caught:
        restart_after(FAILS, RATES, Restart(3, 0.01))
    assert caught.value.reason == "COLLAPSED"


def run(store: Store, attempt: Attempt) -> None:
    settings = WorkerSettings(id="mine", status_seconds=1000, checkpoint_seconds=1000)
    AttemptRunner(store, attempt, settings, threading.Event()).run()


def test_a_short_training_that_collapses_fails_and_commits_no_model(
    store: Store, put_attempt: Callable[..., Attempt], tiny_recipe: Recipe
) -> None:
    tiny_recipe.training.learning_rate = 0.1
    tiny_recipe.training.retry_learning_rate_factor = 0
    attempt = put_attempt(iterations=12)
    with pytest.raises(Unusable, match=r"here 0\.1\. Set training.learning_rate below that, such as 0\.01") as caught:
        run(store, attempt)
    assert caught.value.reason == "COLLAPSED"
    assert list(store.list(attempt.model_prefix)) == []


def put_checkpoint(
    store: Store, attempt: Attempt, worker: str, training: loop.Training, restart: Restart | None = None
) -> None:
    history = History()
    history.add(training.iteration, np.full((training.iteration, 2), 0.3, np.float32))
    state = checkpoint.State(training.iteration, training.network.tensors(), training.moments(), history)
    checkpoints = checkpoint.Checkpoints(store, attempt, worker)
    checkpoints.begin(replace(state, restart=restart))
    checkpoints.finish()


@pytest.mark.parametrize("restarted", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_worker_killed_before_or_after_the_restart_is_followed_by_one_that_makes_the_model_of_the_lower_rate(
    store: Store, put_attempt: Callable[..., Attempt], tiny_recipe: Recipe, crops: Faces, restarted: bool
) -> None:
    tiny_recipe.training.learning_rate = 0.1
    attempt, restart = put_attempt(iterations=12), Restart(9, 0.1 * 0.1)
    options = attempt.training_options()
    first = loop.Training(options, crops)
    first.iteration = 5
    put_checkpoint(store, attempt, "killed", first)
    options.learning_rate = restart.learning_rate
    expected = loop.Training(options, crops)
    expected.run(2)
    if restarted:
        put_checkpoint(store, attempt, "killed", expected, restart)
        first.iteration = 8
        put_checkpoint(store, attempt, "slower", first)
    expected.run(10)
    run(store, attempt)
    model = manifest.load(store, attempt.model_prefix)
    info = model.info_as(ModelInfo)
    assert info.restart == (restart if restarted else replace(restart, collapsed_at=12))
    assert model.content_digest == weights.content_digest(expected.network.tensors())
    assert [point[0] for point in info.losses] == list(range(1, 13))
    assert [preview.iteration for preview in info.previews][-1] == 12
    status = TrainingStore(store).find_status(attempt)
    assert status is not None and status.restart == info.restart
    assert list(store.list(f"{checkpoints_prefix(attempt.prefix)}/")) == []


@pytest.mark.full
def test_a_training_that_collapses_again_fails_and_is_not_begun_a_third_time(
    store: Store, put_attempt: Callable[..., Attempt], tiny_recipe: Recipe
) -> None:
    tiny_recipe.training.learning_rate = 0.1
    tiny_recipe.training.retry_learning_rate_factor = 0.9
    attempt = put_attempt(iterations=12)
    with pytest.raises(Unusable, match=r"as it had by iteration 12 with 0\.1.*here 0\.09"):
        run(store, attempt)
    assert list(store.list(attempt.model_prefix)) == []
    newest = checkpoint.find_newest(store, attempt)
    assert newest is not None and (newest.iteration, newest.restart) == (0, Restart(12, 0.1 * 0.9))
    with pytest.raises(Unusable, match=r"as it had by iteration 12 with 0\.1.*here 0\.09"):
        run(store, replace(attempt, number=2))
