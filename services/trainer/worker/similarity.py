"""How similar two pictures are, by the structural similarity index (SSIM) of Wang and others, 2004."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["ssim"]

Grey = NDArray[np.float32]

_WINDOW, _SIGMA = (11, 11), 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(made: NDArray[np.float32], real: NDArray[np.float32]) -> float:
    """Compute the mean SSIM of pictures in grey levels.

    Args:
        made: float32 [n, h, w, 3], BGR in [0, 1].
        real: The pictures to compare with, one for each of `made`.

    Returns:
        The mean over all pixels and pictures, -1 to 1; 1 if all pictures are equal.
    """
    return float(np.mean([_ssim(_grey(first), _grey(second)) for first, second in zip(made, real, strict=True)]))


def _ssim(first: Grey, second: Grey) -> float:
    mean_1, mean_2 = _blurred(first), _blurred(second)
    variances = _blurred(first * first) - mean_1**2 + _blurred(second * second) - mean_2**2
    covariance = _blurred(first * second) - mean_1 * mean_2
    light = (2 * mean_1 * mean_2 + _C1) / (mean_1**2 + mean_2**2 + _C1)
    return float((light * (2 * covariance + _C2) / (variances + _C2)).mean())


def _grey(picture: NDArray[np.float32]) -> Grey:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32)


def _blurred(picture: Grey) -> Grey:
    return np.asarray(cv2.GaussianBlur(picture, _WINDOW, _SIGMA), np.float32)
