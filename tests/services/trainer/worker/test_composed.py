"""Augmentation by one composed map against cv2's two stages on the same draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.crops import face_crops
from benchmarks.reference import augmentation as ffpp
from services.trainer.worker import composed
from services.trainer.worker.draws import Draws, Sampler
from tests.opencv341.recorded import recorded
from tests.services.trainer.worker.crops import natural, options


def differences(crops: NDArray[np.uint8], draws: Draws, face_size: int) -> NDArray[np.float64]:
    """Differences from cv2's two stages, grey levels: [2, n, s, s, 3], of inputs and of targets."""
    pairs = composed.pairs(composed.smooth(crops), draws, face_size)
    apart = []
    for index, face in enumerate(draws.faces):
        expected = ffpp.make_pair(crops[face], ffpp.Draw(*(drawn[index] for drawn in draws[1:])), face_size)
        apart.append(np.abs(np.split(pairs[index].astype(np.float64), 2) - 255 * np.stack(expected)))
    return np.stack(apart, axis=1)


@pytest.mark.parametrize("face_size", [64, 128])
def test_pairs_are_within_half_a_level_of_cv2s_two_stages(face_size: int) -> None:
    crops = natural(6)
    before = crops.copy()
    draws = Sampler(options(24), "a", len(crops)).draw(7)
    assert {False, True} == set(draws.flip.tolist())
    apart = differences(crops, draws, face_size)
    assert np.array_equal(crops, before)
    assert (apart.mean(axis=(1, 2, 3, 4)) <= 0.35).all()
    assert np.quantile(apart, 0.99) <= 1.1
    assert apart.max() <= 3


def test_pairs_of_a_portrait_are_within_half_a_level_of_cv2s_two_stages() -> None:
    crops = face_crops(8)
    apart = differences(crops, Sampler(options(24), "a", len(crops)).draw(7), 64)
    assert (apart.mean(axis=(1, 2, 3, 4)) <= 0.5).all()


def test_smooth_crops_are_blurred_by_a_sixth_of_a_pixel_squared() -> None:
    crops = np.zeros((1, 256, 256, 3), np.uint8)
    crops[0, 100, 100] = 240
    before = crops.copy()
    spot = composed.smooth(crops)[0, 98:103, 98:103, 1].astype(np.float64) / 240
    assert np.array_equal(crops, before)
    assert spot.sum() == pytest.approx(1, abs=0.02)
    assert spot.sum(axis=0) @ np.arange(-2, 3) ** 2 == pytest.approx(1 / 6, abs=0.02)


def test_faces_turned_and_mirrored_are_where_cv2_has_them() -> None:
    crops = natural(2)
    wild = options(16, rotation_degrees=60, zoom=0.3, shift=0.05, flip_probability=0.5, warp_sigma=4)
    apart = differences(crops, Sampler(wild, "b", 2).draw(3), 64)
    # Far from the middle, FF++ reads beyond the border of the similarity's result.
    assert (np.median(apart, axis=(2, 3, 4)) <= 0.5).all()


def test_pairs_of_the_recorded_draws_are_those_of_opencv_341() -> None:
    cases = recorded("sample")
    given: dict[str, Any] = {name: np.stack([np.asarray(case[name]) for case in cases]) for name in cases[0]}
    draws = Draws(np.zeros(len(cases), np.int32), *(given[name] for name in Draws._fields[1:]))
    pairs = composed.pairs(composed.smooth(cases[0]["crop"][None]), draws, 64).astype(np.float64)
    for found, name in zip(np.split(pairs, 2, axis=1), ("warped", "unwarped"), strict=True):
        assert np.abs(found - given[name] / 256).mean() <= 0.5, name


def test_without_any_draw_the_target_is_the_central_square() -> None:
    crops = natural(2)
    still = options(2, rotation_degrees=0, zoom=0, shift=0, flip_probability=0, warp_sigma=0)
    draws = Sampler(still, "a", 2).draw(0)
    warped, unwarped = np.split(composed.pairs(crops, draws, 64), 2, axis=1)
    assert np.array_equal(unwarped[:, ::2, ::2], crops[draws.faces][:, 48:208:5, 48:208:5])
    middle = unwarped[:, 8:56, 8:56].astype(np.float64)
    assert np.abs(warped[:, 8:56, 8:56] - middle).mean() < 0.02 * 255
    _, wider = np.split(composed.pairs(crops, draws, 64, margin=64.0), 2, axis=1)
    assert np.array_equal(wider, crops[draws.faces][:, 64:192:2, 64:192:2])


def test_beyond_its_border_a_crop_goes_on_as_at_the_border() -> None:
    crops = np.zeros((1, 256, 256, 3), np.uint8)
    crops[:, :, :128] = 255
    away = options(1, rotation_degrees=0, zoom=0, shift=0, flip_probability=0, warp_sigma=0)
    draws = Sampler(away, "a", 1).draw(0)._replace(shift=np.array([[400.0, 0.0]], np.float32))
    assert (composed.pairs(crops, draws, 64) == 255).all()


def test_a_map_is_that_of_the_crop_through_both_stages() -> None:
    """A crop whose levels are coordinates tells where each pixel was read."""
    ramp = np.arange(256, dtype=np.uint8)
    crops = np.stack([*np.meshgrid(ramp, ramp), np.zeros((256, 256), np.uint8)], axis=-1)[None]
    draws = Sampler(options(8), "a", 1).draw(5)
    read = composed.maps(draws, 64).transpose(0, 2, 3, 1)
    for index in range(8):
        expected = ffpp.make_pair(crops[0], ffpp.Draw(*(drawn[index] for drawn in draws[1:])))
        assert np.abs(read[index] - 255 * np.concatenate(expected)[..., :2]).max() <= 0.1
