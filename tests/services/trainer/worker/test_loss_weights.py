"""The weights of a face's pixels in the loss."""

from __future__ import annotations

import numpy as np
import pytest

from facefoundry.faces.mean_face import FIRST_LANDMARK, MEAN_FACE
from services.trainer.worker import loss_weights


@pytest.mark.parametrize("size", [64, 128])
def test_eyes_and_mouth_count_most_and_the_background_least(size: int) -> None:
    made = loss_weights.of_face(size)
    assert made.mean() == pytest.approx(1, abs=1e-5) and made.min() > 0

    def at(first: int, last: int) -> float:
        x, y = MEAN_FACE[first - FIRST_LANDMARK : last - FIRST_LANDMARK].mean(axis=0)
        return float(made[int(y * size), int(x * size)])

    right, left, mouth, nose = at(36, 42), at(42, 48), at(48, 68), at(29, 31)
    corners = made[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert min(right, left, mouth) > 1.5 * nose
    assert nose > 3 * corners.max()
    assert right == pytest.approx(left, rel=0.1)
    assert np.isfinite(made).all()
