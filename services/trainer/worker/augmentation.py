"""Makes training pairs (warped input, unwarped target) of face crops, in keras.ops alone, so that it can be compiled.

FF++ augments in two stages: a random similarity (rotation, zoom, shift) of the whole crop, then a random warp of its
central square. Here the first stage is computed only at the pixels that the second one reads. A bilinear sample of a
bilinear sample reads 4 x 4 = 16 crop pixels, called taps; no 256x256 picture is made in between.

The random choices of a batch are drawn before (`draws`), and are applied here (`apply`) in three steps that may be
compiled separately: `sampling_points`, `sample_taps` and `unpack`.

Both stages read where OpenCV 3.4.1 reads, at points in whole 32nds of a pixel. Its `cv2.warpAffine` computes a
coordinate as the sum of a term of the column and a term of the row, each rounded to 1024ths of a pixel. It adds half a
32nd to the sum and cuts it to whole 32nds.

Points are (x, y) in pixels of the crop, with pixel centres at integers. `n` is the batch size, `s` the face size of the
network.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np
from keras import ops
from numpy.typing import NDArray

from services.trainer.worker import warp_grid
from services.trainer.worker.draws import Draws
from services.trainer.worker.warp_grid import CROP_SIZE, MARGIN

__all__ = [
    "MAX_FACES",
    "apply",
    "sampling_points",
    "pack",
    "sample_taps",
    "unpack",
]

Tensor: TypeAlias = Any  # keras.ops has no types: a tensor of the Keras backend

MAX_FACES: Final = (1 << 31) // (CROP_SIZE * CROP_SIZE) - 1
"""Largest number of faces of one side, because the pixels of all its crops are numbered in int32."""

_GRID: Final = warp_grid.SIDE**2
_TERM: Final = 1024.0
_POINT: Final = 32
_POINT_BITS: Final = 5
# A pixel's three channels are summed in one int64, in fields of 21 bits: 8 of the channel and 13 of the weights.
_FIELD: Final = 21
_ONE: Final = 1 << (_FIELD - 8)


def pack(faces: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Pack crops into the table that `apply` reads. A pixel is one number, so one read returns its three channels.

    Args:
        faces: uint8 [n, 256, 256, 3], BGR.

    Returns:
        int32 [n * 256 * 256], blue + 256 * green + 65536 * red.
    """
    wide = np.zeros((*faces.shape[:3], 4), np.uint8)
    wide[..., :3] = faces
    return wide.view("<i4").reshape(-1)


def apply(table: Tensor, draws: Draws, face_size: int, margin: float = MARGIN) -> tuple[Tensor, Tensor]:
    """Make a batch of training pairs.

    Args:
        table: All crops of a side, as `pack` returns them.
        draws: The random choices.
        face_size: Width and height of the network's faces, pixels; a multiple of 8.
        margin: Distance of the mean-face square from the border of the crop, pixels.

    Returns:
        (warped inputs, unwarped targets), each float32 [n, s, s, 3] in [0, 1].
    """
    return unpack(sample_taps(table, draws, *sampling_points(draws, face_size, margin)), face_size)


def sampling_points(draws: Draws, face_size: int, margin: float = MARGIN) -> tuple[Tensor, Tensor]:
    """Compute the points at which a batch reads the similarity's result; arguments as in `apply`.

    Returns:
        (x, y), each int32 [n, 2 * s * s] in 32nds of a pixel: first the points of the warped inputs, then the points of
        the unwarped targets.
    """
    grid = warp_grid.over_crop(margin)
    warped = _warped(grid, draws.jitter, face_size)
    unwarped = _unwarped(ops.convert_to_tensor(grid) + draws.jitter, face_size)
    x, y = (ops.concatenate(pair, axis=1) for pair in zip(warped, unwarped, strict=True))
    return x, y


