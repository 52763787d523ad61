"""Runs the worker's training step with JAX instead of TensorFlow, to compare the two; the product does not use JAX.

Network, augmentation and Adam are the worker's own code on keras.ops; only the gradient and the loop are written for
JAX here. JAX is not among the project's locked packages; install it with `pip install jax`. A process can have only one
Keras backend, so `losses` and `pace` start a process of this module with KERAS_BACKEND=jax, which prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.widths import divided
from facefoundry.model.network import SIDES, Architecture, Network, build
from facefoundry.model.network import load as load_network
from facefoundry.recipes import load
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker import adam, augmentation
from services.trainer.worker.draws import Draws, Sampler

__all__ = ["crops", "losses", "pace", "small"]

Call = Callable[[list[Any], int], tuple[list[Any], Any]]


def small() -> TrainingOptions:
    """Return training options with a network so narrow that a step takes milliseconds, and batches of 4."""
    return divided(32, 4)


def crops(count: int = 6) -> NDArray[np.uint8]:
    """Make pictures of coloured waves, uint8 [count, 256, 256, 3]; they need no OpenCV and no Keras backend."""
    rows, columns = np.mgrid[0:256, 0:256]
    planes = [128 + 100 * np.sin((rows * (k + 1) + columns * (k % 3)) / 40 + k) for k in range(3 * count)]
    return np.stack(planes, -1).reshape(256, 256, count, 3).transpose(2, 0, 1, 3).astype(np.uint8)


def losses(steps: int, network: Network) -> NDArray[np.float64]:
    """Train a network with the options of `small` with JAX on the CPU.

    Args:
        steps: Number of iterations.
        network: Network with the initial weights; it is not changed.

    Returns:
        The losses of A and B before each update, float64 [steps, 2].
    """
    with tempfile.NamedTemporaryFile() as file:
        file.write(network.to_bytes())
        file.flush()
        return np.array(_on_jax("losses", str(steps), file.name, platform="cpu"), np.float64)


def pace(precision: str = "tensorfloat32", steps: int = 256, calls: int = 5) -> dict[str, Any]:
    """Measure the training step of the recipe ffpp with JAX on a GPU.

    Args:
        precision: Precision of the recipe.
        steps: Iterations in one compiled call.
        calls: Number of calls after the first one.

    Returns:
        A mapping with these keys. `device`: the name of the device. If the device is no GPU, there are no other keys.
        `seconds`: duration of one iteration, the median over the calls.
        `first_call`: duration of the first call, which includes compilation, seconds.
        `losses`: losses of A and B in the last iteration.
    """
    made: dict[str, Any] = _on_jax("pace", precision, str(steps), str(calls))
    return made


def _on_jax(*arguments: str, platform: str = "") -> Any:
    environment = {**os.environ, "KERAS_BACKEND": "jax"} | ({"JAX_PLATFORMS": platform} if platform else {})
    command = [sys.executable, "-m", "benchmarks.jax_step", *arguments]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def _losses(steps: str, weights: str) -> list[list[float]]:
    network = load_network(Path(weights))
    state, call = _compiled(small(), crops(), network, int(steps))
    found: list[list[float]] = np.asarray(call(state, 0)[1], np.float64).tolist()
    return found


def _pace(precision: str, steps: str, calls: str) -> dict[str, Any]:
    import jax

    device = jax.devices()[0]
    if device.platform != "gpu":
        return {"device": device.platform}
    if precision == "tensorfloat32":
        jax.config.update("jax_default_matmul_precision", "tensorfloat32")
    options = load("ffpp").training
    options.precision = precision
    network = build(Architecture.of(options), options.seed, precision)
    state, call = _compiled(options, crops(64), network, int(steps))
    spent: list[float] = []
    made: Any = None
    for number in range(int(calls) + 1):
        start = time.perf_counter()
        state, made = call(state, number * int(steps))
        jax.block_until_ready(made)
        spent.append(time.perf_counter() - start)
    last = np.asarray(made, np.float64)[-1].tolist()
    seconds = sorted(spent[1:])[len(spent[1:]) // 2] / int(steps)
    return {"device": device.device_kind, "seconds": seconds, "first_call": spent[0], "losses": last}


def _compiled(
    options: TrainingOptions, faces: NDArray[np.uint8], network: Network, steps: int
) -> tuple[list[Any], Call]:
    """Return the initial state of a training, and a compiled function that runs `steps` iterations.

    The arguments of the function are the state, whose memory it reuses, and the number of the first iteration. It
    returns the next state and the losses of A and B, [steps, 2].
    """
    import jax
    import keras

    variables = {side: network.side_variables(side) for side in SIDES}
    moments = {side: adam.make_moments(variables[side]) for side in SIDES}
    tables = {side: jax.numpy.asarray(augmentation.pack(faces)) for side in SIDES}
    samplers = {side: Sampler(options, side, len(faces)) for side in SIDES}
    every = list({id(v): v for side in SIDES for v in variables[side].values()}.values())
    every += [moment for side in SIDES for of in moments[side].values() for moment in of]

    def iterate(values: list[Any], drawn: Any) -> tuple[list[Any], Any]:
        iteration, draws = drawn
        made = []
        with keras.StatelessScope(state_mapping=list(zip(every, values, strict=True))) as scope:
            for order, side in enumerate(SIDES):
                inputs, targets = augmentation.apply(tables[side], draws[side], 64)
                loss, gradients = _gradient(network, side, variables[side], inputs, targets)
                step = keras.ops.cast(2 * iteration + order, "float32")
                adam.update(options, step, variables[side], moments[side], gradients)
                made.append(loss)
        return [scope.get_current_value(variable) for variable in every], jax.numpy.stack(made)

    def many(values: list[Any], iterations: Any, draws: Any) -> Any:
        return jax.lax.scan(iterate, values, (iterations, draws))

    compiled = jax.jit(many, donate_argnums=0)

    def call(state: list[Any], first: int) -> tuple[list[Any], Any]:
        iterations = np.arange(first, first + steps, dtype=np.int32)
        drawn = {side: [samplers[side].draw(iteration) for iteration in iterations.tolist()] for side in SIDES}
        stacked = {side: Draws(*map(np.stack, zip(*drawn[side], strict=True))) for side in SIDES}
        made: tuple[list[Any], Any] = compiled(state, iterations, stacked)
        return made

    return [variable.value for variable in every], call


def _gradient(network: Any, side: Any, variables: dict[str, Any], inputs: Any, targets: Any) -> tuple[Any, list[Any]]:
    import jax
    import keras

    def loss(values: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables.values(), values, strict=True))):
            return keras.ops.mean(keras.ops.abs(network.reconstruct(inputs, side) - targets))

    made, gradients = jax.value_and_grad(loss)([variable.value for variable in variables.values()])
    return made, gradients


if __name__ == "__main__":
    import jax as _jax

    # A pixel's three channels are summed in one int64.
    _jax.config.update("jax_enable_x64", True)
    json.dump(_losses(*sys.argv[2:]) if sys.argv[1] == "losses" else _pace(*sys.argv[2:]), sys.stdout)
