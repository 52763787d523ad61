"""How sharp a swapped face is and whether its border shows, on pictures made by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.converter.appearance import Appearance
from services.converter.composite import Patch
from services.converter.mask import Box
from services.converter.warp import Region

REGION = Region(40, 30, 100, 90)


def picture(seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(90, 160, (120, 140, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (5, 5), 0), np.uint8)


def patch(pixels: NDArray[np.uint8], region: Region = REGION) -> Patch:
    blend = np.full((region.height, region.width), 255, np.uint8)
    return Patch(region, pixels[region.slices], blend, Box(region.left, region.top, region.width, region.height))


def figures(target: NDArray[np.uint8], made: NDArray[np.uint8], region: Region = REGION) -> dict[str, float]:
    appearance, put = Appearance(), patch(made, region)
    appearance.add(target, put.apply(target), put)
    return appearance.figures()


def test_an_unchanged_frame_is_as_sharp_as_its_target_and_has_no_seam() -> None:
    assert figures(picture(), picture()) == {"sharpness": 1.0, "seam": 1.0}


def test_a_blurred_face_is_less_sharp_and_one_of_another_brightness_has_a_seam() -> None:
    target = picture()
    assert figures(target, np.asarray(cv2.GaussianBlur(target, (9, 9), 0), np.uint8))["sharpness"] < 0.2
    brighter = figures(target, cv2.add(target, np.full_like(target, 60)))
    assert brighter["sharpness"] == pytest.approx(1.0)
    assert brighter["seam"] > 1.3


@pytest.mark.parametrize("region", [Region(0, 0, 60, 60), Region(80, 60, 140, 120), Region(1, 1, 139, 119)])
def test_a_mask_at_the_edge_of_the_frame_is_measured_too(region: Region) -> None:
    assert figures(picture(), picture(), region) == {"sharpness": 1.0, "seam": 1.0}


def test_without_a_look_or_without_detail_there_are_no_figures() -> None:
    assert Appearance().figures() == {}
    assert figures(np.full((120, 140, 3), 90, np.uint8), np.full((120, 140, 3), 90, np.uint8)) == {}
    tiny = Region(40, 30, 43, 33)
    assert figures(picture(), picture(), tiny) == {}


def test_every_eighth_frame_is_looked_at() -> None:
    target, appearance = picture(), Appearance()
    blurred = np.asarray(cv2.GaussianBlur(target, (9, 9), 0), np.uint8)
    for number in range(8):
        put = patch(target if number == 0 else blurred)
        appearance.add(target, put.apply(target), put)
    assert appearance.figures()["sharpness"] == 1.0
