"""Pasting onto a region against cv2.warpAffine onto the whole frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.converter.warp import Region, paste, warp_square

WIDTH, HEIGHT = 641, 363
PLACES = [
    ((320.0, 180.0), 150.0, 0.0),
    ((200.5, 150.2), 97.3, 17.0),
    ((90.0, 80.0), 24.0, 5.0),
    ((20.0, 350.0), 120, -30),
]


def to_face(center: tuple[float, float], size: float, angle: float) -> NDArray[np.float64]:
    turn = np.deg2rad(angle)
    linear = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / size * 64
    return np.column_stack([linear, 32 - linear @ np.array(center)])


def onto_the_whole_frame(face: NDArray[np.generic], canvas: NDArray[np.generic], matrix: NDArray[np.float64]) -> None:
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
    cv2.warpAffine(face, matrix, canvas.shape[1::-1], canvas, flags, cv2.BORDER_TRANSPARENT)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("margin", [-7, 0, 11])
def test_a_face_on_a_region_has_the_pixels_of_the_face_on_the_frame(
    place: tuple[tuple[float, float], float, float], margin: int
) -> None:
    (x, y), size, _ = place
    rng = np.random.default_rng(4)
    frame = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    face = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    half = size * 0.7
    region = Region(int(x - half), int(y - half), int(x + half), int(y + half)).expanded(margin).clipped(frame.shape)
    assert region is not None
    matrix, before = to_face(*place), frame.copy()
    expected, square = frame.copy(), np.zeros((HEIGHT, WIDTH))
    onto_the_whole_frame(face, expected, matrix)
    onto_the_whole_frame(np.ones((64, 64)), square, matrix)
    np.testing.assert_array_equal(paste(face, frame, matrix, region), expected[region.slices])
    np.testing.assert_allclose(warp_square(64, matrix, region), square[region.slices], atol=1e-6)
    np.testing.assert_array_equal(frame, before)
