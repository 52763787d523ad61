"""The look of a face: its pose from landmarks, its skin, its picture."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from services.extractor.look import PICTURE, face_look, pose


def face(nose=(50.0, 60.0)):
    """Landmarks of a frontal face, 100 pixels wide, with the tip of the nose somewhere else."""
    points = np.tile(np.array([50.0, 50.0]), (68, 1))
    points[0], points[16], points[2], points[14] = (0, 40), (100, 40), (5, 60), (95, 60)
    points[36:42], points[42:48], points[48:68] = (30, 40), (70, 40), (50, 80)
    points[30], points[31], points[35] = nose, (40, 60), (60, 60)
    return points


@pytest.mark.parametrize(
    ("nose", "expected"), [((50, 60), (0, 0.5)), ((75, 60), (0.5, 0.5)), ((25, 60), (-0.5, 0.5)), ((50, 70), (0, 0.75))]
)
def test_the_tip_of_the_nose_gives_the_pose_however_the_head_is_tilted(nose, expected):
    for degrees in (0, 30, -75):
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        assert pose(3 * face(nose) @ turn.T + 7) == pytest.approx(expected)


def test_points_that_are_no_face_have_no_pose():
    assert pose(np.zeros((68, 2))) == (0.0, 0.0)


@pytest.mark.parametrize("landmarks", [None, face().astype(np.float32)])
def test_skin_is_that_of_the_face_and_the_picture_is_red_green_blue(landmarks):
    frame = np.zeros((120, 120, 3), np.uint8)
    frame[20:100, :] = (40, 80, 200)  # blue, green, red
    look = face_look(frame, np.array([0.0, 0.0, 100.0, 100.0]), landmarks)
    assert (look.width, look.height) == (100, 100)
    # sRGB 200, 80, 40 in CIELAB under D65, computed by hand
    assert look.skin == pytest.approx((49.7, 45.8, 46.3), abs=0.3)
    picture = np.frombuffer(base64.b64decode(look.picture), np.uint8).reshape(PICTURE, PICTURE, 3)
    assert picture[PICTURE // 2, PICTURE // 2].tolist() == [200, 80, 40]
    assert (look.yaw is None) == (landmarks is None)


def test_a_face_at_the_edge_and_one_of_a_pixel_have_a_look():
    frame = np.full((30, 40, 3), 90, np.uint8)
    for box in ((-10.0, -10.0, 20.0, 20.0), (39.0, 29.0, 1.0, 1.0)):
        assert face_look(frame, np.array(box), None).skin[0] == pytest.approx(38.0, abs=0.5)
