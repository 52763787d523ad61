import cv2
import numpy as np
import pytest

from benchmarks.reference.extraction import umeyama
from facefoundry.faces.umeyama import similarity


def test_a_quarter_turn_twice_the_size_and_a_shift_are_found_exactly():
    source = [(0, 0), (1, 0), (0, 1)]
    target = [(10, 20), (10, 22), (8, 20)]
    np.testing.assert_allclose(similarity(source, target), [[0, -2, 10], [2, 0, 20]], atol=1e-12)


def test_noisy_points_fit_as_umeyamas_singular_values_do():
    random = np.random.default_rng(1)
    for _ in range(50):
        source = random.normal(size=(51, 2)) * 40 + 200
        target = source @ random.normal(size=(2, 2)) + random.normal(size=(51, 2))
        np.testing.assert_allclose(similarity(source, target), umeyama(source, target), atol=1e-9)


def test_an_exact_similarity_is_what_opencv_estimates():
    random = np.random.default_rng(2)
    source = random.uniform(0, 500, (68, 2))
    target = source @ (0.4 * np.array([[0.8, 0.6], [-0.6, 0.8]])) + (7, -3)
    estimated, _ = cv2.estimateAffinePartial2D(source, target)
    np.testing.assert_allclose(similarity(source, target), estimated, atol=1e-4)


def test_a_mirrored_target_is_fitted_by_a_rotation_and_never_by_a_reflection():
    source = np.random.default_rng(3).normal(size=(20, 2))
    matrix = similarity(source, source * (-1, 1))
    assert np.linalg.det(matrix[:, :2]) >= 0
    np.testing.assert_allclose(matrix, umeyama(source, source * (-1, 1)), atol=1e-12)


def test_many_sets_at_once_equal_each_alone():
    random = np.random.default_rng(4)
    sources, target = random.normal(size=(3, 5, 51, 2)), random.normal(size=(51, 2))
    together = similarity(sources, target)
    assert together.shape == (3, 5, 2, 3)
    np.testing.assert_allclose(together[2, 4], similarity(sources[2, 4], target), atol=1e-12)


def test_points_that_all_coincide_give_nan_instead_of_a_guess():
    assert np.isnan(similarity(np.ones((51, 2)), np.arange(102).reshape(51, 2))).all()


def test_inputs_are_left_unchanged():
    source, target = np.arange(8.0).reshape(4, 2), np.arange(8.0).reshape(4, 2)[::-1].copy()
    similarity(source, target)
    np.testing.assert_array_equal(source, np.arange(8.0).reshape(4, 2))


@pytest.mark.parametrize("shapes", [((4, 3), (4, 3)), ((4, 2), (5, 2)), ((2,), (2,))])
def test_anything_but_two_equal_point_sets_is_refused(shapes):
    with pytest.raises(ValueError, match="point sets"):
        similarity(np.zeros(shapes[0]), np.zeros(shapes[1]))
