"""The crops of drawn heads, aligned and cut as the extractor does, and copies of them in other colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.faces.crop import cut, face_matrix

__all__ = ["crops", "varied"]

_SIZE, _PADDING = 256, 48  # as in the recipe ffpp


def crops(pictures: Sequence[Path]) -> NDArray[np.uint8]:
    """Cut the faces out of pictures.

    Args:
        pictures: Files that `tools.heads.render` made, each with its landmarks beside it.

    Returns:
        uint8 [n, 256, 256, 3], BGR.
    """
    made = np.empty((len(pictures), _SIZE, _SIZE, 3), np.uint8)
    for picture, crop in zip(pictures, made, strict=True):
        matrix = face_matrix(np.load(picture.with_suffix(".npy")))
        crop[:] = cut(np.asarray(cv2.imread(str(picture)), np.uint8), matrix, _SIZE, _PADDING)
    return made


def varied(crop: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a crop as another camera might have seen it: with another contrast and another white.

    Args:
        crop: uint8 [h, w, 3], BGR.
        random: Draws the changes.
    """
    gamma, gains = np.exp(random.normal(0, 0.25)), np.exp(random.normal(0, 0.12, 3))
    levels = (np.arange(256) / 255)[:, None] ** gamma * gains + random.normal(0, 0.03)
    table = np.rint(levels.clip(0, 1) * 255).astype(np.uint8)
    return np.stack([table[crop[..., channel], channel] for channel in range(3)], axis=-1)
