"""Pasting onto regions against what OpenCV 3.4.1 makes of the whole frame."""

from __future__ import annotations

import numpy as np
import pytest

from services.converter.warp import Region, footprint, paste, warp_square
from tests.opencv341.recorded import recorded

FACES = recorded("face")


@pytest.mark.parametrize("case", FACES)
def test_a_pasted_face_has_the_pixels_of_opencv_341(case):
    frame = case["frame"]
    whole = Region(0, 0, *frame.shape[1::-1])
    difference = paste(case["made"], frame, case["matrix"] * 64, whole).astype(int) - case["warped"]
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.001


@pytest.mark.parametrize("case", FACES)
def test_a_pasted_square_is_that_of_opencv_341_and_lies_in_its_footprint(case):
    to_face, shape = case["matrix"] * 64, case["frame"].shape
    region = footprint(to_face, 64).clipped(shape)
    assert region is not None
    square = np.zeros(shape[:2])
    square[region.slices] = warp_square(64, to_face, region)
    assert set(np.unique(square)) == {0, 1}
    np.testing.assert_allclose(square, case["square"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("margin", [-7, 0, 11])
def test_a_region_has_the_pixels_of_the_whole_frame(margin):
    for case in FACES:
        frame, to_face = case["frame"].copy(), case["matrix"] * 64
        whole = Region(0, 0, *frame.shape[1::-1])
        region = footprint(to_face, 64).expanded(margin).clipped(frame.shape)
        assert region is not None
        on_the_whole = paste(case["made"], frame, to_face, whole)
        np.testing.assert_array_equal(paste(case["made"], frame, to_face, region), on_the_whole[region.slices])
        square = warp_square(64, to_face, whole)
        np.testing.assert_array_equal(warp_square(64, to_face, region), square[region.slices])
        np.testing.assert_array_equal(frame, case["frame"])
