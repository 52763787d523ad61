"""What the installed OpenCV computes as OpenCV 3.4.1 did, so that the product calls it, and what it does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.opencv341.recorded import recorded

BORDERS = {"constant": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}


@pytest.mark.parametrize("case", recorded("resize"))
def test_pictures_are_resized_alike(case):
    resized = cv2.resize(case["source"], [int(side) for side in case["size"]])
    np.testing.assert_allclose(resized, case["output"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", recorded("remap"))
def test_fixed_point_maps_read_alike(case):
    whole, fraction = cv2.convertMaps(case["x"], case["y"], cv2.CV_16SC2)
    made = cv2.remap(case["source"], whole, fraction, cv2.INTER_LINEAR, borderMode=BORDERS[case["border"]])
    np.testing.assert_array_equal(made, case["output"])


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in recorded("affine")
        if case["source"].dtype == np.float64 and case["interpolation"] == "linear" and case["border"] in BORDERS
    ],
)
def test_pictures_of_float64_are_warped_alike(case):
    flags = cv2.INTER_LINEAR | (cv2.WARP_INVERSE_MAP if case["inverse"] else 0)
    size = case["output"].shape[1::-1]
    made = cv2.warpAffine(case["source"], case["matrix"], size, flags=flags, borderMode=BORDERS[case["border"]])
    np.testing.assert_array_equal(made, case["output"])


@pytest.mark.parametrize("case", recorded("face"))
def test_faces_are_not_warped_and_cloned_alike(case):
    """Why the product has warps and clones of its own. If this fails, it need not have them any more."""
    read = cv2.warpAffine(case["frame"], case["matrix"] * 64, (64, 64))
    assert (read != case["read"]).any()
    x, y, width, height = (int(side) for side in case["box"])
    centre = (x + width // 2, y + height // 2)
    # seamlessClone writes into a mask of one channel, even where NumPy forbids it.
    clone = cv2.seamlessClone(case["warped"], case["frame"], case["levels"].copy(), centre, cv2.NORMAL_CLONE)
    assert (clone != case["output"]).any()
