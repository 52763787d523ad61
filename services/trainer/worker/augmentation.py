"""From resident face crops to training pairs, in keras.ops alone, so that it is part of the compiled step.

The origin's two stages: a random similarity of the whole crop, then a random warp of its central square. Here the first
stage is evaluated lazily, only at the integer neighbours that the second reads: 16 taps a pixel and no 256x256
picture in between. Random choices are drawn into a record (`draw`), a function of seed, side and iteration only, and
then applied (`apply`).

Points are (x, y) in pixels of the crop, pixel centres at integers.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from keras import ops
from numpy.typing import NDArray

__all__ = ["CROP_SIZE", "FACE_SIZE", "MARGIN", "MOST_FACES", "Draws", "Sampler", "apply", "pack", "threefry"]

CROP_SIZE = 256
FACE_SIZE = 64
MARGIN = 48.0
# Rows of the faces' table are numbered in int32.
MOST_FACES = (1 << 31) // (CROP_SIZE * CROP_SIZE) - 1

_GRID = 5
_ROUNDS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


class _Ranges(Protocol):
    """What `Sampler` reads; `v1.TrainingOptions` has it."""

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
    """The random choices of one side's batch; backend tensors, n = batch size.

    Attributes:
        faces: int32 [n], which crops.
        rotation: float32 [n], degrees, counter-clockwise.
        scale: float32 [n].
        shift: float32 [n, 2], pixels (x, y).
        flip: bool [n], mirror left and right after the similarity.
        jitter: float32 [n, 5, 5, 2], displacement (x, y) of the warp's grid points by row and column, pixels.
    """

    faces: Any
    rotation: Any
    scale: Any
    shift: Any
    flip: Any
    jitter: Any


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

    def draw(self, iteration: Any) -> Draws:
        """Draw one iteration's batch; a function of the seed, the side and the iteration only.

        Args:
            iteration: Scalar integer, from 0; a number or a backend tensor.
        """
        options, count = self.options, self.options.batch_size
        words = threefry(self._key("draw"), ops.cast(iteration, "uint32"), count * (5 + 2 * _GRID * _GRID))
        uniform = _uniform(ops.reshape(words[: 5 * count], (5, count)))
        signed = 2.0 * uniform - 1.0
        first, second = words[5 * count :: 2], words[5 * count + 1 :: 2]
        radius = ops.sqrt(-2.0 * ops.log(1.0 - _uniform(first)))
        angle = (2.0 * math.pi) * _uniform(second)
        normal = ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)])
        return Draws(
            faces=self._faces(iteration),
            rotation=signed[0] * options.rotation_degrees,
            scale=1.0 + signed[1] * options.zoom,
            shift=ops.stack([signed[2], signed[3]], axis=-1) * (options.shift * CROP_SIZE),
            flip=uniform[4] < options.flip_probability,
            jitter=ops.reshape(normal, (count, _GRID, _GRID, 2)) * options.warp_sigma,
        )

    def _faces(self, iteration: Any) -> Any:
        """Reshuffled epochs without replacement, the tail dropped; with too few faces, with replacement."""
        count, batch = self.face_count, self.options.batch_size
        iteration = ops.cast(iteration, "uint32")
        if count < batch:
            drawn = _uniform(threefry(self._key("faces"), iteration, batch))
            return ops.minimum(ops.cast(drawn * count, "int32"), count - 1)
        batches = count // batch
        epoch = ops.floor_divide(iteration, ops.cast(batches, "uint32"))
        position = ops.cast(iteration - epoch * ops.cast(batches, "uint32"), "int32")
        bits = max(1, (count - 1).bit_length())
        low = (1 << bits) - 1
        # A face's number in the low bits makes every sort key distinct, and the sorted keys a permutation.
        words = threefry(self._key("faces"), epoch, count)
        high = ops.bitwise_and(ops.cast(ops.right_shift(words, _word(1)), "int32"), _integer(0x7FFFFFFF ^ low))
        permutation = ops.bitwise_and(ops.sort(ops.bitwise_or(high, ops.arange(count, dtype="int32"))), _integer(low))
        return ops.take(permutation, position * batch + ops.arange(batch, dtype="int32"))

    def _key(self, purpose: str) -> tuple[int, int]:
        digest = hashlib.sha256(f"{self.options.seed}/{self.side}/{purpose}".encode()).digest()
        return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def pack(faces: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Put crops into the form that `apply` reads: a pixel is one number, so that one gather brings three channels.

    Args:
        faces: uint8 [n, 256, 256, 3], BGR.

    Returns:
        int32 [n * 256 * 256], blue + 256 * green + 65536 * red.
    """
    wide = np.zeros((*faces.shape[:3], 4), np.uint8)
    wide[..., :3] = faces
    return wide.view("<i4").reshape(-1)


