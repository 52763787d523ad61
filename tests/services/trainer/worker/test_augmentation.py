"""Augmentation in two stages against the warps of OpenCV 3.4.1 on the same draws."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from benchmarks.reference import augmentation as ffpp
from services.trainer.worker import augmentation
from services.trainer.worker.draws import Draws, Sampler
from tests.opencv341.recorded import recorded
from tests.services.trainer.worker.crops import natural, options


def test_samples_are_those_of_opencv_341() -> None:
    cases = recorded("sample")
    table = ops.convert_to_tensor(augmentation.pack(cases[0]["crop"][None]))
    given = {name: np.stack([np.asarray(case[name]) for case in cases]) for name in cases[0]}
    for name in ("rotation", "scale"):
        given[name] = given[name].astype(np.float32)
    drawn = (given[name] for name in Draws._fields[1:])
    draws = Draws(*map(ops.convert_to_tensor, (np.zeros(len(cases), np.int32), *drawn)))
    pairs = augmentation.apply(table, draws, 64)
    for name, pictures in zip(("warped", "unwarped"), pairs, strict=True):
        difference = np.abs(np.asarray(pictures) * 255 - given[name] / 256)
        # A coordinate in float32 may be rounded to the next 32nd of a pixel, and the recorded levels to 256ths.
        assert difference.mean() <= 0.003, name
        assert np.quantile(difference, 0.99) <= 0.01, name
        assert difference.max() <= 1, name


@pytest.mark.parametrize("face_size", [64, 128])
def test_batches_equal_opencv_on_the_same_draws(face_size: int) -> None:
    crops = natural(6)
    before = crops.copy()
    draws = Sampler(options(24), "a", len(crops)).draw(7)
    inputs, targets = augmentation.apply(ops.convert_to_tensor(augmentation.pack(crops)), draws, face_size)
    assert np.array_equal(crops, before)
    assert {False, True} == set(draws.flip.tolist())
    differences: dict[str, list[NDArray[Any]]] = {"inputs": [], "targets": []}
    for index in range(24):
        draw = ffpp.Draw(*(drawn[index] for drawn in draws[1:]))
        warped, unwarped = ffpp.make_pair(crops[draws.faces[index]], draw, face_size)
        differences["inputs"].append(np.abs(np.asarray(inputs[index]) - warped) * 255)
        differences["targets"].append(np.abs(np.asarray(targets[index]) - unwarped) * 255)
    for name, found in differences.items():
        assert np.mean(found) <= 0.003, name
        assert np.quantile(found, 0.99) <= 0.01, name
        assert np.max(found) <= 1, name


def test_faces_turned_far_over_their_border_equal_opencv_too() -> None:
    crops = natural(2)
    draws = Sampler(options(16, rotation_degrees=60, zoom=0.4, shift=0.4, flip_probability=0.5), "b", 2).draw(3)
    inputs, _ = augmentation.apply(ops.convert_to_tensor(augmentation.pack(crops)), draws, 64, margin=4.0)
    for index in range(16):
        draw = ffpp.Draw(*(drawn[index] for drawn in draws[1:]))
        moved = ffpp.random_transform(crops[draws.faces[index]] / 255.0, draw)
        grid = np.stack(np.meshgrid(np.linspace(4, 252, 5), np.linspace(4, 252, 5)), axis=-1) + draw.jitter
        maps = [cv2.resize(np.ascontiguousarray(grid[..., axis]), (80, 80))[8:72, 8:72] for axis in (0, 1)]
        warped = cv2.remap(
            moved,
            maps[0].astype(np.float32),
            maps[1].astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        assert np.abs(np.asarray(inputs[index]) - warped).mean() * 255 <= 0.01


def test_white_and_black_faces_stay_white_and_black() -> None:
    crops = np.zeros((2, 256, 256, 3), np.uint8)
    crops[1] = 255
    draws = Sampler(options(8), "a", 2).draw(0)
    pairs = augmentation.apply(ops.convert_to_tensor(augmentation.pack(crops)), draws, 64)
    for pictures in map(np.asarray, pairs):
        expected = draws.faces[:, None, None, None].astype(np.float32)
        assert np.abs(pictures - expected).max() <= 1e-6


def test_values_are_sums_with_whole_8192nds_for_weights() -> None:
    crops = natural(2)
    draws = Sampler(options(8), "a", 2).draw(0)
    for pictures in augmentation.apply(ops.convert_to_tensor(augmentation.pack(crops)), draws, 64):
        sums = np.asarray(pictures, np.float64) * 255 * 8192
        assert np.abs(sums - np.rint(sums)).max() <= 0.3  # float32 holds a value to a quarter of that
        assert (np.rint(sums) % 2 == 1).any()


def test_without_any_draw_the_target_is_the_central_square() -> None:
    crops = natural(2)
    still = options(2, rotation_degrees=0, zoom=0, shift=0, flip_probability=0, warp_sigma=0)
    draws = Sampler(still, "a", 2).draw(0)
    inputs, targets = augmentation.apply(ops.convert_to_tensor(augmentation.pack(crops)), draws, 64)
    order = draws.faces
    even = crops[order][:, 48:208:5, 48:208:5]
    assert np.allclose(np.asarray(targets)[:, ::2, ::2] * 255, even, atol=0.01)
    # The warp's map is a resize with replicated ends, so its outermost points lie inside the square.
    assert np.abs(np.asarray(inputs) - np.asarray(targets))[:, 8:56, 8:56].mean() < 0.02


def test_another_margin_reads_another_square() -> None:
    crops = natural(1)
    still = options(1, rotation_degrees=0, zoom=0, shift=0, flip_probability=0, warp_sigma=0)
    draws = Sampler(still, "a", 1).draw(0)
    _, targets = augmentation.apply(ops.convert_to_tensor(augmentation.pack(crops)), draws, 64, margin=64.0)
    assert np.allclose(np.asarray(targets)[0] * 255, crops[0, 64:192:2, 64:192:2], atol=0.01)


def test_b16_fewer_faces_than_a_batch_of_64_are_drawn_with_replacement() -> None:
    crops = natural(3)
    sampler = Sampler(options(64), "a", len(crops))
    inputs, targets = augmentation.apply(ops.convert_to_tensor(augmentation.pack(crops)), sampler.draw(0), 64)
    assert inputs.shape == targets.shape == (64, 64, 64, 3)
    seen = np.concatenate([np.asarray(sampler.draw(iteration).faces) for iteration in range(20)])
    assert len(seen) == 20 * 64
    assert np.abs(np.bincount(seen, minlength=3) / len(seen) - 1 / 3).max() < 0.04


def test_packed_pixels_hold_blue_green_and_red() -> None:
    crops = np.zeros((1, 256, 256, 3), np.uint8)
    crops[0, 0, 1] = 1, 2, 3
    packed = augmentation.pack(crops)
    assert packed.dtype == np.int32
    assert packed.shape == (65536,)
    assert packed[:3].tolist() == [0, 1 + 2 * 256 + 3 * 65536, 0]
