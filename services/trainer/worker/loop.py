"""The training loop of one pair: runs many iterations in one compiled call, without files, store or clock.

The module `batches` makes the batches, `facefoundry.model.network` computes the forward pass, and `adam` updates the
weights. This module owns the gradients, the order of the two sides and the loop.

An iteration makes one Adam step for side A, then one for side B, so the shared encoder is updated twice. Both sides
share one count of steps: in iteration k, counted from 0, A makes step 2k and B step 2k + 1.

In the recipe's `common_iterations`, the first ones, both steps update the decoder and the moments of A, and those of B
are copies of them after every call. So every state is whole, and the decoders part without a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.model.network import SIDES, Architecture, Network, SideName, build
from facefoundry.model.weights import Tensors
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker import adam, loss_weights, warp_grid
from services.trainer.worker.batches import Ahead, Array, Batches, Composed, TwoStages
from services.trainer.worker.collapse import Collapsed
from services.trainer.worker.dissimilarity import dissimilarity
from services.trainer.worker.draws import Sampler

__all__ = ["MAX_STEPS", "Losses", "StepsPerCall", "Training", "configure", "has_cuda"]

Losses: TypeAlias = NDArray[np.float32]
"""Losses of A and B, float32 [n, 2], one row for each iteration."""

MAX_STEPS = 1024
"""Largest number of iterations in one call of `Training.run`."""

# Largest number of iterations, and of bytes, that are prepared together for one compiled call. More would need memory,
# and make the first iteration wait; with fewer, the calls themselves would cost time.
_BLOCK = 256
_BLOCK_BYTES = 16 << 20

Tensor: TypeAlias = Any  # TensorFlow has no types: a tensor, a variable, a tuple of them, or a function


def configure(precision: str = "float32", threads: int = 0) -> str:
    """Configure TensorFlow for this process: deterministic kernels, threads, TensorFloat-32.

    Call it before anything else that uses TensorFlow.

    Args:
        precision: The recipe's precision: `float32`, `tensorfloat32` or `bfloat16`.
        threads: CPU threads; 0 uses all cores.

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


def has_cuda() -> bool:
    """Return whether TensorFlow was built with CUDA; its packages for arm64 and for CPUs were not."""
    return bool(tf.test.is_built_with_cuda())


