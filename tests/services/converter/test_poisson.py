"""The solver of Poisson's equation against the equation itself and numpy's dense solver."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from services.converter.poisson import solve


def laplacian(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the four neighbours, 0 beyond the rim, less four times the pixel."""
    wide = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    return wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * picture


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 2, 3), (2, 1, 3), (2, 2, 1), (3, 64, 3), (64, 65, 3), (97, 40, 3), (206, 217, 3)]
)
def test_the_solution_has_the_laplacian_that_was_asked_for(shape: tuple[int, int, int]) -> None:
    wanted = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    before = wanted.copy()
    picture = solve(wanted)
    assert picture.dtype == np.float32 and picture.shape == shape
    np.testing.assert_array_equal(wanted, before)
    np.testing.assert_allclose(laplacian(picture.astype(np.float64)), wanted, atol=1e-3)


def test_a_picture_of_grey_levels_comes_back_from_its_laplacian() -> None:
    picture = np.random.default_rng(2).integers(-255, 256, (330, 347, 3)).astype(np.float64)
    np.testing.assert_allclose(solve(laplacian(picture).astype(np.float32)), picture, atol=0.05)


def test_it_agrees_with_the_dense_system_worked_by_numpy() -> None:
    height, width = 5, 7
    wanted = np.random.default_rng(3).normal(size=(height, width, 1))
    units = np.eye(height * width).reshape(height * width, height, width, 1)
    dense = np.column_stack([laplacian(unit).ravel() for unit in units])
    expected = np.linalg.solve(dense, wanted.ravel()).reshape(wanted.shape)
    np.testing.assert_allclose(solve(wanted.astype(np.float32)), expected, atol=1e-5)


def test_nothing_is_asked_for_and_nothing_comes() -> None:
    assert not solve(np.zeros((9, 12, 3), np.float32)).any()
