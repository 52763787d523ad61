"""How sharp a swapped face is and whether its border shows, on pictures made by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.converter.appearance import Appearance, colour_step
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
    assert figures(picture(), picture()) == {"sharpness": 1.0, "seam": 1.0, "colour_step": 0.0}


def test_a_blurred_face_is_less_sharp_and_one_of_another_brightness_has_a_seam() -> None:
    target = picture()
    assert figures(target, np.asarray(cv2.GaussianBlur(target, (9, 9), 0), np.uint8))["sharpness"] < 0.2
    brighter = figures(target, cv2.add(target, np.full_like(target, 60)))
    assert brighter["sharpness"] == pytest.approx(1.0)
    assert brighter["seam"] > 1.3


@pytest.mark.parametrize("region", [Region(0, 0, 60, 60), Region(80, 60, 140, 120), Region(1, 1, 139, 119)])
def test_a_mask_at_the_edge_of_the_frame_is_measured_too(region: Region) -> None:
    assert figures(picture(), picture(), region) == {"sharpness": 1.0, "seam": 1.0, "colour_step": 0.0}


def test_without_a_look_or_without_detail_there_are_no_figures() -> None:
    assert Appearance().figures() == {}
    plain = np.full((120, 140, 3), 90, np.uint8)
    assert figures(plain, plain) == {"colour_step": 0.0}
    tiny = Region(40, 30, 43, 33)
    assert figures(picture(), picture(), tiny) == {}


def test_every_eighth_frame_is_looked_at() -> None:
    target, appearance = picture(), Appearance()
    blurred = np.asarray(cv2.GaussianBlur(target, (9, 9), 0), np.uint8)
    for number in range(8):
        put = patch(target if number == 0 else blurred)
        appearance.add(target, put.apply(target), put)
    assert appearance.figures()["sharpness"] == 1.0


def disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.circle(np.zeros((120, 140), np.uint8), (70, 60), radius, 255, -1), np.uint8)


def test_a_step_in_colour_is_a_distance_in_cielab() -> None:
    target = np.full((120, 140, 3), 100, np.uint8)
    made = target.copy()
    made[disc(40) > 0] = 120
    assert colour_step(target, target, disc(40)) == 0
    greys = np.array([[[100] * 3, [120] * 3]], np.float32) / 255
    lightness = cv2.cvtColor(greys, cv2.COLOR_BGR2LAB)[0, :, 0]
    assert colour_step(made, target, disc(40)) == pytest.approx(lightness[1] - lightness[0], rel=0.01)


def test_a_face_too_light_on_one_side_and_too_dark_on_the_other_has_a_step() -> None:
    target = np.full((120, 140, 3), 100, np.uint8)
    made, mask = target.copy(), disc(40)
    made[:, :70][mask[:, :70] > 0], made[:, 70:][mask[:, 70:] > 0] = 110, 90
    step = colour_step(made, target, mask)
    assert step is not None and step > 3


def test_a_step_that_the_target_has_too_and_one_that_fades_out_are_none() -> None:
    target = np.full((120, 140, 3), 100, np.uint8)
    target[disc(40) > 0] = 140
    assert colour_step(target, target, disc(40)) == 0
    flat = np.full((120, 140, 3), 100, np.uint8)
    soft = cv2.GaussianBlur(disc(20), (31, 31), 0) // 5
    faded = cv2.add(flat, cv2.merge([soft] * 3))
    step = colour_step(np.asarray(faded, np.uint8), flat, disc(45))
    assert step is not None and step < 0.5


def test_a_mask_too_small_for_strips_has_no_step_and_pictures_stay_as_they_were() -> None:
    target = picture()
    before = target.copy()
    assert colour_step(target, target, disc(1)) is None
    assert colour_step(target, target, np.zeros((120, 140), np.uint8)) is None
    assert np.array_equal(target, before)
