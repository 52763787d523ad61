"""`python -m benchmarks.keras_step`: the worker's training step beside that of Keras 2.2.0 itself.

Keras 2.2.0 on TensorFlow 1.10.1 is what FF++'s fork of faceswap ran on. It needs Python 3.6, so its steps run in an
environment of their own (`benchmarks/reference/keras220.py`). The same steps are made in float64, too, as they would be
without rounding. All begin with the same weights and get the same batches, the worker's. The command fails if the
losses of worker and Keras differ, or if the worker's weights are in the end more than three times as far from those in
float64 as Keras's are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.old_python import interpreter

if TYPE_CHECKING:
    from facefoundry.model.network import SideName
    from services.trainer.worker.loop import Training

__all__ = ["Distance", "main"]

Weights = Mapping[str, NDArray[np.generic]]

_SCRIPT = Path(__file__).parent / "reference" / "keras220.py"
_PROBE = "import keras, tensorflow; print(keras.__version__, tensorflow.__version__)"
_VERSIONS = "2.2.0 1.10.1"
_PACKAGES = (
    "keras==2.2.0",
    "tensorflow==1.10.1",
    "keras-applications==1.0.2",
    "keras-preprocessing==1.0.1",
    "numpy==1.14.5",
    "scipy==1.1.0",
    "h5py==2.8.0",
    "protobuf==3.6.1",
    "grpcio==1.16.0",
    "six==1.16.0",
    "pyyaml==5.3.1",
    "absl-py==0.7.0",
    "astor==0.7.1",
    "gast==0.2.2",
    "termcolor==1.1.0",
)
_SIDES: tuple[SideName, SideName] = ("a", "b")
_HEAD = "| iterations | what is compared | losses | weights: median | 999 of 1,000 | largest |"

KEPT = (1, 10, 50)
"""Iterations after which weights are compared."""
MAX_LOSS = 1e-6
MAX_RATIO = 3.0
"""Largest ratio of the worker's distance from float64 to that of Keras 2.2.0."""


@dataclass(frozen=True)
class Distance:
    """How far two trainings are apart.

    Attributes:
        loss: Largest difference of losses until now.
        median: Median difference of weights, in learning rates: the length of Adam's first step.
        most: Difference that 999 of 1,000 weights do not exceed.
        largest: Largest difference of a weight.
    """

    loss: float
    median: float
    most: float
    largest: float

    def row(self, iterations: int, name: str) -> str:
        """Return a row of the table."""
        values = (self.loss, self.median, self.most, self.largest)
        return f"| {iterations} | {name} | {' | '.join(f'{value:.2g}' for value in values)} |"


def holds(apart: Distance, ours: Distance, old: Distance) -> bool:
    """Return whether the worker is within the bounds.

    Args:
        apart: Distance of the worker from Keras 2.2.0.
        ours: Distance of the worker from float64.
        old: Distance of Keras 2.2.0 from float64.
    """
    return apart.loss <= MAX_LOSS and ours.median <= MAX_RATIO * old.median and ours.most <= MAX_RATIO * old.most


