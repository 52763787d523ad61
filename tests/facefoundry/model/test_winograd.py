"""Convolutions in few points against the sums they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from facefoundry.model.winograd import Convolution


@pytest.mark.parametrize(
    ("count", "side", "channels", "filters"), [(1, 4, 1, 9), (3, 4, 5, 7), (2, 8, 6, 3), (1, 32, 12, 4)]
)
def test_it_is_the_sum_over_neighbours_a_bias_and_a_leaky_relu(
    count: int, side: int, channels: int, filters: int
) -> None:
    random = np.random.default_rng(side)
    maps = random.standard_normal((count, side, side, channels), np.float32)
    kernel = random.standard_normal((3, 3, channels, filters), np.float32)
    bias = random.standard_normal(filters, np.float32)
    made = Convolution(kernel, bias, side, 0.1)(maps)
    sums = np.einsum("nhwcij,ijco->nhwo", _windows(maps).astype(np.float64), kernel.astype(np.float64)) + bias
    assert made.dtype == np.float32
    assert (sums < 0).any() and (sums > 0).any()
    np.testing.assert_allclose(made, np.where(sums > 0, sums, 0.1 * sums), atol=1e-5 * np.abs(sums).max())


@pytest.mark.parametrize("side", [4, 8])
def test_channels_that_a_point_does_not_see_are_left_out_of_its_product(side: int) -> None:
    random = np.random.default_rng(side)
    kernel = random.standard_normal((3, 3, 8, 3), np.float32)
    kernel[0, :, :4] = kernel[:, 0, 2:6] = 0
    kernel[:, 2, 7] = 0
    maps = random.standard_normal((2, side, side, 8), np.float32)
    convolution = Convolution(kernel, np.zeros(3, np.float32), side, 1.0)
    sums = np.einsum("nhwcij,ijco->nhwo", _windows(maps).astype(np.float64), kernel.astype(np.float64))
    np.testing.assert_allclose(convolution(maps), sums, atol=1e-5 * np.abs(sums).max())
    sizes = {len(of_point) for of_point in convolution._kernels}
    assert sizes == {2, 3, 4, 7, 8}


def test_without_a_kernel_the_bias_remains() -> None:
    maps = np.ones((1, 4, 4, 2), np.float32)
    made = Convolution(np.zeros((3, 3, 2, 3), np.float32), np.array([1, 2, -3], np.float32), 4, 0.5)(maps)
    np.testing.assert_array_equal(made, np.broadcast_to(np.array([1, 2, -1.5], np.float32), (1, 4, 4, 3)))


def test_channels_become_rows_and_columns() -> None:
    random = np.random.default_rng(0)
    maps = random.standard_normal((2, 8, 8, 3), np.float32)
    arguments = random.standard_normal((3, 3, 3, 20), np.float32), random.standard_normal(20, np.float32), 8, 0.1
    flat = Convolution(*arguments)(maps).reshape(2, 8, 8, 2, 2, 5)
    spread = Convolution(*arguments, spread=2)(maps)
    assert spread.shape == (2, 16, 16, 5)
    for row in range(2):
        for column in range(2):
            np.testing.assert_array_equal(spread[:, row::2, column::2], flat[:, :, :, row, column])


def _windows(maps: np.ndarray) -> np.ndarray:
    return sliding_window_view(np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), (1, 2))
