"""The measures of landmarks, on faces whose motion and distance are known."""

import numpy as np
import pytest

from benchmarks.landmarks import NOBODY, distances, eye_distance, is_found, jitter, whose


@pytest.fixture
def face():
    """Landmarks of one face, float64 [68, 2], with a distance of 40 pixels between the eyes."""
    points = np.random.default_rng(0).uniform(0, 100, (68, 2))
    points[36:42], points[42:48] = (30, 40), (70, 40)
    return points


def moving(face, *shifts):
    """Landmarks of a clip in which the face is moved to the right by as many pixels."""
    return np.stack([face + np.array([shift, 0]) for shift in shifts])


def test_the_eye_distance_is_between_the_middles_of_the_eyes(face):
    face[36:42, 1] += [-3, 3, -3, 3, -3, 3]
    np.testing.assert_allclose(eye_distance(face[None]), [40])


def test_a_face_that_moves_at_a_constant_speed_does_not_jitter(face):
    assert jitter(moving(face, 0, 5, 10, 15)) == pytest.approx(0, abs=1e-9)


def test_jitter_is_the_second_difference_in_eye_distances(face):
    assert jitter(moving(face, 0, 1, 0, 1, 0)) == pytest.approx(2 / 40)


def test_frames_beside_one_without_a_face_do_not_count_as_jitter(face):
    points = moving(face, 0, 0, 0, 9, 50, 50, 50)
    points[3] = np.nan
    assert is_found(points).tolist() == [True, True, True, False, True, True, True]
    assert jitter(points) == 0
    assert np.isnan(jitter(points[1:5]))


def test_distances_are_means_in_eye_distances_of_the_truth(face):
    truth = moving(face, 0, 0, 0)
    points = moving(face, 0, 10, 0)
    points[2] = np.nan
    np.testing.assert_allclose(distances(points, truth), [0, 0.25, np.nan])


def test_the_jaw_counts_only_where_it_is_asked_for(face):
    points = moving(face, 0)
    points[0, :17] += 40
    assert distances(points, face[None])[0] == 0
    assert distances(points, face[None], slice(0, 68))[0] == pytest.approx(17 / 68 * np.sqrt(2))


def test_a_face_is_that_of_the_nearest_person_or_of_nobody(face):
    people = {"a": moving(face, 0, 0, 0, 0), "b": moving(face, 100, 100, 100, 100)}
    people["b"][2] = np.nan
    points = moving(face, 10, 95, 95, 0)
    points[3] = np.nan
    assert whose(points, people) == ["a", "b", NOBODY, NOBODY]
