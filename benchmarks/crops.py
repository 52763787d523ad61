"""Face crops for training, made of the portrait in `material`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.material import shot
from facefoundry.faces.crop import cut

__all__ = ["face_crops"]


def face_crops(count: int) -> NDArray[np.uint8]:
    """Return crops as the extractor cuts them from 720p frames, uint8 [count, 256, 256, 3] BGR.

    At most 64 of them differ; more are repetitions.
    """
    few = np.stack([cut(made.frame, made.matrix, 256, 48) for made in map(shot, range(min(count, 64)))])
    return few[np.arange(count) % len(few)]