def main() -> int:
    """Compare the two; return 0 when the bounds hold after the last iteration."""
    arguments = _arguments()
    kept = [count for count in KEPT if count <= arguments.iterations]
    with tempfile.TemporaryDirectory() as scratch:
        environment = arguments.environment or Path(scratch) / "python3.6"
        python = interpreter(arguments.python, environment, _PROBE, _VERSIONS, _PACKAGES)
        training = _make_training(arguments.divisor, arguments.batch)
        inputs = _inputs(training, kept)
        old = _train_old(python, inputs, Path(scratch))
    exact = _train_exactly(training, inputs)
    ours = _train(training, kept)
    print(_HEAD, "|---|---|---|---|---|---|", sep="\n")
    distances: dict[str, Distance] = {}
    for count in kept:
        sides = {
            "the worker, Keras 2.2.0": (ours, old),
            "the worker, float64": (ours, exact),
            "Keras 2.2.0, float64": (old, exact),
        }
        distances = {name: _distance(count, *pair, training.options.learning_rate) for name, pair in sides.items()}
        print(*(distance.row(count, name) for name, distance in distances.items()), sep="\n", flush=True)
    return int(not holds(*distances.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keras_step", description=__doc__)
    parser.add_argument("--python", default="python3.6", help="Python 3.6, with or without Keras 2.2.0")
    parser.add_argument("--environment", type=Path, help="where to keep the environment that is made for Keras 2.2.0")
    parser.add_argument("--divisor", type=int, default=8, help="FF++'s widths are divided by it; 1 takes hours")
    parser.add_argument("--batch", type=int, default=16, help="faces of a batch")
    parser.add_argument("--iterations", type=int, default=50, help="number of iterations")
    return parser.parse_args()


def _make_training(divisor: int, batch_size: int) -> Training:
    # Imported here because TensorFlow takes seconds to load, and a missing interpreter should be reported before that.
    from benchmarks.jax_step import crops
    from benchmarks.widths import divided
    from services.trainer.worker import loop

    loop.configure(threads=1)
    return loop.Training(divided(divisor, batch_size), {"a": crops(8), "b": crops(11)[8:]})


def _inputs(training: Training, kept: Sequence[int]) -> dict[str, NDArray[np.generic]]:
    """Return the input of the script, with the weights that the training has now."""
    made = training.options
    widths = [*made.encoder_filters, made.bottleneck, made.upscale_filters, *made.decoder_filters]
    batches: dict[str, NDArray[np.generic]] = {
        side: np.stack([np.stack([np.asarray(part) for part in training.batch(side, k)]) for k in range(kept[-1])])
        for side in _SIDES
    }
    rates = [made.learning_rate, made.beta1, made.beta2, made.epsilon]
    named = {"widths": np.array(widths), "rates": np.array(rates), "kept": np.array(kept)}
    return {**named, **batches, **training.network.tensors()}


def _train_old(python: str, inputs: Weights, folder: Path) -> dict[str, NDArray[np.generic]]:
    save: Callable[..., None] = np.savez  # numpy's stub takes the names of arrays for options
    save(folder / "inputs.npz", **inputs)
    command = [python, str(_SCRIPT), str(folder / "inputs.npz"), str(folder / "outputs.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Keras 2.2.0 ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
    with np.load(folder / "outputs.npz") as outputs:
        return {name: outputs[name] for name in outputs.files}


def _train_exactly(training: Training, inputs: Weights) -> dict[str, NDArray[np.generic]]:
    """Train in float64 from the input of Keras's script, and return what the script returns."""
    from benchmarks.reference import training as reference

    made = training.options
    widths = reference.Widths(made.encoder_filters, made.bottleneck, made.upscale_filters, made.decoder_filters)
    pair, counter = reference.Pair(widths, "float64"), reference.Counter()
    pair.set_weights(training.network.tensors())
    rates = (made.learning_rate, made.beta1, made.beta2, made.epsilon)
    optimizers = {side: reference.Adam(counter, *rates) for side in _SIDES}
    found: dict[str, NDArray[np.generic]] = {}
    losses = []
    for iteration in range(len(inputs["a"])):
        batches = {side: inputs[side][iteration].astype(np.float64) for side in _SIDES}
        losses.append(pair.step_by_hand(optimizers, batches))
        if iteration + 1 in inputs["kept"]:
            found |= {f"{iteration + 1}/{name}": tensor for name, tensor in pair.weights().items()}
    return {"losses": np.array(losses), **found}


def _train(training: Training, kept: Sequence[int]) -> dict[str, NDArray[np.generic]]:
    """Train, and return what Keras's script returns."""
    found: dict[str, NDArray[np.generic]] = {}
    losses = []
    for count in kept:
        losses.append(training.run(count - training.iteration))
        found |= {f"{count}/{name}": tensor for name, tensor in training.network.tensors().items()}
    return {"losses": np.concatenate(losses), **found}


def _distance(count: int, trained: Weights, expected: Weights, rate: float) -> Distance:
    loss = np.abs(np.asarray(trained["losses"], float) - np.asarray(expected["losses"], float))[:count].max()
    names = [name for name in trained if name.startswith(f"{count}/")]
    apart = np.concatenate(
        [np.abs(np.asarray(trained[name], float) - np.asarray(expected[name], float)).ravel() for name in names]
    )
    return Distance(float(loss), *(float(value) for value in np.quantile(apart / rate, (0.5, 0.999, 1))))


if __name__ == "__main__":
    sys.exit(main())
