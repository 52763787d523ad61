"""Computes the structural dissimilarity of a batch, (1 - SSIM) / 2, with the SSIM of Wang and others, 2004.

The mean absolute error alone rewards blurred faces: where a network cannot know a detail, grey costs least. The SSIM
compares contrast too. `similarity` measures the same of finished pictures, in grey levels and with a larger window.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

__all__ = ["dissimilarity"]

Tensor: TypeAlias = Any  # TensorFlow has no types

_C1, _C2 = 0.01**2, 0.03**2
_WINDOW: Final = 7
_SIGMA: Final = 1.5


def dissimilarity(made: Tensor, real: Tensor, weights: NDArray[np.float32] | None = None) -> Tensor:
    """Compute (1 - SSIM) / 2 in a compiled function or outside.

    Args:
        made: float32 [n, s, s, 3], nominally in [0, 1].
        real: The pictures to compare with, one for each of `made`.
        weights: Weight of each pixel, [s, s]; None for equal ones.

    Returns:
        The mean over all pictures, channels, and pixels whose window lies inside; 0 if all pictures are equal.
    """
    sums = _blurred(tf.concat([made, real, made * made + real * real, made * real], 0))
    mean_1, mean_2, squares, products = tf.split(sums, 4)
    both, common = mean_1 * mean_1 + mean_2 * mean_2, mean_1 * mean_2
    light = (2 * common + _C1) / (both + _C1)
    contrast = (2 * (products - common) + _C2) / (squares - both + _C2)
    similarity = light * contrast
    if weights is not None:
        inner = weights[_WINDOW // 2 : -(_WINDOW // 2), _WINDOW // 2 : -(_WINDOW // 2)]
        similarity *= inner / inner.mean()  # rows and columns come last
    return (1 - tf.reduce_mean(similarity)) / 2


def _blurred(pictures: Tensor) -> Tensor:
    """Blur with a Gaussian; only pixels whose window lies inside are left.

    Products with one matrix for rows and columns take two thirds of the time of convolutions.
    """
    weights = np.exp(-0.5 * ((np.arange(_WINDOW) - _WINDOW // 2) / _SIGMA) ** 2)
    size = pictures.shape[1]
    rows = [np.pad(weights / weights.sum(), (first, size - _WINDOW - first)) for first in range(size - _WINDOW + 1)]
    matrix = tf.constant(np.array(rows), tf.float32)
    for _ in ("rows", "columns"):
        pictures = tf.tensordot(pictures, matrix, [[1], [1]])  # the axis that is summed up becomes the last one
    return pictures
