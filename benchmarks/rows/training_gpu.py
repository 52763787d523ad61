"""The training step on a GPU; where there is none, what a second backend makes of the same step."""

from __future__ import annotations

import time
from importlib import util

import numpy as np
import tensorflow as tf

from benchmarks import jax_step
from benchmarks.faces import faces
from benchmarks.reference import training as origin
from benchmarks.row import Row, command, interleaved
from facefoundry.model.network import SIDES
from facefoundry.recipes import load
from services.trainer.worker import loop

STAGE = "training step, GPU, recipe ffpp, one compiled loop"
STEPS = 50
BAR = 1.0


def run() -> list[Row]:
    """One row; its cells are empty without a GPU."""
    device = loop.configure("tensorfloat32")
    fidelity, faithful = _parity()
    if device == "CPU":
        return [Row(STAGE, "s/iteration", None, None, BAR, fidelity, faithful, "no GPU here")]
    options, crops = load("ffpp").training, faces(64)
    options.precision = "tensorfloat32"
    training = loop.Training(options, dict.fromkeys(SIDES, crops))
    pair = origin.Pair()
    pair.compile(learning_rate=options.learning_rate)
    batches = {side: [tf.identity(tensor) for tensor in training.batch(side, 0)] for side in SIDES}
    timing = interleaved(
        lambda: [pair.train_on_batch(step, batches) for step in range(STEPS)],
        lambda: training.run(STEPS),
        clock=time.perf_counter,
    )
    return [
        Row(
            STAGE,
            "s/iteration",
            timing.reference / STEPS,
            timing.ours / STEPS,
            BAR,
            fidelity,
            faithful,
            "two Keras train_on_batch without XLA on batches that are ready on the GPU",
            timing.first_ours,
        )
    ]


def _parity() -> tuple[str, bool]:
    """What the JAX driver of the same step gives beside TensorFlow, and whether that is as it has to be."""
    if util.find_spec("jax") is None:
        return "the same step on JAX: jax is not installed", True
    crops = jax_step.crops()
    training = loop.Training(jax_step.small(), dict.fromkeys(SIDES, crops))
    expected = jax_step.on_jax(STEPS, training.network)
    largest = float(np.abs(training.run(STEPS) - expected).max())
    return f"the same step on JAX: losses within {largest:.0e} over {STEPS} steps", largest <= 1e-4


if __name__ == "__main__":
    command(run)
