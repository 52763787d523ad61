import numpy as np
import pytest

from facefoundry.faces.crop import crop_matrix, cut, face_matrix
from facefoundry.faces.mean_face import MEAN_FACE
from tests.opencv341.recorded import recorded


def landmarks_of_a_mean_face(size, left, top):
    jaw = np.random.default_rng(5).uniform(-1000, 1000, (17, 2))
    return np.concatenate([jaw, MEAN_FACE * size + (left, top)])


def test_a_mean_face_in_the_frame_maps_to_the_unit_square_whatever_its_jaw():
    matrix = face_matrix(landmarks_of_a_mean_face(size=200, left=30, top=50))
    np.testing.assert_allclose(matrix, [[1 / 200, 0, -30 / 200], [0, 1 / 200, -50 / 200]], atol=1e-12)


def test_the_mean_face_square_is_the_central_160_pixels_of_the_crop():
    matrix = crop_matrix(face_matrix(landmarks_of_a_mean_face(size=200, left=30, top=50)), 256, 48)
    corners = np.array([[30, 50, 1], [230, 250, 1]])
    np.testing.assert_allclose(corners @ matrix.T, [[48, 48], [208, 208]], atol=1e-9)


def test_crop_matrix_leaves_the_face_matrix_unchanged():
    matrix = np.array([[0.01, 0, -1], [0, 0.01, -1]])
    before = matrix.copy()
    crop_matrix(matrix, 256, 48)
    np.testing.assert_array_equal(matrix, before)


def test_a_face_at_crop_scale_is_cut_pixel_by_pixel_and_black_outside_the_frame():
    frame = np.random.default_rng(6).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    crop = cut(frame, face_matrix(landmarks_of_a_mean_face(size=160, left=28, top=108)), 256, 48)
    assert crop.shape == (256, 256, 3) and crop.dtype == np.uint8
    np.testing.assert_array_equal(crop[:240, 20:], frame[60:300, :236])
    assert not crop[:, :20].any() and not crop[240:].any()


@pytest.mark.parametrize("case", recorded("face"))
def test_crops_are_those_of_opencv_341_to_the_last_bit(case):
    np.testing.assert_array_equal(cut(case["frame"], case["matrix"], 80, 15), case["crop"])
    np.testing.assert_array_equal(cut(case["frame"], case["matrix"], 64, 0), case["read"])


def test_mean_face_has_51_points_symmetric_enough_and_is_read_only():
    assert MEAN_FACE.shape == (51, 2) and MEAN_FACE.dtype == np.float64
    assert ((MEAN_FACE >= 0) & (MEAN_FACE <= 1)).all()
    outer_brows = MEAN_FACE[[0, 9]]
    nose = MEAN_FACE[10, 0]
    assert abs(outer_brows[0, 0] + outer_brows[1, 0] - 2 * nose) < 1e-3
    with pytest.raises(ValueError, match="read-only"):
        MEAN_FACE[0, 0] = 1


def test_other_than_68_landmarks_are_refused():
    with pytest.raises(ValueError, match="68 landmarks"):
        face_matrix(np.zeros((5, 2)))