class Training:
    """Trains the model of one pair, and keeps its state: weights, Adam moments, faces and the iterations done.

    Args:
        options: Training options of the recipe.
        faces: Crops of each side, uint8 [n, 256, 256, 3], BGR, n >= 1.
        margins: Distance from the border of each side's crops to the mean-face square, pixels; by default FF++'s.
        start: Loads the initial weights; None for random ones.
        resumes: Whether `restore` follows, so that initial weights are needed for a restart alone.

    Attributes:
        options: Training options of the recipe.
        network: The encoder and the two decoders.
        iteration: Iterations done.
    """

    def __init__(
        self,
        options: TrainingOptions,
        faces: Mapping[SideName, NDArray[np.uint8]],
        margins: Mapping[SideName, float] | None = None,
        start: Callable[[], Tensors] | None = None,
        *,
        resumes: bool = False,
    ) -> None:
        self.options = options
        self.network = self._build()
        self._start = start
        if start is not None and not resumes:
            self.network.assign(start())
        self.iteration = 0
        self._moments = {side: adam.make_moments(self.network.side_variables(side)) for side in SIDES}
        size = self.network.architecture.face_size
        margins = margins or dict.fromkeys(SIDES, warp_grid.MARGIN)
        self._on_gpu = bool(tf.config.list_physical_devices("GPU"))
        kind = Composed if options.augmentation == "composed" and not self._on_gpu else TwoStages
        self._batches: dict[SideName, Batches] = {
            side: kind(faces[side], Sampler(options, side, len(faces[side])), size, margins[side]) for side in SIDES
        }
        first = [self._batches[side].prepare(0) for side in SIDES]
        bytes_each = sum(part.nbytes for parts in first for part in parts)
        self._block = max(1, min(_BLOCK, _BLOCK_BYTES // bytes_each))
        self._blocks = Ahead(self._prepare)
        self._specs = [tuple(tf.TensorSpec((self._block, *part.shape), part.dtype) for part in side) for side in first]
        self._make_loops()

    def run(self, steps: int) -> Losses:
        """Run the next iterations. Their result does not depend on how iterations are split into calls.

        Args:
            steps: Number of iterations, 1 to `MAX_STEPS`.

        Returns:
            float32 [steps, 2]: the losses of A and B before each update, as mean absolute errors of pixel values in
            [0, 1].

        Raises:
            Collapsed: a loss is not finite.
        """
        parts, first, end = [], self.iteration, self.iteration + steps
        while first < end:
            number, common = first // self._block, self.options.common_iterations
            many, limit = (self._common, common) if first < common else (self._many, end)
            count = min(end, limit, (number + 1) * self._block) - first
            parts.append(many(tf.constant(first), tf.constant(count), self._blocks.get(number))[:count])
            first += count
        losses: Losses = tf.concat(parts, 0).numpy()
        finite = np.isfinite(losses).all(axis=1)
        if not finite.all():
            raise Collapsed(self.iteration + int(np.argmin(finite)) + 1, "are not finite")
        self.iteration += steps
        return losses

    def restart(self, learning_rate: float) -> None:
        """Go back to the initial weights and to iteration 0, with another learning rate and the same random draws."""
        initial = self._start() if self._start is not None else self._build().tensors()
        self.restore(0, initial, {name: np.zeros_like(moment) for name, moment in self.moments().items()})
        self.use_learning_rate(learning_rate)

    def use_learning_rate(self, learning_rate: float) -> None:
        """Go on with another learning rate."""
        options = TrainingOptions()
        options.CopyFrom(self.options)
        options.learning_rate = learning_rate
        self.options = options
        self._make_loops()  # the learning rate is a constant of the compiled loops

    def batch(self, side: SideName, iteration: int) -> tuple[Tensor, Tensor]:
        """Return the batch of one side in one iteration.

        Args:
            side: Side of the pair.
            iteration: Number of the iteration, from 0.

        Returns:
            (inputs of the network, targets that it should return), each a float32 tensor [n, face_size, face_size, 3]
            in [0, 1].
        """
        return self._batches[side].finish([tf.constant(part) for part in self._batches[side].prepare(iteration)])

    def moments(self) -> Tensors:
        """Return copies of all Adam moments, float32, by names such as `moments/a/encoder/conv_1/kernel/first`."""
        return {name: np.array(ops.convert_to_numpy(variable.value)) for name, variable in self._state().items()}

    def restore(self, iteration: int, weights: Tensors, moments: Tensors) -> None:
        """Restore the state of an earlier training with the same options.

        Args:
            iteration: Iterations done in that training.
            weights: Weights of that training, as `network.tensors()` returns them.
            moments: Adam moments of that training, as `moments()` returns them.

        Raises:
            Unusable: the tensors belong to another network.
        """
        state = self._state()
        if {name: tuple(variable.shape) for name, variable in state.items()} != {
            name: tensor.shape for name, tensor in moments.items()
        }:
            raise Unusable(
                "Expected Adam moments with the names and shapes of this network's variables. Received others. "
                "Use a checkpoint of the same recipe.",
                reason="NOT_A_CHECKPOINT",
            )
        self.network.assign(weights)
        for name, variable in state.items():
            variable.assign(moments[name])
        self.iteration = iteration

    def _build(self) -> Network:
        options = self.options
        return build(Architecture.of(options), options.seed, options.precision, shared_blocks=options.shared_blocks)

    def _state(self) -> dict[str, Tensor]:
        return {
            f"moments/{side}/{name}/{order}": variable
            for side, of_side in self._moments.items()
            for name, moments in of_side.items()
            for order, variable in zip(moments._fields, moments, strict=True)
        }

    def _make_loops(self) -> None:
        """Make the loops of both phases; each is compiled when it is first called."""
        self._common, self._many = (self._make_loop(sides) for sides in (("a", "a"), SIDES))

    def _make_loop(self, sides: tuple[SideName, SideName]) -> Tensor:
        scalar = tf.TensorSpec((), tf.int32)
        signature = [scalar, scalar, self._specs]

        def many(first: Tensor, steps: Tensor, block: Sequence[Tensor]) -> Tensor:
            losses = self._iterate_many(first, steps, block, sides)
            if sides != SIDES:
                self._copy_a_to_b()
            return losses

        # On a CPU, XLA makes the convolutions slower: python -m benchmarks.xla
        return tf.function(many, input_signature=signature, jit_compile=self._on_gpu, autograph=False)

    def _copy_a_to_b(self) -> None:
        """Copy decoder A and A's moments to B."""
        pairs = zip(*(self.network.side_variables(side).items() for side in SIDES), strict=True)
        for (name_a, of_a), (name_b, of_b) in pairs:
            if of_b is not of_a:  # both sides have the same encoder
                of_b.assign(of_a)
            for moment_a, moment_b in zip(self._moments["a"][name_a], self._moments["b"][name_b], strict=True):
                moment_b.assign(moment_a)

    def _prepare(self, number: int) -> list[tuple[Tensor, ...]]:
        """Prepare the batches of a block of iterations: for each side the parts of its batches, stacked."""
        iterations = range(number * self._block, (number + 1) * self._block)

        def stacked(side: SideName) -> tuple[Tensor, ...]:
            prepared: list[Sequence[Array]] = [self._batches[side].prepare(iteration) for iteration in iterations]
            return tuple(tf.constant(np.stack(parts)) for parts in zip(*prepared, strict=True))

        return [stacked(side) for side in SIDES]

    def _iterate_many(
        self, first: Tensor, steps: Tensor, block: Sequence[Tensor], sides: tuple[SideName, SideName]
    ) -> Tensor:
        """Run iterations of one block in one loop.

        Args:
            first: Number of the first iteration, from 0.
            steps: Number of iterations.
            block: What `_prepare` returned.
            sides: The sides whose decoder and moments learn A's and B's faces.

        Returns:
            The losses of A and B, float32 [self._block, 2], of which the first `steps` rows are set.
        """

        def iterate(done: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
            iteration = first + done
            prepared = tf.nest.map_structure(lambda parts: parts[iteration % self._block], block)
            pair = self._iterate(iteration, prepared, sides)
            return done + 1, tf.tensor_scatter_nd_update(losses, [[done]], [pair])

        start = (tf.constant(0), tf.zeros((self._block, 2)))
        return tf.while_loop(lambda done, *_: done < steps, iterate, start, parallel_iterations=1)[1]

    def _iterate(self, iteration: Tensor, prepared: Sequence[Tensor], sides: tuple[SideName, SideName]) -> Tensor:
        batches = [self._batches[side].finish(parts) for side, parts in zip(SIDES, prepared, strict=True)]
        options, losses = self.options, []
        weights = loss_weights.of_face(options.face_size) if options.loss_weights == "face" else None
        for order, (side, (inputs, targets)) in enumerate(zip(sides, batches, strict=True)):
            variables = self.network.side_variables(side)
            with tf.GradientTape() as tape:
                made = self.network.reconstruct(inputs, side)
                errors = ops.abs(made - targets)
                total = loss = ops.mean(errors)
                if weights is not None:
                    total = ops.mean(errors * weights[:, :, None])
                if options.dssim:
                    total += options.dssim * dissimilarity(made, targets, weights)
            gradients = tape.gradient(total, [variable.value for variable in variables.values()])
            step = tf.cast(2 * iteration + order, tf.float32)
            adam.update(options, step, variables, self._moments[side], gradients)
            losses.append(loss)
        return tf.stack(losses)


@dataclass
class StepsPerCall:
    """Chooses the number of iterations of each call, so that a call takes about the desired time.

    Attributes:
        seconds: Desired duration of a call. A signal to stop has no effect until the running call ends.
    """

    seconds: float = 5.0
    _rate: float = field(default=0.0, init=False)
    _last: int = field(default=0, init=False)

    def next(self, remaining: int) -> int:
        """Return the number of iterations for the next call: at least 1, and at most 4 times that of the last call.

        Args:
            remaining: Largest number to return, at least 1.
        """
        desired = min(int(self._rate * self.seconds), 4 * self._last, MAX_STEPS)
        return min(remaining, max(1, desired))

    def measured(self, steps: int, seconds: float) -> None:
        """Record a call; the duration of the first call is ignored, because it includes the compilation.

        Args:
            steps: Number of iterations of the call.
            seconds: Duration of the call.
        """
        if self._last:
            self._rate = steps / max(seconds, 1e-6)
        self._last = steps
