"""Cloning, the product's and that of the reference, against recorded outputs of OpenCV 3.4.1."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.reference import cloning
from services.converter import blend
from services.converter.mask import Box, core_box
from services.converter.warp import Region
from tests.opencv341.recorded import recorded

WHOLE_FRAME = Region(0, 0, 10_000, 10_000)


def box_of(levels: NDArray[np.uint8]) -> Box:
    box = core_box(levels, WHOLE_FRAME)
    assert box is not None
    return box


def in_place(case: dict[str, Any]) -> bool:
    """Whether the face was put where it was, as FF++ does, and not moved."""
    box = box_of(case["levels"])
    return tuple(case["center"]) == (box.x + box.width // 2, box.y + box.height // 2)


CASES = [case for case in recorded("clone") if in_place(case)] + [
    {**case, "source": case["warped"], "target": case["frame"]} for case in recorded("face")
]
NUMBERS = range(len(CASES))


def cloned(case: dict[str, Any]) -> NDArray[np.uint8]:
    """Our clone of a recorded case on the region where the mask is not 0."""
    x, y, width, height = cv2.boundingRect(case["levels"])
    region = Region(x, y, x + width, y + height)
    levels, warped = (np.ascontiguousarray(case[name][region.slices]) for name in ("levels", "source"))
    made = blend.seamless(case["target"], warped, levels, region, box_of(case["levels"]), "opencv-3.4.1")
    assert made is not None
    output = case["target"].copy()
    output[made.region.slices] = made.pixels
    return np.asarray(output, np.uint8)


def assert_close(actual: NDArray[np.uint8], case: dict[str, Any]) -> None:
    """Check that truncated sums differ by a level in few values, and nowhere by more."""
    difference = np.abs(actual.astype(int) - case["output"])
    assert difference.max() <= 1
    # Where erosion leaves nothing of the mask, sums are whole levels, and OpenCV rounds some of them down by one.
    if cv2.erode(case["levels"], np.ones((7, 7), np.uint8)).any():
        box = box_of(case["levels"])
        assert (difference > 0).sum() <= 0.005 * 3 * box.width * box.height


def test_there_are_cases_of_every_kind() -> None:
    boxes = [box_of(case["levels"]) for case in CASES]
    assert len(CASES) >= 12
    assert any(box.x == 0 for box in boxes) and any(box.y == 0 for box in boxes)
    assert {box.width % 2 for box in boxes} == {box.height % 2 for box in boxes} == {0, 1}
    assert min(box.width for box in boxes) < 7 < 60 < max(box.width for box in boxes)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_clone_is_that_of_opencv_341_within_a_level(number: int) -> None:
    assert_close(cloned(CASES[number]), CASES[number])


@pytest.mark.parametrize("number", NUMBERS)
def test_as_in_opencv_341_no_pixel_changes_that_is_not_strictly_inside_the_box(number: int) -> None:
    case = CASES[number]
    for output in (cloned(case), case["output"]):
        changed = (output != case["target"]).any(axis=2)
        changed[box_of(case["levels"]).region.expanded(-1).slices] = False
        assert not changed.any()


@pytest.mark.parametrize("number", NUMBERS)
def test_the_reference_clones_as_opencv_341_too(number: int) -> None:
    case = CASES[number]
    output = cloning.clone(case["source"], case["target"], case["levels"], box_of(case["levels"]))
    assert output is not None
    assert_close(output, case)


def test_a_published_mask_gives_the_geometry_of_the_published_fake() -> None:
    """In frame 0 of FF++'s 003_000 the mask is 88x87 pixels; 98.2 % of those strictly inside are changed, no other."""
    mask = Box(303, 92, 88, 87)
    random = np.random.default_rng(3)
    source, target = (cv2.resize(random.integers(60, 190, (12, 16, 3), np.uint8), (640, 480)) for _ in range(2))
    levels = np.zeros((480, 640), np.uint8)
    # A tilted hull with soft edges; its pixels of 255 reach one row and one column beyond the mask.
    corners = [(303, 120), (370, 92), (391, 150), (330, 179)]
    cv2.fillConvexPoly(levels, np.array(corners, np.int32), (255,))
    levels = np.maximum(levels, cv2.dilate(levels, np.ones((3, 3), np.uint8)) // 2)
    assert box_of(levels) == mask
    case = {"source": source, "target": target, "levels": levels}
    rows, columns = np.nonzero((cloned(case) != target).any(axis=2))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (304, 389, 93, 177)
    assert 0.97 < len(rows) / (86 * 85) <= 1


@pytest.mark.parametrize(("width", "height", "interior"), [(2, 9, 0), (9, 2, 0), (3, 3, 1), (3, 9, 7), (9, 3, 7)])
def test_a_box_without_inner_pixels_cannot_be_cloned(width: int, height: int, interior: int) -> None:
    random = np.random.default_rng(0)
    source, target = random.integers(0, 256, (2, 30, 40, 3), np.uint8)
    levels = np.full((30, 40), 100, np.uint8)
    levels[8 : 9 + height, 9 : 10 + width] = 255
    made = blend.seamless(target, source, levels, Region(0, 0, 40, 30), box_of(levels), "opencv-3.4.1")
    if not interior:
        assert made is None
    else:
        assert made is not None
        assert (made.pixels != target[made.region.slices]).any(axis=2).sum() == interior