def apply(table: Any, draws: Draws, margin: float = MARGIN) -> tuple[Any, Any]:
    """Make a batch of training pairs.

    Args:
        table: All crops of a side, as `pack` makes it.
        draws: The random choices.
        margin: Distance of the mean-face square from the border of the crop, pixels.

    Returns:
        Warped inputs and straight targets, each float32 [n, 64, 64, 3] in [0, 1].
    """
    grid = ops.convert_to_tensor(_grid(margin)) + draws.jitter
    points = ops.concatenate([_warped(grid), _straight(grid)], axis=1)
    pixels = _sample(table, draws, points) * (1.0 / 255.0)
    half = FACE_SIZE * FACE_SIZE
    shape = (-1, FACE_SIZE, FACE_SIZE, 3)
    return ops.reshape(pixels[:, :half], shape), ops.reshape(pixels[:, half:], shape)


def _sample(table: Any, draws: Draws, points: Any) -> Any:
    """Read the similarity's result at points [n, m, 2], bilinear between its integer pixels: float32 [n, m, 3].

    Weights are hat functions of distances instead of fractions, so that they stay right when a compiler computes a
    coordinate twice and rounds it to either side of an integer.
    """
    last = CROP_SIZE - 1.0
    inverse = _inverse_similarity(draws)
    mirrored = ops.expand_dims(draws.flip, 1)
    first_row = ops.expand_dims(draws.faces * (CROP_SIZE * CROP_SIZE), 1)
    x, y = points[..., 0], points[..., 1]
    total = [0.0, 0.0, 0.0]
    for down in (0.0, 1.0):
        for right in (0.0, 1.0):
            column, row = ops.floor(x) + right, ops.floor(y) + down
            weight = _hat(x - column) * _hat(y - row)
            column, row = ops.clip(column, 0.0, last), ops.clip(row, 0.0, last)
            column = ops.where(mirrored, last - column, column)
            crop_x = ops.clip(inverse[0] * column + inverse[1] * row + inverse[2], 0.0, last)
            crop_y = ops.clip(inverse[3] * column + inverse[4] * row + inverse[5], 0.0, last)
            read = _read(table, first_row, crop_x, crop_y)
            total = [whole + weight * channel for whole, channel in zip(total, read, strict=True)]
    return ops.stack(total, axis=-1)


def _read(table: Any, first_row: Any, x: Any, y: Any) -> list[Any]:
    """Read crops at points within them, bilinear: three channels, each float32 [n, m]."""
    left = ops.minimum(ops.floor(x), CROP_SIZE - 2.0)
    top = ops.minimum(ops.floor(y), CROP_SIZE - 2.0)
    row = first_row + ops.cast(top * CROP_SIZE + left, "int32")
    total: list[Any] = [0.0, 0.0, 0.0]
    for down in (0, 1):
        for right in (0, 1):
            weight = _hat(x - left - right) * _hat(y - top - down)
            packed = ops.take(table, row + (CROP_SIZE * down + right))
            for channel in range(3):
                byte = ops.bitwise_and(ops.right_shift(packed, _integer(8 * channel)), _integer(255))
                total[channel] = total[channel] + weight * ops.cast(byte, "float32")
    return total


def _hat(distance: Any) -> Any:
    return ops.maximum(0.0, 1.0 - ops.abs(distance))


def _inverse_similarity(draws: Draws) -> tuple[Any, ...]:
    """Six [n, 1] coefficients that take a point of the similarity's result to the crop it was made from."""
    centre = CROP_SIZE // 2
    angle = draws.rotation * (math.pi / 180.0)
    cos, sin = ops.cos(angle) / draws.scale, ops.sin(angle) / draws.scale
    x, y = centre + draws.shift[:, 0], centre + draws.shift[:, 1]
    rows = (cos, -sin, centre - cos * x + sin * y, sin, cos, centre - sin * x - cos * y)
    return tuple(ops.expand_dims(row, 1) for row in rows)


