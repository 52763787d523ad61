"""The converter's way through the network against the network itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facefoundry.model import network
from facefoundry.model.network import Architecture, Network
from facefoundry.model.swap import Swapper

TINY = Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4))
UNEVEN = Architecture((3, 5, 7, 9), 11, 6, (5, 3, 2))
QUARTER = Architecture((32, 64, 128, 256), 256, 128, (64, 32, 16))
LARGE = Architecture((16, 24, 32, 40), 32, 24, (20, 12, 8), face_size=128)
DEEP = Architecture((16, 24, 32, 40, 48), 32, 24, (20, 16, 12, 8), face_size=128)


def lively(widths: Architecture) -> Network:
    """A network whose logits spread by about 1; a fresh one's output is nearly 0.5 everywhere."""
    made = network.build(widths, seed=3)
    tensors = made.tensors()
    for name, tensor in tensors.items():
        if name.endswith("bias"):
            tensor += np.random.default_rng(len(tensor)).normal(0, 0.003, tensor.shape)
    made.assign(tensors)
    for side in network.SIDES:
        fresh = np.asarray(made.reconstruct(faces(2, widths.face_size).astype(np.float32) / 255, side))
        tensors[f"decoder_{side}/output/kernel"] /= np.log(fresh / (1 - fresh)).std()
    made.assign(tensors)
    return made


def faces(count: int, size: int = 64) -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return blocks.repeat(size // 8, 1).repeat(size // 8, 2)


@pytest.mark.parametrize("side", network.SIDES)
@pytest.mark.parametrize("widths", [TINY, UNEVEN, QUARTER, LARGE, DEEP])
def test_it_is_the_chosen_decoder_behind_the_encoder(widths: Architecture, side: network.SideName) -> None:
    made = lively(widths)
    given = faces(3, widths.face_size)
    expected = np.asarray(made.reconstruct(given.astype(np.float32) / 255, side))
    assert expected.std() > 0.05
    assert np.abs(expected[0] - expected[1]).max() > 0.05
    swapped = Swapper(widths, made.tensors(), side, 4)(given)
    np.testing.assert_allclose(swapped, expected, atol=1e-4)
    other = Swapper(widths, made.tensors(), "b" if side == "a" else "a", 4)(given)
    assert np.abs(swapped - other).max() > 0.05


def test_standardised_colours_are_those_of_the_network_and_the_swap_has_the_face_s() -> None:
    widths = replace(TINY, colours="standardised")
    made = network.build(widths)
    made.assign(lively(TINY).tensors())
    given = np.asarray(faces(3) / 255, np.float32)
    swap = Swapper(widths, made.tensors(), "b", 4)
    swapped = swap(given)
    np.testing.assert_allclose(swapped, np.asarray(made.reconstruct(given, "b")), atol=1e-4)
    assert np.ptp(swapped, axis=0).max() > 0.05
    assert np.abs(swapped - Swapper(TINY, made.tensors(), "b", 4)(given)).max() > 0.05
    cast, light = np.array([0.3, 0.6, 0.9], np.float32), np.array([0.05, 0.2, 0.0], np.float32)
    relit = np.asarray(given * cast + light, np.float32)
    np.testing.assert_allclose(swap(relit), swapped * cast + light, atol=2e-3)


def test_a_face_of_one_colour_is_swapped_too() -> None:
    widths = replace(TINY, colours="standardised")
    swapped = Swapper(widths, lively(TINY).tensors(), "b", 4)(np.full((1, 64, 64, 3), 90, np.uint8))
    assert np.abs(swapped - 90 / 255).max() < 0.06


@pytest.mark.parametrize("batch_size", [1, 4, 256])
def test_faces_come_in_any_number_and_keep_their_places(batch_size: int) -> None:
    swap = Swapper(TINY, lively(TINY).tensors(), "b", batch_size)
    given = faces(9)
    before = given.copy()
    together = swap(given)
    assert together.shape == given.shape
    assert together.dtype == np.float32
    assert together.min() >= 0
    assert together.max() <= 1
    assert np.array_equal(together, swap(given))
    assert np.array_equal(given, before)
    # Which places of a product of matrices a face takes changes its last bits.
    alone = np.concatenate([swap(given[index : index + 1]) for index in range(9)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, swap(given[::-1])[::-1], atol=1e-5)
    np.testing.assert_allclose(together, swap(given.astype(np.float32) / np.float32(255)), atol=1e-5)
    assert swap(given[:0]).shape == (0, 64, 64, 3)


def test_a_window_that_is_not_full_is_computed_as_a_full_one() -> None:
    swap = Swapper(TINY, lively(TINY).tensors(), "a", 4)
    given = faces(4)
    assert np.array_equal(swap(given)[:3], swap(given[:3]))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="64, 64, 3"):
        Swapper(TINY, lively(TINY).tensors(), "a")(np.zeros((1, 32, 64, 3), np.uint8))
