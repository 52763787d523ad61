"""Makes training pairs on the host, with one interpolation where FF++ has two.

FF++ reads the result of a random similarity at the points of a random warp. Here the two maps are composed into one
map, which says for each pixel of an input or target where it lies in the crop, and `cv2.remap` reads the crop once. The
interpolation that is left out blurs, by how much depends on the place. `smooth` blurs all crops once, as much as it
does on average. What remains is a difference of less than half a grey level on average, a third of it from whole bytes.

Points are complex numbers x + iy in pixels, with pixel centres at integers. A similarity is then a product and a sum.
`n` is the batch size, `s` the face size of the network.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from services.trainer.worker import warp_grid
from services.trainer.worker.draws import Draws
from services.trainer.worker.warp_grid import CROP_SIZE, MARGIN

__all__ = ["maps", "pairs", "smooth"]

Points = NDArray[np.complex128]

_CORNERS = np.array([0, 1, 1j])

# Bilinear interpolation at a fraction f between two pixels blurs with the variance f (1 - f), on average 1/6. So does a
# kernel of 1/12, 10/12 and 1/12, whose neighbours exp(-1 / 2 sigma^2) = 1/10 make a Gaussian.
_SIGMA = 1 / math.sqrt(2 * math.log(10))


def smooth(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur crops, uint8 [n, 256, 256, 3], as much as bilinear interpolation does on average."""
    made = np.empty(crops.shape, np.uint8)
    for crop, smoothed in zip(crops, made, strict=True):
        cv2.GaussianBlur(crop, (3, 3), _SIGMA, dst=smoothed, borderType=cv2.BORDER_REPLICATE)
    return made


def pairs(crops: NDArray[np.uint8], draws: Draws, face_size: int, margin: float = MARGIN) -> NDArray[np.uint8]:
    """Make a batch of training pairs.

    Args:
        crops: All crops of a side as `smooth` returns them, uint8 [count, 256, 256, 3], BGR.
        draws: The random choices.
        face_size: Width and height of the network's faces, pixels; a multiple of 8.
        margin: Distance of the mean-face square from the border of the crop, pixels.

    Returns:
        uint8 [n, 2s, s, 3]: the warped input of each pair above its unwarped target. Pixels beyond the border of a crop
        are those at the border.
    """
    made = np.empty((len(draws.faces), 2 * face_size, face_size, 3), np.uint8)
    near = np.empty(crops.shape[1:], np.uint8)
    for face, (x, y), pair in zip(draws.faces, maps(draws, face_size, margin), made, strict=True):
        # A copy in order brings the crop into the core's cache. Reading it along the map takes 1.7 times as long.
        np.copyto(near, crops[face])
        cv2.remap(near, x, y, cv2.INTER_LINEAR, dst=pair, borderMode=cv2.BORDER_REPLICATE)
    return made


def maps(draws: Draws, face_size: int, margin: float = MARGIN) -> NDArray[np.float32]:
    """Compute where the pixels of a batch lie in their crops; arguments and order of the pixels as in `pairs`.

    The warp is linear in the points of its grid, and its weights sum to 1. So a similarity of the warped points is the
    warp of a grid whose 25 points have been moved by the similarity.

    Returns:
        float32 [n, 2, 2s, s]: x, then y.
    """
    count, points = len(draws.faces), face_size * face_size
    grid = _complex(warp_grid.over_crop(margin) + draws.jitter.astype(np.float64)).reshape(count, -1)
    warp, affine = _weights(face_size)
    made = np.empty((count, 2, 2 * points), np.float32)
    np.matmul(_planes(_to_crop(grid, draws)), warp, out=made[..., :points])
    np.matmul(_planes(_to_crop(_unwarped(grid, face_size), draws)), affine, out=made[..., points:])
    return made.reshape(count, 2, 2 * face_size, face_size)


def _to_crop(points: Points, draws: Draws) -> Points:
    """Move points [n, m] of the random similarity's result, mirrored where a draw says so, to the crop."""
    points = np.where(draws.flip[:, None], (CROP_SIZE - 1) - points.conj(), points)
    turn = np.exp(1j * np.deg2rad(draws.rotation.astype(np.float64))) / draws.scale
    centre = (1 + 1j) * (CROP_SIZE // 2)
    return centre + turn[:, None] * (points - centre - _complex(draws.shift)[:, None])


def _unwarped(grid: Points, face_size: int) -> Points:
    """Return where the target's points 0, 1 and i lie, [n, 3], by the least-squares similarity from a face to its grid.

    FF++ fits the similarity from the jittered grid [n, 25] to a regular one on the face, and inverts it.
    """
    regular = _complex(warp_grid.over_face(face_size)).reshape(-1)
    mean, centre = grid.mean(axis=1, keepdims=True), regular.mean()
    moved = grid - mean
    fit = (moved.conj() * (regular - centre)).sum(axis=1) / (np.abs(moved) ** 2).sum(axis=1)
    return np.asarray(mean + (_CORNERS - centre) / fit[:, None], np.complex128)


@cache
def _weights(face_size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what the points of a grid, [25, s * s], and the images of 0, 1 and i, [3, s * s], add to each pixel."""
    rows = warp_grid.resize(face_size)
    warp = np.einsum("ri,cj->ijrc", rows, rows).reshape(-1, face_size * face_size)
    y, x = np.mgrid[0:face_size, 0:face_size].reshape(2, -1).astype(np.float32)
    return warp, np.stack([1 - x - y, x, y])


def _complex(points: NDArray[np.floating]) -> Points:
    """Turn points [..., 2] (x, y) into complex numbers [...]."""
    return np.asarray(points[..., 0] + 1j * points[..., 1], np.complex128)


def _planes(points: Points) -> NDArray[np.float32]:
    """Turn complex numbers [n, m] into coordinates, float32 [n, 2, m]: x, then y."""
    return np.stack([points.real, points.imag], axis=1).astype(np.float32)