def sample_taps(table: Tensor, draws: Draws, x: Tensor, y: Tensor) -> Tensor:
    """Sample the result of the similarity at points, bilinearly; each of its pixels is a bilinear sample of the crop.

    The weights of the 16 taps are integers that sum to 8192, so the sums are exact, all three channels are summed at
    once, and the result has equal bits on every device.

    Args:
        table: All crops of a side, as `pack` returns them.
        draws: The random choices.
        x: x of the points, int32 [n, m], in 32nds of a pixel.
        y: y of the points, int32 [n, m], in 32nds of a pixel.

    Returns:
        int64 [n, m]: blue, green and red, each 8192 times its grey level, in fields of 21 bits.
    """
    last = CROP_SIZE - 1
    inverse = _inverse_similarity(draws)
    first_pixel = ops.expand_dims(draws.faces * (CROP_SIZE * CROP_SIZE), 1)
    flip = ops.expand_dims(draws.flip, 1)
    left, top = _whole(x), _whole(y)
    columns = [ops.clip(left + right, 0, last) for right in (0, 1)]
    across = [[_across(row, ops.where(flip, last - column, column)) for row in inverse] for column in columns]
    down = [[_down(row, ops.clip(top + below, 0, last)) for row in inverse] for below in (0, 1)]
    total = ops.zeros_like(x, dtype="int64")
    for (down_x, down_y), of_row in zip(down, _split(ops.full_like(x, _ONE), y - top * _POINT), strict=True):
        for (across_x, across_y), of_pixel in zip(across, _split(of_row, x - left * _POINT), strict=True):
            crop_x = ops.clip(_whole(across_x + down_x), 0, last * _POINT)
            crop_y = ops.clip(_whole(across_y + down_y), 0, last * _POINT)
            total = total + _sample_crop(table, first_pixel, crop_x, crop_y, of_pixel)
    return total


def _across(row: tuple[Tensor, Tensor, Tensor], column: Tensor) -> Tensor:
    """Return the term of the column x in a coordinate of an affine map, int32 in 1024ths of a pixel."""
    return ops.cast(ops.round(row[0] * _TERM * ops.cast(column, "float32")), "int32")


def _down(row: tuple[Tensor, Tensor, Tensor], line: Tensor) -> Tensor:
    """Return the term of the row y in a coordinate of an affine map, plus half a 32nd, int32 in 1024ths of a pixel."""
    term = row[1] * _TERM * ops.cast(line, "float32") + row[2] * _TERM
    return ops.cast(ops.round(term), "int32") + _POINT // 2


def _whole(fine: Tensor) -> Tensor:
    """Divide integers by 32, rounding down: 1024ths of a pixel become 32nds, and 32nds become whole pixels."""
    return ops.right_shift(fine, _integer(_POINT_BITS))


def unpack(packed: Tensor, face_size: int) -> tuple[Tensor, Tensor]:
    """Unpack sampled pixels into the inputs and targets of a batch.

    Args:
        packed: int64 [n, 2 * s * s], the result of `sample_taps` at the points of `sampling_points`.
        face_size: Side of the network's faces, pixels.

    Returns:
        (warped inputs, unwarped targets), each float32 [n, s, s, 3] in [0, 1].
    """
    shifts = ops.convert_to_tensor(np.arange(3, dtype=np.int64) * _FIELD)
    fields = ops.bitwise_and(ops.right_shift(ops.expand_dims(packed, -1), shifts), _long((1 << _FIELD) - 1))
    pixels = ops.cast(ops.cast(fields, "int32"), "float32") * (1.0 / (255.0 * _ONE))
    shape, points = (-1, face_size, face_size, 3), face_size * face_size
    return ops.reshape(pixels[:, :points], shape), ops.reshape(pixels[:, points:], shape)


