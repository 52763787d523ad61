"""Computes 3x3 convolutions with fewer multiplications, by Winograd's minimal filtering (arXiv:1509.09308).

The outputs are computed in tiles. For each tile, the inputs and the kernel are treated as polynomials, which are
evaluated at some points and multiplied there. A tile of 4x4 outputs needs 36 multiplications instead of 144, a tile of
4x2 needs 24 instead of 72. At each point, the multiplications of all tiles are one product of matrices.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["Convolution"]

Maps: TypeAlias = NDArray[np.float32]

# For each length of a tile along one axis: the matrices that transform inputs and kernels to points, and products back
# to outputs.
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

# Rows and columns of a tile, and of a tile for maps of 4x4. The transformed kernels are smaller for tiles of 4x2. For
# so small maps, reading them takes most of the time.
_TILE, _TILE_OF_FOUR = (4, 4), (4, 2)


class Convolution:
    """A 3x3 convolution with stride 1, zero padding, a bias and a leaky ReLU.

    The kernel of some input channels may be 0 in its first or last row or column. These channels are skipped at the
    points that depend only on that row or column.
    """

    def __init__(
        self, kernel: NDArray[np.float32], bias: NDArray[np.float32], side: int, slope: float, spread: int = 1
    ) -> None:
        """Transform the kernel, once for all calls.

        Args:
            kernel: float32 [3, 3, channels in, channels out].
            bias: float32 [channels out].
            side: Rows and columns of the maps, a multiple of 4.
            slope: Slope of the ReLU for negative inputs.
            spread: 1, or 2 to turn the channels of each output pixel into a block of 2x2 pixels (a pixel shuffle); the
                channels are then ordered (row, column, c).
        """
        self._tile = _TILE_OF_FOUR if side == 4 else _TILE
        down, across = ([np.array(matrix, np.float32) for matrix in _TRANSFORMS[length]] for length in self._tile)
        self._inputs, self._outputs = np.kron(down[0], across[0]), np.kron(down[2], across[2])
        rows = down[1] @ kernel.reshape(3, -1)
        kernels = (across[1] @ rows.reshape(len(rows), 3, -1)).reshape(-1, *kernel.shape[2:])
        self._read = [_span(of_point.any(axis=1)) for of_point in kernels]
        self._kernels = [of_point[read].copy() for of_point, read in zip(kernels, self._read, strict=True)]
        self._bias = bias
        self._slope = np.float32(slope)
        self._spread = spread

    def __call__(self, maps: Maps) -> Maps:
        """Convolve maps. Transforms are computed face by face, because their data then stays in the CPU's cache.

        Args:
            maps: float32 [n, side, side, channels in].

        Returns:
            The convolved maps, float32 [n, spread * side, spread * side, channels out / spread^2].
        """
        count, side, _, channels = maps.shape
        rows, columns = self._tile
        down, across = side // rows, side // columns
        points, spread = len(self._kernels), self._spread
        padded = np.zeros((side + 2, side + 2, channels), np.float32)
        windows = sliding_window_view(padded, (rows + 2, columns + 2), (0, 1))[::rows, ::columns]
        carried = np.empty((points, count, down * across * channels), np.float32)
        for index in range(count):
            padded[1:-1, 1:-1] = maps[index]
            np.matmul(self._inputs, windows.transpose(3, 4, 0, 1, 2).reshape(points, -1), out=carried[:, index])
        filters = len(self._bias)
        products = np.empty((points, count, down * across, filters), np.float32)
        for index, (read, kernel) in enumerate(zip(self._read, self._kernels, strict=True)):
            at_point = carried[index].reshape(-1, channels)
            np.matmul(at_point[:, read], kernel, out=products[index].reshape(-1, filters))
        made = np.empty((count, spread * side, spread * side, filters // spread**2), np.float32)
        values = np.empty((rows * columns, down * across * filters), np.float32)
        for index, face in enumerate(made):
            np.matmul(self._outputs, products.reshape(points, count, -1)[:, index], out=values)
            of_filters = values.reshape(-1, filters)
            of_filters += self._bias
            shape = (rows, columns, down, across, spread, spread, -1)
            above, below = (
                part.reshape(shape).transpose(2, 0, 4, 3, 1, 5, 6) for part in (values, self._slope * values)
            )
            np.maximum(above, below, out=face.reshape(down, rows, spread, across, columns, spread, -1))
        return made


def _span(chosen: NDArray[np.bool_]) -> slice:
    """Return the slice from the first True to the last."""
    found = np.flatnonzero(chosen)
    return slice(found[0], found[-1] + 1) if len(found) else slice(0)