def _warped(grid: Any) -> Any:
    """Where the warped input reads: the grid's maps resized to 80x80 and cropped 8:72, [n, 4096, 2]."""
    resize = ops.convert_to_tensor(_resize())
    return ops.reshape(ops.einsum("ri,nijk,cj->nrck", resize, grid, resize), (-1, FACE_SIZE * FACE_SIZE, 2))


def _straight(grid: Any) -> Any:
    """Where the target reads: back through the least-squares similarity from the grid to 0:65:16, [n, 4096, 2]."""
    mean = ops.mean(grid, axis=(1, 2))
    source = grid - mean[:, None, None]
    regular = _regular()
    centre = regular.mean(axis=(0, 1))
    target = ops.convert_to_tensor(regular - centre)
    along = ops.sum(source * target, axis=(1, 2, 3))
    across = ops.sum(source[..., 0] * target[..., 1] - source[..., 1] * target[..., 0], axis=(1, 2))
    spread = ops.sum(source * source, axis=(1, 2, 3))
    norm = (along * along + across * across) / spread
    cos, sin = (along / norm)[:, None], (across / norm)[:, None]
    rows, columns = np.mgrid[0:FACE_SIZE, 0:FACE_SIZE].reshape(2, -1).astype(np.float32)
    x = ops.convert_to_tensor(columns - centre[0])
    y = ops.convert_to_tensor(rows - centre[1])
    return ops.stack([cos * x + sin * y + mean[:, 0:1], cos * y - sin * x + mean[:, 1:2]], axis=-1)


def _grid(margin: float) -> NDArray[np.float32]:
    """The unjittered grid over the mean-face square, [5, 5, 2] (x, y)."""
    line = np.linspace(margin, CROP_SIZE - margin, _GRID, dtype=np.float32)
    return np.stack(np.meshgrid(line, line), axis=-1)


def _regular() -> NDArray[np.float32]:
    """Where the grid lies in the target, [5, 5, 2] (x, y)."""
    line = np.linspace(0, FACE_SIZE, _GRID, dtype=np.float32)
    return np.stack(np.meshgrid(line, line), axis=-1)


def _resize() -> NDArray[np.float32]:
    """Linear resize of 5 values to 80, rows 8 to 71 of it: [64, 5]."""
    whole = FACE_SIZE * _GRID // 4
    first = (whole - FACE_SIZE) // 2
    position = (np.arange(first, first + FACE_SIZE) + 0.5) * _GRID / whole - 0.5
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(_GRID))).astype(np.float32)


def threefry(key: tuple[int, int], counter: Any, count: int) -> Any:
    """Random words by the Threefry-2x32 cipher of 20 rounds (Salmon et al. 2011): no state, the same on every backend.

    Args:
        key: Two numbers below 2**32.
        counter: Scalar uint32 tensor, the first half of the block's number; the second counts up from 0.
        count: Number of words.

    Returns:
        uint32 [count]: all first words of the blocks, then the second words.
    """
    keys = [_word(key[0]), _word(key[1]), _word(key[0] ^ key[1] ^ _PARITY)]
    second = ops.cast(ops.arange((count + 1) // 2, dtype="int32"), "uint32") + keys[1]
    first = ops.zeros_like(second) + counter + keys[0]
    for group in range(5):
        for bits in _ROUNDS[group % 2]:
            first = first + second
            second = ops.bitwise_xor(
                first,
                ops.bitwise_or(ops.left_shift(second, _word(bits)), ops.right_shift(second, _word(32 - bits))),
            )
        first = first + keys[(group + 1) % 3]
        second = second + keys[(group + 2) % 3] + _word(group + 1)
    return ops.concatenate([first, second])[:count]


def _word(value: int) -> Any:
    return ops.convert_to_tensor(value, dtype="uint32")


def _integer(value: int) -> Any:
    return ops.convert_to_tensor(value, dtype="int32")


def _uniform(words: Any) -> Any:
    """float32 in [0, 1) out of the upper 24 bits."""
    return ops.cast(ops.cast(ops.right_shift(words, _word(8)), "int32"), "float32") * (2.0**-24)
