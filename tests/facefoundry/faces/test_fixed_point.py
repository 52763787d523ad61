"""Fixed-point maps against `cv2.warpAffine` of OpenCV 3.4.1."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facefoundry.faces.fixed_point import affine_points, inverted
from tests.opencv341.recorded import recorded

INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "transparent": cv2.BORDER_REFLECT_101,
}


# In float64, OpenCV 5 reads wrong pixels where the cubic kernel leaves the picture; nothing here reads float64 with it.
@pytest.mark.parametrize(
    "case",
    [case for case in recorded("affine") if (case["interpolation"], case["source"].dtype) != ("cubic", "float64")],
)
def test_pixels_are_those_of_warp_affine_of_opencv_341(case):
    source, expected = case["source"], case["output"]
    matrix = case["matrix"] if case["inverse"] else inverted(case["matrix"])
    points = affine_points(matrix, 0, 0, *expected.shape[1::-1])
    made = cv2.remap(source, *points, INTERPOLATIONS[case["interpolation"]], borderMode=BORDERS[case["border"]])
    if case["border"] == "transparent":
        # The bilinear kernel is not mirrored: pixels whose next one lies outside are not written.
        reach = 1 if case["interpolation"] == "linear" else 0
        within = points.within(source.shape[1] - reach, source.shape[0] - reach) > 0
        made = np.where(within if made.ndim == 2 else within[:, :, None], made, case["target"])
    if case["interpolation"] == "linear":
        np.testing.assert_array_equal(made, expected)
    else:
        difference = np.abs(made.astype(np.float64) - expected)
        assert difference.max() <= (1 if source.dtype == np.uint8 else 1e-6)
        assert (difference > 1e-6).mean() < 0.002


@pytest.mark.parametrize(
    ("matrix", "left", "top"),
    [
        ([[0.31, 0.05, -12.3], [-0.05, 0.31, 900.4]], 0, 0),
        ([[1.8734, 0.2137, 15300.71], [-0.2137, 1.8734, -8400.23]], 0, 0),  # crop from a frame 16,000 wide
        ([[7.3194, 0.4176, -111800.63], [-0.4176, 7.3194, 6040.97]], 15300, 11),  # small face there, pasted
    ],
)
def test_points_are_those_of_integers_however_far_out_they_lie(matrix, left, top):
    (a, b, x), (c, d, y) = matrix
    columns, rows = np.arange(left, left + 90), np.arange(top, top + 70)[:, None]
    expected = [
        (np.rint(across * columns * 1024).astype(int) + np.rint((down * rows + start) * 1024).astype(int) + 16) >> 5
        for across, down, start in ((a, b, x), (c, d, y))
    ]
    points = affine_points(np.array(matrix), left, top, 90, 70)
    np.testing.assert_array_equal(points.whole, np.stack(expected, axis=2) >> 5)
    np.testing.assert_array_equal(points.fraction, (expected[0] & 31) + 32 * (expected[1] & 31))


def test_points_of_a_rectangle_are_those_of_the_whole_picture():
    matrix = np.array([[0.31, 0.05, -12.3], [-0.05, 0.31, 900.4]])
    whole = affine_points(matrix, 0, 0, 300, 200)
    part = affine_points(matrix, 37, 51, 64, 32)
    np.testing.assert_array_equal(part.whole, whole.whole[51:83, 37:101])
    np.testing.assert_array_equal(part.fraction, whole.fraction[51:83, 37:101])


def test_points_far_outside_a_picture_are_not_within_it():
    points = affine_points(np.array([[1e9, 0, -1e12], [0, 1e9, 1e12]]), 0, 0, 40, 30)
    assert not points.within(64, 64).any()


def test_the_inverse_of_the_inverse_is_the_map_and_a_flat_map_has_none():
    matrix = np.array([[0.31, 0.05, -12.3], [-0.05, 0.31, 900.4]])
    np.testing.assert_allclose(inverted(inverted(matrix)), matrix)
    assert not inverted(np.zeros((2, 3))).any()
