"""Measures the training step on a GPU with TensorFlow, or with JAX if TensorFlow is not installed.

With JAX, run it as `KERAS_BACKEND=jax python -m benchmarks.rows.training_gpu`.
"""

from __future__ import annotations

import time
from importlib import util

import numpy as np

from benchmarks import jax_step
from benchmarks.row import Row, command, interleaved
from facefoundry.model.network import SIDES
from facefoundry.recipes import load

STAGE = "training step, GPU, recipe ffpp, one compiled loop"
STEPS = 50
AIM = 150  # iterations a second, on an H200


def run() -> list[Row]:
    """Return two rows with TensorFlow, against Keras and against `AIM`, or one row with JAX, against `AIM`.

    Without a GPU there is one row, without costs. `AIM` is a number of iterations per second on an H200.
    """
    if util.find_spec("tensorflow") is None:
        return [_on_jax()]
    from services.trainer.worker import loop

    device = loop.configure("tensorfloat32")
    fidelity, faithful = _parity()
    if device == "CPU":
        return [Row(STAGE, "s/iteration", None, None, 1, fidelity, faithful, "no GPU here")]
    from benchmarks.crops import face_crops
    from benchmarks.reference import training as ffpp

    options, crops = load("ffpp").training, face_crops(64)
    options.precision = "tensorfloat32"
    training = loop.Training(options, dict.fromkeys(SIDES, crops))
    pair = ffpp.Pair()
    pair.compile(learning_rate=options.learning_rate)
    batches = {side: list(training.batch(side, 0)) for side in SIDES}
    timing = interleaved(
        lambda: [pair.train_on_batch(step, batches) for step in range(STEPS)],
        lambda: training.run(STEPS),
        clock=time.perf_counter,
    )
    ours = timing.ours / STEPS
    how = "two Keras train_on_batch without XLA on batches prepared on the GPU"
    return [
        Row(STAGE, "s/iteration", timing.reference / STEPS, ours, 1, fidelity, faithful, how, timing.first_ours),
        _against_the_aim(_gpu(), ours, fidelity, faithful),
    ]


def _gpu() -> str:
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return str(details.get("device_name", "a GPU"))


def _on_jax() -> Row:
    stage = f"{STAGE}, on JAX"
    if util.find_spec("jax") is None:
        return Row(stage, "s/iteration", None, None, 1, "", True, "neither TensorFlow nor JAX is installed")
    made = jax_step.pace()
    if "seconds" not in made:
        return Row(stage, "s/iteration", None, None, 1, "", True, "no GPU here")
    fidelity = f"losses {made['losses'][0]:.3f} and {made['losses'][1]:.3f} at the end"
    finite = bool(np.isfinite(made["losses"]).all())
    return _against_the_aim(f"JAX on {made['device']}", made["seconds"], fidelity, finite, made["first_call"])


def _against_the_aim(place: str, seconds: float, fidelity: str, faithful: bool, first_call: float | None = None) -> Row:
    """Return the row against `AIM`, iterations per second on an H200; on other GPUs the row has no bar.

    Args:
        place: Name of the GPU, and of JAX if it is used.
        seconds: Duration of one iteration.
        fidelity: As in `Row`.
        faithful: As in `Row`.
        first_call: As in `Row`.
    """
    bar = 1 if "H200" in place else 0
    how = f"{AIM} iterations a second, the aim on an H200; TensorFloat-32"
    return Row(f"{STAGE}, {place}", "s/iteration", 1 / AIM, seconds, bar, fidelity, faithful, how, first_call)


def _parity() -> tuple[str, bool]:
    """Compare the losses of the step with JAX and with TensorFlow.

    Returns:
        (result as text, whether the losses agree); the second is true if JAX is not installed.
    """
    if util.find_spec("jax") is None:
        return "the same step on JAX: jax is not installed", True
    from services.trainer.worker import loop

    training = loop.Training(jax_step.small(), dict.fromkeys(SIDES, jax_step.crops()))
    expected = jax_step.losses(STEPS, training.network)
    largest = float(np.abs(training.run(STEPS) - expected).max())
    return f"the same step on JAX: losses within {largest:.0e} over {STEPS} steps", largest <= 1e-4


if __name__ == "__main__":
    command(run)
