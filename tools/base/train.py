"""Trains a base on crops of many heads: one encoder and one decoder, by the product's own training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefoundry import recipes
from facefoundry.model import weights
from facefoundry.model.network import SIDES
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker.loop import Training

__all__ = ["options", "train"]

_STEPS = 200
_FORMAT = "tools.base.state/1"


def options(recipe: str, iterations: int, seed: int) -> TrainingOptions:
    """Return a recipe's training options for a base: the common decoder learns all the time."""
    changed = TrainingOptions()
    changed.CopyFrom(recipes.load(recipe).training)
    changed.iterations = changed.common_iterations = iterations
    changed.seed = seed
    changed.start_from = ""
    return changed


def train(
    crops: NDArray[np.uint8],
    chosen: TrainingOptions,
    state: Path,
    report: Callable[[int, float], None],
    steps: int = _STEPS,
) -> bytes:
    """Train a base, and return its safetensors file; both decoders are equal.

    Args:
        crops: uint8 [n, 256, 256, 3], BGR, n >= 2. The two sides of the training share them.
        chosen: What `options` returned.
        state: File in which the training is kept, so that an interrupted one goes on.
        report: Called with the iterations done, and the mean loss of the last ones in grey levels.
        steps: Iterations between two states.
    """
    training = Training(chosen, {side: crops[first::2] for first, side in enumerate(SIDES)})
    if state.exists():
        _restore(training, state)
    while training.iteration < chosen.iterations:
        losses = training.run(min(steps, chosen.iterations - training.iteration))
        _save(training, state)
        report(training.iteration, float(losses.mean()) * 255)
    return training.network.to_bytes()


def _save(training: Training, state: Path) -> None:
    tensors = {**training.network.tensors(), **training.moments()}
    unfinished = state.with_suffix(".part")
    unfinished.write_bytes(weights.to_bytes(tensors, {"format": _FORMAT, "iteration": training.iteration}))
    unfinished.rename(state)


def _restore(training: Training, state: Path) -> None:
    tensors, facts = weights.from_bytes(state.read_bytes(), _FORMAT)
    moments = {name: tensor for name, tensor in tensors.items() if name.startswith("moments/")}
    networks = {name: tensor for name, tensor in tensors.items() if name not in moments}
    training.restore(int(str(facts["iteration"])), networks, moments)
