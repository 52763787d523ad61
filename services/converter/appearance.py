"""Compares the look of a swapped face with that of the target: how sharp it is, and whether its border shows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter.composite import Patch

__all__ = ["Appearance"]

# Every eighth swapped frame is looked at, which takes less than 1 % of a conversion's time.
_EVERY = 8
# Pixels beside the mask that belong to its border, and that are not inside it.
_BORDER = 2
_CROSS = np.ones((3, 3), np.uint8)


class Appearance:
    """Sums sharpness and gradients of fake and target over frames. Frames are uint8 [h, w, 3] BGR."""

    def __init__(self) -> None:
        self._frames = 0
        self._sharpness = np.zeros(2)
        self._border = np.zeros(2)

    def add(self, target: NDArray[np.uint8], output: NDArray[np.uint8], patch: Patch) -> None:
        """Add a swapped frame.

        Args:
            target: The target's decoded frame.
            output: The frame that is written.
            patch: The pixels that replace the target's.
        """
        self._frames += 1
        if (self._frames - 1) % _EVERY:
            return
        blend = np.pad(patch.blend, _BORDER)
        inner = cv2.erode(blend, _CROSS, iterations=_BORDER)
        ring = cv2.subtract(cv2.dilate(blend, _CROSS, iterations=_BORDER), inner)
        if not inner.any():
            return
        pictures = [_padded(frame, patch) for frame in (output, target)]
        self._sharpness += [
            cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F), mask=inner)[1].item() ** 2 for grey in pictures
        ]
        self._border += [cv2.mean(_gradient(grey), mask=ring)[0] for grey in pictures]

    def figures(self) -> dict[str, float]:
        """Return the figures so far; one is missing if the target has no detail there, or no frame was looked at.

        Returns:
            sharpness: Variance of the Laplacian inside the blend mask, divided by the target's there.
            seam: Mean gradient across the border of the blend mask, divided by the target's there.
        """
        sums = {"sharpness": self._sharpness, "seam": self._border}
        return {name: round(float(made / real), 4) for name, (made, real) in sums.items() if real > 0}


def _padded(frame: NDArray[np.uint8], patch: Patch) -> NDArray[np.uint8]:
    """Return the region of a patch with a border around it in grey levels; pixels beyond the frame repeat its edge."""
    rows, columns = patch.region.slices
    top, left = max(0, rows.start - _BORDER), max(0, columns.start - _BORDER)
    part = frame[top : rows.stop + _BORDER, left : columns.stop + _BORDER]
    before = (_BORDER - (rows.start - top), _BORDER - (columns.start - left))
    height, width = patch.blend.shape
    missing = (height + 2 * _BORDER - before[0] - part.shape[0], width + 2 * _BORDER - before[1] - part.shape[1])
    whole = cv2.copyMakeBorder(part, before[0], missing[0], before[1], missing[1], cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(whole, cv2.COLOR_BGR2GRAY), np.uint8)


def _gradient(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    gradient = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return np.asarray(gradient, np.float32)
