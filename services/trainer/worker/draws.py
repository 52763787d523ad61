"""The random choices of an augmented batch. They depend on seed, side and iteration alone.

They come from NumPy's Philox, a generator that counts: its key is made of seed and side, and its counter is the
iteration. So a resumed training draws what an unbroken one draws, and no state is stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.trainer.worker.warp_grid import CROP_SIZE, SIDE

__all__ = ["Draws", "Sampler"]


class _Ranges(Protocol):
    """The options that `Sampler` reads, such as fields of `v1.TrainingOptions`."""

    @property
    def batch_size(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def rotation_degrees(self) -> float: ...
    @property
    def zoom(self) -> float: ...
    @property
    def shift(self) -> float: ...
    @property
    def flip_probability(self) -> float: ...
    @property
    def warp_sigma(self) -> float: ...


class Draws(NamedTuple):
    """The random choices for one batch of one side; in a compiled function the fields are tensors.

    Attributes:
        faces: int32 [n], numbers of the crops.
        rotation: float32 [n], degrees, counter-clockwise.
        scale: float32 [n], zoom factor.
        shift: float32 [n, 2], pixels (x, y).
        flip: bool [n], whether to mirror left and right after the similarity.
        jitter: float32 [n, 5, 5, 2], displacement (x, y) of the warp's grid points by row and column, pixels.
    """

    faces: NDArray[np.int32]
    rotation: NDArray[np.float32]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    flip: NDArray[np.bool_]
    jitter: NDArray[np.float32]


@dataclass(frozen=True)
class Sampler:
    """Draws the batches of one side.

    Attributes:
        options: Ranges, batch size and seed.
        side: `a` or `b`.
        face_count: Faces of this side, at least 1.
    """

    options: _Ranges
    side: str
    face_count: int

    def draw(self, iteration: int) -> Draws:
        """Draw one iteration's batch.

        Args:
            iteration: Number of the iteration, from 0.
        """
        options, count = self.options, self.options.batch_size
        random = self._generator("augmentation", iteration)
        rotation, zoom, *shift = random.uniform(-1, 1, (4, count)).astype(np.float32)
        return Draws(
            faces=self._faces(iteration),
            rotation=rotation * np.float32(options.rotation_degrees),
            scale=1 + zoom * np.float32(options.zoom),
            shift=np.stack(shift, axis=-1) * np.float32(options.shift * CROP_SIZE),
            flip=random.random(count) < options.flip_probability,
            jitter=random.normal(0, options.warp_sigma, (count, SIDE, SIDE, 2)).astype(np.float32),
        )

    def _faces(self, iteration: int) -> NDArray[np.int32]:
        """Draw the numbers of a batch's faces.

        Faces are shuffled for each epoch and drawn without replacement; the last faces of an epoch that fill no whole
        batch are left out. If there are fewer faces than a batch needs, they are drawn with replacement.
        """
        count, batch = self.face_count, self.options.batch_size
        if count < batch:
            return self._generator("faces", iteration).integers(count, size=batch, dtype=np.int32)
        epoch, number = divmod(iteration, count // batch)
        order = self._generator("faces", epoch).permutation(count)
        return order[number * batch : (number + 1) * batch].astype(np.int32)

    def _generator(self, purpose: str, counter: int) -> np.random.Generator:
        digest = hashlib.sha256(f"{self.options.seed}/{self.side}/{purpose}".encode()).digest()
        # The counter is the most significant of four words, so that no two iterations share a number.
        philox = np.random.Philox(key=np.frombuffer(digest[:16], "<u8"), counter=[0, 0, 0, counter])
        return np.random.Generator(philox)
