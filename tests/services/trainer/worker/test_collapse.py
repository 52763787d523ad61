"""A collapsed training is told from a sound one by its losses and by its network, early and late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry import recipes
from facefoundry.errors import Unusable
from facefoundry.model.network import SIDES, Architecture, Network, SideName, build
from facefoundry.storage.store import Store
from facefoundry.v1.recipe_pb2 import Recipe, TrainingOptions
from services.trainer.settings import WorkerSettings
from services.trainer.worker import loop
from services.trainer.worker.attempt_runner import AttemptRunner
from services.trainer.worker.collapse import CollapseCheck
from services.trainer.worker.history import History
from services.trainer.worker_protocol import Attempt

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


def test_a_short_training_that_collapses_fails_and_commits_no_model(
    store: Store, put_attempt: Callable[..., Attempt], tiny_recipe: Recipe
) -> None:
    tiny_recipe.training.learning_rate = 0.1
    attempt = put_attempt(iterations=12)
    with pytest.raises(Unusable, match=r"Set training.learning_rate below 0\.1, such as 0\.01") as caught:
        AttemptRunner(store, attempt, WorkerSettings(id="mine"), threading.Event()).run()
    assert caught.value.reason == "COLLAPSED"
    assert list(store.list(attempt.model_prefix)) == []
