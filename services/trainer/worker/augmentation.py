"""From resident face crops to training pairs, in keras.ops alone, so that it is part of the compiled step.

The origin's two stages: a random similarity of the whole crop, then a random warp of its central square. Here the first
stage is evaluated lazily, only at the integer neighbours that the second reads: 16 taps a pixel and no 256x256
picture in between. Random choices are drawn into a record (`draw`), a function of seed, side and iteration only, and
then applied (`apply`), in three steps that may be compiled apart: `sampling_points`, `sample_taps` and `unpack`.

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

__all__ = [
    "CROP_SIZE",
    "FACE_SIZE",
    "MARGIN",
    "MOST_FACES",
    "Draws",
    "Sampler",
    "apply",
    "sampling_points",
    "pack",
    "sample_taps",
    "threefry",
    "unpack",
]

CROP_SIZE = 256
FACE_SIZE = 64
MARGIN = 48.0
# Rows of the faces' table are numbered in int32.
MOST_FACES = (1 << 31) // (CROP_SIZE * CROP_SIZE) - 1

_GRID = 5
_POINTS = FACE_SIZE * FACE_SIZE
# A pixel's three channels are summed in one int64, in fields of 21 bits: 8 of the channel and 13 of the weights.
_FIELD = 21
_ONE = 1 << (_FIELD - 8)
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
    return unpack(sample_taps(table, draws, *sampling_points(draws, margin)))


def sampling_points(draws: Draws, margin: float = MARGIN) -> tuple[Any, Any]:
    """Find where a batch reads the similarity's result.

    Returns:
        x and y, each float32 [n, 2 * 4096]: the warped inputs' points, then the straight targets'.
    """
    grid = _grid(margin)
    warped = _warped(grid, draws.jitter)
    straight = _straight(ops.convert_to_tensor(grid) + draws.jitter)
    x, y = (ops.concatenate(pair, axis=1) for pair in zip(warped, straight, strict=True))
    return x, y


def sample_taps(table: Any, draws: Draws, x: Any, y: Any) -> Any:
    """Read the similarity's result, bilinear between its integer pixels, each of them bilinear between the crop's.

    The 16 taps' weights are whole numbers, at most 1/8192 off for each halving, and their sum is exact. So all
    three channels are summed at once and to the same bits on every device.

    Args:
        table: All crops of a side, as `pack` makes it.
        draws: The random choices.
        x: Columns of points, float32 [n, m].
        y: Their rows.

    Returns:
        int64 [n, m]: blue, green and red, each 8192 times its grey level, in fields of 21 bits.
    """
    last = CROP_SIZE - 1.0
    inverse = _inverse_similarity(draws)
    first_pixel = ops.expand_dims(draws.faces * (CROP_SIZE * CROP_SIZE), 1)
    left, top = ops.floor(x), ops.floor(y)
    total = ops.zeros_like(x, dtype="int64")
    for down, of_row in enumerate(_split(ops.full_like(x, _ONE, dtype="int32"), y - top)):
        for right, of_pixel in enumerate(_split(of_row, x - left)):
            column, row = ops.clip(left + right, 0.0, last), ops.clip(top + down, 0.0, last)
            crop_x = ops.clip(inverse[0] * column + inverse[1] * row + inverse[2], 0.0, last)
            crop_y = ops.clip(inverse[3] * column + inverse[4] * row + inverse[5], 0.0, last)
            total = total + _read(table, first_pixel, crop_x, crop_y, of_pixel)
    return total


def unpack(packed: Any) -> tuple[Any, Any]:
    """Turn the sums of `sample_taps` at `sampling_points` into inputs and targets, float32 [n, 64, 64, 3] in [0, 1]."""
    shifts = ops.convert_to_tensor(np.arange(3, dtype=np.int64) * _FIELD)
    fields = ops.bitwise_and(ops.right_shift(ops.expand_dims(packed, -1), shifts), _long((1 << _FIELD) - 1))
    pixels = ops.cast(ops.cast(fields, "int32"), "float32") * (1.0 / (255.0 * _ONE))
    shape = (-1, FACE_SIZE, FACE_SIZE, 3)
    return ops.reshape(pixels[:, :_POINTS], shape), ops.reshape(pixels[:, _POINTS:], shape)


def _read(table: Any, first_pixel: Any, x: Any, y: Any, weight: Any) -> Any:
    """Weighted sum of the crop's four pixels around points within it, int64 [n, m] in fields."""
    left, top = ops.minimum(ops.floor(x), CROP_SIZE - 2.0), ops.minimum(ops.floor(y), CROP_SIZE - 2.0)
    pixel = first_pixel + ops.cast(top * CROP_SIZE + left, "int32")
    total: Any = 0
    for down, of_row in enumerate(_split(weight, y - top)):
        for right, of_pixel in enumerate(_split(of_row, x - left)):
            # Through uint32, so that the compiler knows the upper half to be 0: it multiplies faster.
            factor = ops.cast(ops.cast(of_pixel, "uint32"), "int64")
            total = total + factor * _spread(ops.take(table, pixel + (CROP_SIZE * down + right)))
    return total


