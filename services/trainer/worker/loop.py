"""The training of one pair: many iterations in one compiled call. It knows no files, store or clock but its pace's.

Who owns what: `augmentation` the batches, `facefoundry.model.network` the forward pass, `adam` the update; this module
the gradient, the order of the two sides and the loop. An iteration updates on A, then on B: the shared encoder moves
twice. Both sides count steps together: in iteration k, A makes step 2k and B step 2k + 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.model.network import SIDES, Architecture, Network, SideName, build
from facefoundry.model.weights import Tensors
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker import adam, augmentation

__all__ = ["MAX_STEPS", "StepsPerCall", "Training", "configure"]

# Length of the losses' buffer in the compiled call.
MAX_STEPS = 1024


def configure(precision: str = "float32", threads: int = 0) -> str:
    """Set TensorFlow up for this process: deterministic kernels, threads, TensorFloat-32. Call it before anything else.

    Args:
        precision: The recipe's.
        threads: CPU threads; 0 takes all cores.

    Returns:
        `GPU` or `CPU`: where the training will run.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tensorfloat32")
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return "GPU" if gpus else "CPU"


class Training:
    """One pair's networks, moments and faces, and how many iterations they have had.

    Args:
        options: All training options.
        faces: Crops of each side, uint8 [n, 256, 256, 3], BGR, n >= 1.
        margins: Distance of the mean-face square from the crop's border of each side, pixels.

    Attributes:
        network: The three networks.
        iteration: Iterations done.
    """

    def __init__(
        self,
        options: TrainingOptions,
        faces: Mapping[SideName, NDArray[np.uint8]],
        margins: Mapping[SideName, float] | None = None,
    ) -> None:
        self.options = options
        self.network: Network = build(Architecture.of(options), options.seed, options.precision)
        self.iteration = 0
        self._moments = {side: adam.make_moments(self.network.side_variables(side)) for side in SIDES}
        self._margins = margins or dict.fromkeys(SIDES, augmentation.MARGIN)
        self._samplers = {side: augmentation.Sampler(options, side, len(faces[side])) for side in SIDES}
        self._tables = {side: tf.constant(augmentation.pack(faces[side])) for side in SIDES}
        # On a CPU, XLA makes the convolutions 6 times slower but the augmentation 4 times faster, if its steps are
        # compiled apart: it would fuse them and read a pixel anew for each of its channels.
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        self._draw = {side: _compiled(self._samplers[side].draw) for side in SIDES}
        self._locate = {side: _compiled(self._make_locate(side)) for side in SIDES}
        self._read = _compiled(
            lambda table, x, y, *draws: augmentation.sample_taps(table, augmentation.Draws(*draws), x, y)
        )
        self._unpack = _compiled(lambda packed: augmentation.unpack(packed, self.network.architecture.face_size))
        scalar = tf.TensorSpec((), tf.int32)
        self._many = tf.function(
            self._iterate_many, input_signature=[scalar, scalar], jit_compile=on_gpu, autograph=False
        )

    def run(self, steps: int) -> NDArray[np.float32]:
        """Do iterations; how they are split into calls changes no result.

        Args:
            steps: How many, 1 to `MAX_STEPS`.

        Returns:
            Losses of A and B before each update, mean absolute error of 1: float32 [steps, 2].

        Raises:
            Unusable: the training has diverged.
        """
        losses: NDArray[np.float32] = self._many(tf.constant(self.iteration), tf.constant(steps)).numpy()[:steps]
        finite = np.isfinite(losses).all(axis=1)
        if not finite.all():
            raise Unusable(
                f"The training diverged at iteration {self.iteration + int(np.argmin(finite)) + 1} with "
                f"learning_rate={self.options.learning_rate}; use a smaller one.",
                reason="DIVERGED",
            )
        self.iteration += steps
        return losses

    def batch(self, side: SideName, iteration: int) -> tuple[Any, Any]:
        """Inputs and targets that an iteration sees: each a tensor float32 [n, face_size, face_size, 3] in [0, 1]."""
        return self._augment(side, self._draw[side](tf.constant(iteration)))

    def moments(self) -> Tensors:
        """Copies of both sides' moments, float32, by names such as `moments/a/encoder/conv_1/kernel/first`."""
        return {name: np.array(ops.convert_to_numpy(variable.value)) for name, variable in self._state().items()}

    def restore(self, iteration: int, weights: Tensors, moments: Tensors) -> None:
        """Go on from a state of the same options.

        Args:
            iteration: Iterations it had.
            weights: What `network.tensors()` gave.
            moments: What `moments()` gave.

        Raises:
            Unusable: it is a state of another network.
        """
        state = self._state()
        if {name: tuple(variable.shape) for name, variable in state.items()} != {
            name: tensor.shape for name, tensor in moments.items()
        }:
            raise Unusable("The moments are not those of this network.", reason="NOT_A_CHECKPOINT")
        self.network.assign(weights)
        for name, variable in state.items():
            variable.assign(moments[name])
        self.iteration = iteration

    def _state(self) -> dict[str, Any]:
        return {
            f"moments/{side}/{name}/{order}": variable
            for side, of_side in self._moments.items()
            for name, moments in of_side.items()
            for order, variable in zip(moments._fields, moments, strict=True)
        }

    def _make_locate(self, side: SideName) -> Any:
        size, margin = self.network.architecture.face_size, self._margins[side]
        return lambda *draws: augmentation.sampling_points(augmentation.Draws(*draws), size, margin)

    def _augment(self, side: SideName, draws: Any) -> tuple[Any, Any]:
        """`augmentation.apply`, its steps compiled apart."""
        inputs, targets = self._unpack(self._read(self._tables[side], *self._locate[side](*draws), *draws))
        return inputs, targets

    def _iterate_many(self, first: Any, steps: Any) -> Any:
        """An iteration's draws are made in the one before and carried over.

        So XLA cannot fuse the random numbers into the sampling and make them anew for every pixel; measured on a CPU,
        that takes 6 times longer.
        """

        def iterate(done: Any, draws: Any, losses: Any) -> tuple[Any, Any, Any]:
            pair = self._iterate(first + done, draws)
            return done + 1, self._draws(first + done + 1), tf.tensor_scatter_nd_update(losses, [[done]], [pair])

        start = (tf.constant(0), self._draws(first), tf.zeros((MAX_STEPS, 2)))
        return tf.while_loop(lambda done, *_: done < steps, iterate, start, parallel_iterations=1)[2]

    def _draws(self, iteration: Any) -> list[Any]:
        return [tuple(self._draw[side](iteration)) for side in SIDES]

    def _iterate(self, iteration: Any, draws: Any) -> Any:
        batches = {side: self._augment(side, drawn) for side, drawn in zip(SIDES, draws, strict=True)}
        losses = []
        for order, side in enumerate(SIDES):
            variables = self.network.side_variables(side)
            inputs, targets = batches[side]
            with tf.GradientTape() as tape:
                loss = ops.mean(ops.abs(self.network.reconstruct(inputs, side) - targets))
            gradients = tape.gradient(loss, [variable.value for variable in variables.values()])
            step = tf.cast(2 * iteration + order, tf.float32)
            adam.update(self.options, step, variables, self._moments[side], gradients)
            losses.append(loss)
        return tf.stack(losses)


def _compiled(function: Any) -> Any:
    return tf.function(function, jit_compile=True, autograph=False)


@dataclass
class StepsPerCall:
    """How many iterations to do in one call, so that a call takes about so many seconds.

    Attributes:
        seconds: Aim; also how long a stop signal waits.
    """

    seconds: float = 5.0
    _rate: float = field(default=0.0, init=False)
    _last: int = field(default=0, init=False)

    def next(self, remaining: int) -> int:
        """Steps of the next call, at least 1 and at most what remains; grows 4-fold a call at most."""
        wanted = min(int(self._rate * self.seconds), 4 * self._last, MAX_STEPS)
        return min(remaining, max(1, wanted))

    def done(self, steps: int, seconds: float) -> None:
        """Tell what the last call took. The first one, which compiles, only counts as made."""
        if self._last:
            self._rate = steps / max(seconds, 1e-6)
        self._last = steps
