"""Crops and options of trainings for the tests of augmentation."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.recipes import load
from facefoundry.v1.recipe_pb2 import TrainingOptions

__all__ = ["natural", "options"]


def options(batch_size: int, **changes: float) -> TrainingOptions:
    """FF++'s options of a training with another batch size, and other changes."""
    made = load("ffpp").training
    made.batch_size = batch_size
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def natural(count: int) -> NDArray[np.uint8]:
    """Pictures with the spectrum of photographs: blurred noise with a fine grain, full range."""
    noise = np.random.default_rng(5).normal(size=(count, 256, 256, 3))
    coarse = np.stack(
        [cv2.GaussianBlur(picture, (0, 0), 12) * 24 + cv2.GaussianBlur(picture, (0, 0), 2) for picture in noise]
    )
    return np.clip(127 + 50 * coarse, 0, 255).astype(np.uint8)
