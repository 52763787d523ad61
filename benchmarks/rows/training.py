"""Measures training on a CPU: two steps against Keras's, the loop's overhead, and bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.crops import face_crops
from benchmarks.reference import training as ffpp
from benchmarks.row import Row, command, interleaved
from benchmarks.widths import divided
from facefoundry.model.network import SIDES, Architecture, build
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker import loop
from services.trainer.worker.batches import TwoStages
from services.trainer.worker.draws import Sampler
from services.trainer.worker.warp_grid import MARGIN

FACES = 40
LOSSES = 50
OVERHEAD_SECONDS = 0.3e-3
STEPS = 20


def run() -> list[Row]:
    """Return four rows: the two steps, the overhead of the loop, and bfloat16."""
    loop.configure(threads=1)
    crops = face_crops(FACES)
    return [_step(crops), _composed(crops), _overhead(crops), _bfloat16(crops)]


def _step(crops: NDArray[np.uint8]) -> Row:
    ours = _pair(divided(4, 16), crops)
    theirs = _keras(ours)
    batches = {side: [np.asarray(tensor) for tensor in ours.batch(side, 0)] for side in SIDES}
    timing = interleaved(lambda: theirs.train_on_batch(0, batches), lambda: ours.run(1), rounds=7)
    small = _pair(divided(32, 4), crops)
    keras_small = _keras(small)
    made = [{side: small.batch(side, iteration) for side in SIDES} for iteration in range(LOSSES)]
    expected = [keras_small.train_on_batch(iteration, pictures) for iteration, pictures in enumerate(made)]
    losses = float(np.abs(small.run(LOSSES) - expected).max())
    return Row(
        "training step, CPU, float32, widths / 4, batch 16",
        "s/iteration",
        timing.reference,
        timing.ours,
        1 / 1.05,
        f"losses within {losses:.0e} over {LOSSES} steps",
        losses <= 1e-4,
        "two Keras train_on_batch on prepared batches; ours makes its own",
        timing.first_ours,
    )


def _composed(crops: NDArray[np.uint8]) -> Row:
    """Return the row of the composed augmentation, whose reference augments in the two compiled stages."""
    made = divided(16, 32)
    made.augmentation = "composed"
    ours, theirs = _pair(made, crops), _keras(_pair(made, crops))
    batches = {side: TwoStages(crops, Sampler(made, side, FACES), made.face_size, MARGIN) for side in SIDES}

    def step() -> None:
        drawn = {side: [tf.constant(values) for values in batches[side].prepare(0)] for side in SIDES}
        theirs.train_on_batch(0, {side: batches[side].finish(drawn[side]) for side in SIDES})

    timing = interleaved(step, lambda: ours.run(STEPS), rounds=7)
    again = _pair(made, crops)
    keras_again = _keras(again)
    expected = [
        keras_again.train_on_batch(iteration, {side: again.batch(side, iteration) for side in SIDES})
        for iteration in range(LOSSES)
    ]
    losses = float(np.abs(again.run(LOSSES) - expected).max())
    return Row(
        "training step, CPU, float32, widths / 16, composed, batch 32",
        "s/iteration",
        timing.reference,
        timing.ours / STEPS,
        1.4,
        f"losses within {losses:.0e} over {LOSSES} steps",
        losses <= 1e-4,
        "two Keras train_on_batch on batches of the two compiled stages",
        timing.first_ours,
    )


class _Idle(loop.Training):
    """A training loop whose steps do nothing, so that only the overhead of the loop and its draws is left."""

    def _iterate(self, iteration: Any, prepared: Any, sides: Any) -> Any:
        return tf.cast(tf.stack([iteration, iteration]), tf.float32)


def _overhead(crops: NDArray[np.uint8]) -> Row:
    steps = 256
    idle = _Idle(divided(64, 1), dict.fromkeys(SIDES, crops))
    timing = interleaved(lambda: None, lambda: idle.run(steps), rounds=7)
    return Row(
        "training loop's overhead, CPU",
        "s/iteration",
        OVERHEAD_SECONDS,
        timing.ours / steps,
        1,
        "",
        True,
        f"the limit; {steps} empty iterations in one call",
        timing.first_ours,
    )


def _bfloat16(crops: NDArray[np.uint8]) -> Row:
    stage = "training step, CPU, bfloat16, widths / 4, batch 16"
    if "avx512_bf16" not in Path("/proc/cpuinfo").read_text():
        return Row(stage, "s/iteration", None, None, 1.2, "", True, "this CPU has no avx512_bf16")
    half = divided(4, 16)
    half.precision = "bfloat16"
    full, ours = _pair(divided(4, 16), crops), _pair(half, crops)
    timing = interleaved(lambda: full.run(1), lambda: ours.run(1), rounds=7)
    return Row(
        stage,
        "s/iteration",
        timing.reference,
        timing.ours,
        1.2,
        "weights and moments stay float32",
        True,
        "the same step in float32",
        timing.first_ours,
    )


def _pair(made: TrainingOptions, crops: NDArray[np.uint8]) -> loop.Training:
    return loop.Training(made, dict.fromkeys(SIDES, crops))


def _keras(training: loop.Training) -> ffpp.Pair:
    """Return the reference's network, compiled by Keras, with the initial weights of a training."""
    made = training.options
    pair = ffpp.Pair(ffpp.Widths(made.encoder_filters, made.bottleneck, made.upscale_filters, made.decoder_filters))
    pair.set_weights(build(Architecture.of(made), made.seed).tensors())
    pair.compile(learning_rate=made.learning_rate, beta_1=made.beta1, beta_2=made.beta2, epsilon=made.epsilon)
    return pair


if __name__ == "__main__":
    command(run)
