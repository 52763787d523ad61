"""The batches of one side, made in two parts: on the host ahead of the training, and in the compiled loop.

`TwoStages` draws on the host and augments in the loop, as FF++ does, on a GPU too. `Composed` augments on the host, and
the loop only scales bytes. Both are functions of the iteration alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from services.trainer.worker import augmentation, composed
from services.trainer.worker.draws import Draws, Sampler

__all__ = ["Ahead", "Batches", "Composed", "TwoStages", "compiled"]

Tensor: TypeAlias = Any  # TensorFlow has no types: a tensor, a variable, or a tuple of them
Array: TypeAlias = NDArray[np.generic]
T = TypeVar("T")


class Batches(Protocol):
    """Makes the batches of one side."""

    def prepare(self, iteration: int) -> Sequence[Array]:
        """Return what the host prepares for one iteration; shapes and types are those of every iteration."""
        ...

    def finish(self, prepared: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Make the batch of what `prepare` returned, in a compiled function or outside.

        Returns:
            (warped inputs, unwarped targets), each a float32 tensor [n, s, s, 3] in [0, 1].
        """
        ...


class TwoStages:
    """Augments in the compiled loop, in the two stages of FF++.

    Args:
        crops: All crops of the side, uint8 [count, 256, 256, 3], BGR; the training keeps them as packed pixels.
        sampler: Draws the batches.
        face_size: Width and height of the network's faces, pixels.
        margin: Distance of the mean-face square from the border of the crops, pixels.
    """

    def __init__(self, crops: NDArray[np.uint8], sampler: Sampler, face_size: int, margin: float) -> None:
        self._table = tf.constant(augmentation.pack(crops))
        self._sampler = sampler
        # On a CPU, XLA makes the augmentation 4 times faster. Its steps are compiled separately: XLA would fuse them
        # and read each pixel once per channel.
        self._locate = compiled(lambda *draws: augmentation.sampling_points(Draws(*draws), face_size, margin))
        self._read = compiled(lambda table, x, y, *draws: augmentation.sample_taps(table, Draws(*draws), x, y))
        self._unpack = compiled(lambda packed: augmentation.unpack(packed, face_size))

    def prepare(self, iteration: int) -> Sequence[Array]:
        """Draw the batch."""
        return self._sampler.draw(iteration)

    def finish(self, prepared: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Augment as `augmentation.apply` does."""
        inputs, targets = self._unpack(self._read(self._table, *self._locate(*prepared), *prepared))
        return inputs, targets


class Composed:
    """Augments on the host, by the composed map of both stages; arguments as in `TwoStages`."""

    def __init__(self, crops: NDArray[np.uint8], sampler: Sampler, face_size: int, margin: float) -> None:
        self._crops = composed.smooth(crops)
        self._sampler = sampler
        self._face_size = face_size
        self._margin = margin

    def prepare(self, iteration: int) -> Sequence[Array]:
        """Draw the batch and augment it."""
        return (composed.pairs(self._crops, self._sampler.draw(iteration), self._face_size, self._margin),)

    def finish(self, prepared: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Scale bytes to [0, 1], and part inputs and targets."""
        pixels = tf.cast(prepared[0], tf.float32) * (1 / 255)
        return pixels[:, : self._face_size], pixels[:, self._face_size :]


class Ahead(Generic[T]):
    """Makes numbered values, one ahead of the last one that was asked for, on a thread of its own.

    Args:
        make: Makes the value of a number.
    """

    def __init__(self, make: Callable[[int], T]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._made: dict[int, Future[T]] = {}

    def get(self, number: int) -> T:
        """Return the value of a number, and begin with that of the next one."""
        self._made = {
            wanted: self._made.get(wanted) or self._thread.submit(self._make, wanted) for wanted in (number, number + 1)
        }
        return self._made[number].result()


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compile a function with XLA, at its first call."""
    made: Callable[..., Tensor] = tf.function(function, jit_compile=True, autograph=False)
    return made
