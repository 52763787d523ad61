"""The worker's training step driven by JAX, for the bench alone.

Network, augmentation and Adam are the worker's own, on keras.ops; only the gradient and the loop are JAX's here. Widths
are those of `small`. JAX is in none of this project's locks: `pip install jax` beside them. A process has one backend,
so `on_jax` starts another: `KERAS_BACKEND=jax python -m benchmarks.jax_step STEPS WEIGHTS`, which prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.widths import divided
from facefoundry.model.network import SIDES, Network
from facefoundry.model.network import load as load_network
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker import adam, augmentation

__all__ = ["crops", "losses", "on_jax", "small"]


def small() -> TrainingOptions:
    """A network that takes a step in milliseconds, and batches of 4."""
    return divided(32, 4)


def crops(count: int = 6) -> NDArray[np.uint8]:
    """Pictures of coloured slopes, uint8 [count, 256, 256, 3]; the same on every backend and without OpenCV."""
    rows, columns = np.mgrid[0:256, 0:256]
    planes = [128 + 100 * np.sin((rows * (k + 1) + columns * (k % 3)) / 40 + k) for k in range(3 * count)]
    return np.stack(planes, -1).reshape(256, 256, count, 3).transpose(2, 0, 1, 3).astype(np.uint8)


def losses(steps: int, weights: bytes) -> NDArray[np.float64]:
    """Train in one compiled call.

    Args:
        steps: Iterations.
        weights: What `Network.to_bytes` gave.

    Returns:
        Losses of A and B before each update, [steps, 2].
    """
    import jax
    import keras

    options, faces = small(), crops()
    network = load_network(weights)
    variables = {side: network.side_variables(side) for side in SIDES}
    moments = {side: adam.make_moments(variables[side]) for side in SIDES}
    tables = {side: jax.numpy.asarray(augmentation.pack(faces)) for side in SIDES}
    samplers = {side: augmentation.Sampler(options, side, len(faces)) for side in SIDES}
    every = list({id(v): v for side in SIDES for v in variables[side].values()}.values())
    every += [moment for side in SIDES for of in moments[side].values() for moment in of]

    def iterate(values: list[Any], iteration: Any) -> tuple[list[Any], Any]:
        made = []
        with keras.StatelessScope(state_mapping=list(zip(every, values, strict=True))) as scope:
            for order, side in enumerate(SIDES):
                inputs, targets = augmentation.apply(tables[side], samplers[side].draw(iteration))
                loss, gradients = _gradient(network, side, variables[side], inputs, targets)
                step = keras.ops.cast(2 * iteration + order, "float32")
                adam.update(options, step, variables[side], moments[side], gradients)
                made.append(loss)
        return [scope.get_current_value(variable) for variable in every], jax.numpy.stack(made)

    def many(values: list[Any]) -> Any:
        return jax.lax.scan(iterate, values, jax.numpy.arange(steps, dtype="int32"))[1]

    found: NDArray[np.float64] = np.asarray(jax.jit(many)([variable.value for variable in every]), np.float64)
    return found


def on_jax(steps: int, network: Network) -> NDArray[np.float64]:
    """Have `losses` of a network's weights in a process on JAX, on the CPU; [steps, 2]."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    with tempfile.NamedTemporaryFile() as file:
        file.write(network.to_bytes())
        file.flush()
        command = [sys.executable, "-m", "benchmarks.jax_step", str(steps), file.name]
        made = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return np.array(json.loads(made.stdout), np.float64)


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
    json.dump(losses(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()).tolist(), sys.stdout)