def _sample_crop(table: Tensor, first_pixel: Tensor, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted sum of the four crop pixels around each point, int64 [n, m] in fields as in `sample_taps`."""
    left, top = ops.minimum(_whole(x), CROP_SIZE - 2), ops.minimum(_whole(y), CROP_SIZE - 2)
    pixel = first_pixel + top * CROP_SIZE + left
    total: Tensor = 0
    for down, of_row in enumerate(_split(weight, y - top * _POINT)):
        for right, of_pixel in enumerate(_split(of_row, x - left * _POINT)):
            # The cast through uint32 shows the compiler that the upper half is 0, so it multiplies faster.
            factor = ops.cast(ops.cast(of_pixel, "uint32"), "int64")
            total = total + factor * _spread(ops.take(table, pixel + (CROP_SIZE * down + right)))
    return total


def _split(weight: Tensor, fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Divide integer weights between a point's near and far neighbour; `fraction`, 0 to 32, is the far one's share."""
    far = ops.right_shift(weight * fraction, _integer(_POINT_BITS))
    return weight - far, far


def _spread(packed: Tensor) -> Tensor:
    """Move blue, green and red of a packed pixel into the fields of an int64, of 21 bits each."""
    wide = ops.cast(packed, "int64")
    fields = (
        ops.left_shift(ops.bitwise_and(wide, _long(255 << (8 * channel))), _long((_FIELD - 8) * channel))
        for channel in range(3)
    )
    blue, green, red = fields
    return ops.bitwise_or(ops.bitwise_or(blue, green), red)


def _inverse_similarity(draws: Draws) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Return two rows of [n, 1] coefficients that map a point of the similarity's result, not mirrored, to the crop."""
    centre = CROP_SIZE // 2
    angle = draws.rotation * (math.pi / 180.0)
    cos, sin = ops.cos(angle) / draws.scale, ops.sin(angle) / draws.scale
    x, y = centre + draws.shift[:, 0], centre + draws.shift[:, 1]
    rows = (cos, -sin, centre - cos * x + sin * y), (sin, cos, centre - sin * x - cos * y)
    (a, b, c), (d, e, f) = ([ops.expand_dims(value, 1) for value in row] for row in rows)
    return (a, b, c), (d, e, f)


def _warped(grid: NDArray[np.float32], jitter: Tensor, face_size: int) -> tuple[Tensor, Tensor]:
    """Return where the warped input reads: x and y, each [n, s * s].

    Only the jitter, a few pixels, is multiplied with a matrix, because a GPU may compute such products in
    TensorFloat-32.
    """
    points = face_size * face_size
    resize = warp_grid.resize(face_size)
    still = np.einsum("ri,ijk,cj->krc", resize, grid, resize).reshape(2, points)
    weights = np.einsum("ri,cj->ijrc", resize, resize).reshape(_GRID, points)
    planes = ops.reshape(ops.transpose(jitter, (0, 3, 1, 2)), (-1, _GRID))
    moved = ops.reshape(ops.matmul(planes, ops.convert_to_tensor(weights)), (-1, 2, points))
    places = ops.cast(ops.round((moved + ops.convert_to_tensor(still)) * float(_POINT)), "int32")
    return places[:, 0], places[:, 1]


def _unwarped(grid: Tensor, face_size: int) -> tuple[Tensor, Tensor]:
    """Return where the target reads: x and y, each [n, s * s].

    The least-squares similarity from the jittered grid to a regular one on the face (0:65:16 for a face of 64) is
    inverted.
    """
    mean = ops.mean(grid, axis=(1, 2))
    source = grid - mean[:, None, None]
    regular = warp_grid.over_face(face_size)
    centre = regular.mean(axis=(0, 1))
    target = ops.convert_to_tensor(regular - centre)
    along = ops.sum(source * target, axis=(1, 2, 3))
    across = ops.sum(source[..., 0] * target[..., 1] - source[..., 1] * target[..., 0], axis=(1, 2))
    spread = ops.sum(source * source, axis=(1, 2, 3))
    norm = (along * along + across * across) / spread
    cos, sin = (along / norm)[:, None], (across / norm)[:, None]
    x = cos, sin, mean[:, 0:1] - cos * centre[0] - sin * centre[1]
    y = -sin, cos, mean[:, 1:2] + sin * centre[0] - cos * centre[1]
    lines, columns = (
        ops.convert_to_tensor(axis) for axis in np.mgrid[0:face_size, 0:face_size].reshape(2, -1).astype(np.float32)
    )
    return _whole(_across(x, columns) + _down(x, lines)), _whole(_across(y, columns) + _down(y, lines))


def _integer(value: int) -> Tensor:
    return ops.convert_to_tensor(value, dtype="int32")


def _long(value: int) -> Tensor:
    return ops.convert_to_tensor(value, dtype="int64")
