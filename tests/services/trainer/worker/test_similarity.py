"""The structural similarity of pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from services.trainer.worker.similarity import ssim


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (2, 64, 64, 3)).astype(np.float32)


def test_equal_pictures_have_a_similarity_of_1_and_unrelated_ones_of_almost_0() -> None:
    assert ssim(noise(0), noise(0)) == pytest.approx(1.0)
    assert abs(ssim(noise(0), noise(1))) < 0.05
    assert ssim(1 - noise(0), noise(0)) < -0.8


def test_it_falls_with_blur_and_is_the_same_both_ways() -> None:
    faces = noise(0)
    blurred = np.stack([np.asarray(cv2.GaussianBlur(face, (3, 3), 0), np.float32) for face in faces])
    more = np.stack([np.asarray(cv2.GaussianBlur(face, (9, 9), 0), np.float32) for face in faces])
    assert 1 > ssim(blurred, faces) > ssim(more, faces) > 0
    assert ssim(blurred, faces) == pytest.approx(ssim(faces, blurred))


def test_equal_pictures_of_one_grey_are_equal_and_light_and_dark_ones_are_not() -> None:
    light, dark = np.full((1, 64, 64, 3), 0.9, np.float32), np.full((1, 64, 64, 3), 0.1, np.float32)
    assert ssim(light, light) == pytest.approx(1.0)
    assert ssim(light, dark) == pytest.approx(2 * 0.09 / (0.81 + 0.01), abs=0.01)
