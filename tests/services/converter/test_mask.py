"""Soft masks on their region, against those of the whole frame and of OpenCV 3.4.1."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.reference import conversion as ffpp
from services.converter.mask import MaskOptions, levels, soft_mask
from tests.opencv341.recorded import recorded

SHAPE = (240, 320, 3)
FACES = recorded("face")


@pytest.mark.parametrize("number", range(len(FACES)))
def test_a_mask_has_the_levels_of_opencv_341(number: int) -> None:
    case = FACES[number]
    shape = case["frame"].shape
    options = MaskOptions("facehullandrect", 0, 2)
    found = soft_mask(shape, case["matrix"] * 64, case["landmarks"].astype(np.float32), 64, options)
    assert found is not None
    drawn = np.zeros(shape[:2], np.uint8)
    drawn[found.region.slices] = levels(found.values)
    np.testing.assert_array_equal(drawn, case["levels"])


@pytest.mark.parametrize("kind", ["facehull", "facehullandrect"])
@pytest.mark.parametrize("seed", range(12))
def test_a_hull_that_leaves_the_square_or_the_frame_is_that_of_the_whole_frame(kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    center, side = random.uniform(60, 200, 2), random.uniform(60, 120)
    turn = np.deg2rad(random.uniform(-25, 25))
    linear = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / side
    matrix = np.column_stack([linear, 0.5 - linear @ center])
    # Few corners, some of them far outside the square, so that long edges cross its border.
    corners = center + random.uniform(-1.1, 1.1, (7, 2)) * side
    landmarks = np.trunc(np.resize(corners, (68, 2))).astype(np.float32)
    expected = ffpp.soft_mask(SHAPE, matrix, landmarks, kind)[:, :, 0]
    found = soft_mask(SHAPE, matrix * 64, landmarks, 64, MaskOptions(kind, 0, 2))
    assert found is not None
    actual = np.zeros(SHAPE[:2])
    actual[found.region.slices] = found.values
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_opencv_moves_the_pixels_of_a_line_that_it_cuts_off() -> None:
    """Why the hull is drawn as a whole. If this fails, it need not be any more."""
    random = np.random.default_rng(1)
    moved = 0
    for _ in range(20):
        hull = cv2.convexHull(random.integers(0, 200, (7, 2)).astype(np.int32))
        whole, part = np.zeros((200, 200), np.uint8), np.zeros((100, 100), np.uint8)
        cv2.fillConvexPoly(whole, hull, (255,))
        cv2.fillConvexPoly(part, hull - np.array([50, 50], np.int32), (255,))
        moved += int((whole[50:150, 50:150] != part).sum())
    assert moved
