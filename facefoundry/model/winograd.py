"""3x3 convolutions with fewer multiplications, on CPUs: Winograd's minimal filtering as Lavin and Gray apply it.

A tile of outputs, its inputs and the kernel are seen as polynomials, of which a product in few points is enough:
36 multiplications in place of 144 for a tile of 4x4, 16 in place of 36 for one of 2x2. What remains are products of
matrices, one a point (arXiv:1509.09308).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["Convolution"]

Maps = NDArray[np.float32]

# Side of a tile: how inputs, kernels and products are carried to the points and back, along one axis.
_TRANSFORMS: dict[int, tuple[list[list[float]], list[list[float]], list[list[float]]]] = {
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    4: (
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
}

# Below it there are so few tiles that reading the kernels, four times as large for tiles of 4x4, takes what they save.
_LARGE = 8


class Convolution:
    """A convolution with stride 1 and zeros around the maps, a bias, and a leaky ReLU behind it."""

    def __init__(self, kernel: NDArray[np.float32], bias: NDArray[np.float32], side: int, slope: float) -> None:
        """Carry the kernel to the points.

        Args:
            kernel: float32 [3, 3, channels in, channels out].
            bias: float32 [channels out].
            side: Rows and columns of the maps, even; a multiple of 4 from 8 on.
            slope: Of the ReLU where it is below 0.
        """
        self._tile = 4 if side >= _LARGE else 2
        inputs, kernels, outputs = (np.array(matrix, np.float32) for matrix in _TRANSFORMS[self._tile])
        self._inputs, self._outputs = np.kron(inputs, inputs), np.kron(outputs, outputs)
        rows = kernels @ kernel.reshape(3, -1)
        self._kernels = (kernels @ rows.reshape(len(kernels), 3, -1)).reshape(-1, *kernel.shape[2:])
        self._bias = bias
        self._slope = np.float32(slope)

    def __call__(self, maps: Maps) -> Maps:
        """Convolve maps, float32 [n, side, side, channels in], to float32 [n, side, side, channels out].

        The transforms go picture by picture, since what they touch then stays in the cache.
        """
        count, side, _, channels = maps.shape
        tile, tiles = self._tile, side // self._tile
        points = len(self._kernels)
        padded = np.zeros((side + 2, side + 2, channels), np.float32)
        windows = sliding_window_view(padded, (tile + 2, tile + 2), (0, 1))[::tile, ::tile]  # type: ignore[call-overload]
        carried = np.empty((points, count, tiles * tiles * channels), np.float32)
        for index in range(count):
            padded[1:-1, 1:-1] = maps[index]
            np.matmul(self._inputs, windows.transpose(3, 4, 0, 1, 2).reshape(points, -1), out=carried[:, index])
        products = carried.reshape(points, -1, channels) @ self._kernels
        made = np.empty((count, side, side, products.shape[-1]), np.float32)
        for index, one in enumerate(made):
            values = self._outputs @ products.reshape(points, count, -1)[:, index]
            values = values.reshape(tile, tile, tiles, tiles, -1).transpose(2, 0, 3, 1, 4)
            one.reshape(tiles, tile, tiles, tile, -1)[:] = values
            one += self._bias
            np.maximum(one, self._slope * one, out=one)
        return made
