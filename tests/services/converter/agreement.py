"""What blending is held to: our solver and cv2.seamlessClone, our masks and whole-frame ones round differently."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assert_within_a_level(actual: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    assert actual.dtype == expected.dtype == np.uint8
    np.testing.assert_allclose(actual.astype(int), expected.astype(int), rtol=0, atol=1)
