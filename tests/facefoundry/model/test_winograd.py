"""Convolutions in few points against the sums they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from facefoundry.model.winograd import Convolution


@pytest.mark.parametrize(
    ("count", "side", "channels", "filters"), [(1, 2, 1, 9), (3, 4, 5, 7), (2, 8, 6, 3), (1, 32, 12, 4)]
)
def test_it_is_the_sum_over_neighbours_a_bias_and_a_leaky_relu(
    count: int, side: int, channels: int, filters: int
) -> None:
    random = np.random.default_rng(side)
    maps = random.standard_normal((count, side, side, channels), np.float32)
    kernel = random.standard_normal((3, 3, channels, filters), np.float32)
    bias = random.standard_normal(filters, np.float32)
    made = Convolution(kernel, bias, side, 0.1)(maps)
    windows = sliding_window_view(np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), (1, 2))
    sums = np.einsum("nhwcij,ijco->nhwo", windows.astype(np.float64), kernel.astype(np.float64)) + bias
    assert made.dtype == np.float32
    assert (sums < 0).any() and (sums > 0).any()
    np.testing.assert_allclose(made, np.where(sums > 0, sums, 0.1 * sums), atol=1e-5 * np.abs(sums).max())