def _split(weight: Any, fraction: Any) -> tuple[Any, Any]:
    """Share whole weights out between a point's two neighbours, the far one's by the fraction in [0, 1]."""
    far = ops.cast(ops.cast(weight, "float32") * fraction, "int32")
    return weight - far, far


def _spread(packed: Any) -> Any:
    """Move the bytes of `pack` into fields of an int64."""
    wide = ops.cast(packed, "int64")
    fields = (
        ops.left_shift(ops.bitwise_and(wide, _long(255 << (8 * channel))), _long((_FIELD - 8) * channel))
        for channel in range(3)
    )
    blue, green, red = fields
    return ops.bitwise_or(ops.bitwise_or(blue, green), red)


def _inverse_similarity(draws: Draws) -> tuple[Any, ...]:
    """Six [n, 1] coefficients that take a point of the similarity's result, mirrored or not, to the crop."""
    centre = CROP_SIZE // 2
    angle = draws.rotation * (math.pi / 180.0)
    cos, sin = ops.cos(angle) / draws.scale, ops.sin(angle) / draws.scale
    x, y = centre + draws.shift[:, 0], centre + draws.shift[:, 1]
    side = ops.where(draws.flip, -1.0, 1.0)
    x = ops.where(draws.flip, CROP_SIZE - 1.0 - x, x)
    rows = (cos * side, -sin, centre - cos * side * x + sin * y, sin * side, cos, centre - sin * side * x - cos * y)
    return tuple(ops.expand_dims(row, 1) for row in rows)


def _warped(grid: NDArray[np.float32], jitter: Any) -> tuple[Any, Any]:
    """Where the warped input reads: the grid's maps resized to 80x80 and cropped 8:72; x and y, each [n, 4096].

    Only the jitter, a few pixels, goes through the product of matrices, which a GPU may compute in TensorFloat-32.
    """
    resize = _resize()
    still = np.einsum("ri,ijk,cj->krc", resize, grid, resize).reshape(2, _POINTS)
    weights = np.einsum("ri,cj->ijrc", resize, resize).reshape(_GRID * _GRID, _POINTS)
    planes = ops.reshape(ops.transpose(jitter, (0, 3, 1, 2)), (-1, _GRID * _GRID))
    moved = ops.reshape(ops.matmul(planes, ops.convert_to_tensor(weights)), (-1, 2, _POINTS))
    points = moved + ops.convert_to_tensor(still)
    return points[:, 0], points[:, 1]


def _straight(grid: Any) -> tuple[Any, Any]:
    """Where the target reads: back through the least-squares similarity from grid to 0:65:16; x and y, [n, 4096]."""
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
    return cos * x + sin * y + mean[:, 0:1], cos * y - sin * x + mean[:, 1:2]


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


def _long(value: int) -> Any:
    return ops.convert_to_tensor(value, dtype="int64")


def _uniform(words: Any) -> Any:
    """float32 in [0, 1) out of the upper 24 bits."""
    return ops.cast(ops.cast(ops.right_shift(words, _word(8)), "int32"), "float32") * (2.0**-24)
