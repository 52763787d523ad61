"""What a face takes from its target: the inside of an open mouth, and fine detail."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.faces.mean_face import MEAN_FACE
from services.converter.finish import FinishOptions, finish
from services.converter.warp import Region

SIZE, SIDE, MARGIN = 64, 192, 20
PIXEL = SIDE / SIZE
SHAPE = (SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, 3)
REGION = Region(MARGIN - 5, MARGIN - 5, SHAPE[1] - MARGIN + 5, SHAPE[0] - MARGIN + 5)
MATRIX = np.array([[1 / PIXEL, 0, -MARGIN / PIXEL], [0, 1 / PIXEL, -MARGIN / PIXEL]])
GREY = 100


def landmarks(gap: float) -> NDArray[np.float32]:
    """The mean face, with a gap between the inner lips, in pixels of the network."""
    points = np.zeros((68, 2), np.float32)
    points[17:] = MEAN_FACE * SIDE + MARGIN
    points[60:68, 1] = points[60, 1]
    points[61:64, 1] -= gap * PIXEL / 2
    points[65:68, 1] += gap * PIXEL / 2
    return points


def noisy(deviation: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(GREY, deviation, SHAPE)
    return np.clip(noise, 0, 255).astype(np.uint8)


def finished(frame: NDArray[np.uint8], gap: float, mouth: str = "source", detail: float = 0.0) -> NDArray[np.uint8]:
    warped = np.full((REGION.height, REGION.width, 3), GREY, np.uint8)
    return finish(warped, frame, MATRIX, landmarks(gap), REGION, SIZE, FinishOptions(mouth, detail))


def with_lids(gap: float) -> NDArray[np.float32]:
    """The mean face, with a gap between the lids of both eyes, in pixels of the network."""
    points = landmarks(0)
    for upper, lower in (([37, 38], [41, 40]), ([43, 44], [47, 46])):
        middle = points[[*upper, *lower], 1].mean()
        points[upper, 1], points[lower, 1] = middle - gap * PIXEL / 2, middle + gap * PIXEL / 2
    return points


def with_detail(frame: NDArray[np.uint8], lids: float) -> NDArray[np.uint8]:
    warped = np.full((REGION.height, REGION.width, 3), GREY, np.uint8)
    return finish(warped, frame, MATRIX, with_lids(lids), REGION, SIZE, FinishOptions(detail=1.0))


def at(picture: NDArray[np.uint8], point: NDArray[np.float32]) -> int:
    return int(picture[round(float(point[1])) - REGION.top, round(float(point[0])) - REGION.left, 0])


def test_by_default_a_face_stays_as_the_network_made_it():
    np.testing.assert_array_equal(finished(noisy(40), 9), np.full((REGION.height, REGION.width, 3), GREY))


def test_an_open_mouth_is_the_targets_and_the_rest_is_not():
    frame = np.full(SHAPE, 200, np.uint8)
    made, points = finished(frame, 9, mouth="target"), landmarks(9)
    assert at(made, points[[62, 66]].mean(axis=0)) == 200
    assert at(made, points[30]) == at(made, points[8 + 17]) == GREY
    lips = cv2.contourArea(points[60:68])
    assert 1 < (made[..., 0] > 150).sum() / lips < 2


@pytest.mark.parametrize(("gap", "expected"), [(0.5, 0), (2, 0.5), (3, 1), (9, 1)])
def test_a_mouth_that_opens_becomes_the_targets_little_by_little(gap: float, expected: float):
    frame = np.full(SHAPE, 200, np.uint8)
    made = finished(frame, gap, mouth="target")
    share = (at(made, landmarks(gap)[[62, 66]].mean(axis=0)) - GREY) / (200 - GREY)
    assert share == pytest.approx(expected, abs=0.1)


def test_detail_is_the_targets_noise_and_stays_within_the_face_and_its_limit():
    made = with_detail(noisy(40), 0.9).astype(int)
    inside = made[7:-7, 7:-7]
    assert np.abs(inside - GREY).max() == 12 and inside.std() > 8
    outside = made.copy()
    outside[4:-4, 4:-4] = GREY
    assert (outside == GREY).all()
    assert finished(noisy(4), 0, detail=1.0)[7:-7, 7:-7].std() == pytest.approx(4, abs=1)


@pytest.mark.parametrize("points", [[*range(36, 42)], [*range(42, 48)], [*range(17, 22)], [*range(22, 27)]])
def test_lids_and_brows_get_no_detail_of_the_target_and_closed_eyes_neither(points: list[int]):
    made, around = with_detail(noisy(40), 0.9), with_lids(0.9)[points]
    assert all(abs(at(made, point) - GREY) <= 1 for point in [*around, around.mean(axis=0)])
    assert np.abs(made.astype(int) - GREY).max() == 12


@pytest.mark.parametrize("points", [range(36, 42), range(42, 48)])
def test_between_open_lids_is_the_detail_of_the_targets_gaze(points: range):
    made, around = with_detail(noisy(40), 8).astype(int) - GREY, with_lids(8)[list(points)]
    x, y = np.rint(around.mean(axis=0)).astype(int) - REGION[:2]
    eye = made[y - 4 : y + 5, x - 6 : x + 7]
    assert np.abs(eye).max() == 16 and eye.std() > 10
    lids = [round(float(around[:, 1].mean() + side * 5.2 * PIXEL)) - REGION.top for side in (-1, 1)]
    assert np.abs(made[lids, x - 6 : x + 7]).max() <= 3


def test_what_the_networks_pixels_can_show_is_no_detail():
    x = np.arange(SHAPE[1]) / (16 * PIXEL)
    frame = np.broadcast_to(GREY + 60 * np.sin(2 * np.pi * x)[None, :, None], SHAPE).astype(np.uint8)
    assert np.abs(finished(frame, 0, detail=1.0).astype(int) - GREY).max() <= 3
