"""The rendered heads: where a turned mesh is in a picture, and how errors are measured; nothing is drawn."""

import gzip

import numpy as np
import pytest

from benchmarks.heads.looks import LOOKS, POSES
from benchmarks.heads.pictures import PLAIN, Pictures, errors, failures, table
from tools.heads.job import Head, Job, Light, Shot
from tools.heads.landmarks import BROWS, VERTICES
from tools.heads.mesh import CENTRE, FACE, Camera, Mesh, Pose, moved, read_mesh, shaped

CAMERA = Camera(size=401, lift=0.0)
NOSE = CENTRE + np.array([[0, 0, 1.0]])


def test_the_centre_is_in_the_middle_of_every_picture():
    for pose in POSES:
        np.testing.assert_allclose(CAMERA.project(CENTRE[None], pose), [[200, 200]], atol=1e-9)


@pytest.mark.parametrize(
    ("pose", "direction"),
    [(Pose(), (0, 0)), (Pose(yaw=40), (1, 0)), (Pose(pitch=40), (0, -1)), (Pose(roll=40), (0, 0))],
)
def test_the_nose_turns_to_the_persons_left_and_upwards(pose, direction):
    shift = (CAMERA.project(NOSE, pose) - 200).round(6)[0]
    np.testing.assert_array_equal(np.sign(shift), direction)


def test_the_head_rolls_to_the_persons_right_shoulder():
    crown = CENTRE + np.array([[0, 1.0, 0]])
    x, y = CAMERA.project(crown, Pose(roll=40))[0] - 200
    assert x < 0 and y < 0 and np.degrees(np.arctan2(-x, -y)) == pytest.approx(40)


def test_a_picture_shows_the_height_of_the_camera_at_the_centre():
    top = CENTRE + np.array([[0, CAMERA.height / 2, 0]])
    np.testing.assert_allclose(CAMERA.project(top, Pose()), [[200, -0.5]], atol=1e-9)
    assert np.tan(CAMERA.angle / 2) * CAMERA.distance == pytest.approx(CAMERA.height / 2)


def test_a_mesh_is_read_and_moved_towards_targets_with_its_eyes_in_place(tmp_path):
    (tmp_path / "base.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 1\ng helper-l-eye\nf 1/1 2/2 3/1\ng helper-r-eye\nf 1/2 2/1 3/2\n"
    )
    mesh = read_mesh(tmp_path / "base.obj")
    assert mesh.groups["helper-l-eye"] == [[(0, 0), (1, 1), (2, 0)]] and mesh.texture.tolist() == [[0, 0], [1, 1]]
    target, nothing = tmp_path / "t.target.gz", tmp_path / "n.target.gz"
    target.write_bytes(gzip.compress(b"# a comment\n1 .5 0 -1\n"))
    nothing.write_bytes(gzip.compress(b"# a comment\n"))
    vertices = shaped(mesh, {target: 0.5, nothing: 1.0})
    np.testing.assert_allclose(np.ptp(vertices, axis=0), [1.25, 1, 0.5])
    np.testing.assert_allclose(vertices.mean(axis=0), [0, 7.28, 1.25], atol=1e-9)
    assert isinstance(mesh, Mesh) and mesh.vertices[1].tolist() == [1, 0, 0]


def test_there_are_68_different_vertices_and_brows_of_five():
    assert len(VERTICES) == len(set(VERTICES)) == 68
    assert [len(brow) for brow in BROWS] == [5, 5] and BROWS[0][0] == VERTICES[17] and BROWS[1][0] == VERTICES[26]


def test_a_head_that_turns_around_its_face_keeps_it_in_the_middle():
    pose = Pose(yaw=40, pitch=-20, roll=10, centre=FACE)
    np.testing.assert_allclose(CAMERA.project(np.array([FACE]), pose), [[200, 200]], atol=1e-9)


def test_actions_move_a_head_and_leave_the_given_vertices_as_they_are(tmp_path):
    (tmp_path / "jawOpen.target").write_text("0 0 -1 0\n")
    vertices = np.zeros((2, 3))
    np.testing.assert_array_equal(moved(vertices, {tmp_path / "jawOpen.target": 0.5}), [[0, -0.5, 0], [0, 0, 0]])
    assert not vertices.any()


def test_a_job_is_read_as_it_was_written(tmp_path):
    shots = [Shot(Pose(yaw=3, centre=FACE), {"jawOpen": 0.5}, (1.0, 2.0), [Light(), Light((0.0, 0.1), 2.0)]), Shot()]
    job = Job("mesh", "targets", "actions", "skins", "out", 64, 2.2, 8, [Head(look, shots) for look in LOOKS])
    job.write(tmp_path / "job.json")
    assert Job.read(tmp_path / "job.json") == job
    assert str(job.picture(job.heads[0], 1)) == "out/young-woman-01.png"
    assert [str(pose) for pose in POSES[:3]] == ["front", "yaw -40", "yaw -20"]


def test_errors_are_in_eye_distances_of_the_head_seen_from_the_front():
    truth = np.zeros((2, 68, 2))
    frames = [np.full((4, 4, 3), value, np.uint8) for value in (3, 0)]

    def find(frame):
        return np.full((68, 2), np.nan) if frame.max() == 0 else np.tile([float(frame.max()), 0.0], (68, 1))

    np.testing.assert_allclose(errors(Pictures(frames, truth, np.array([30.0, 30.0])), find), [0.1, np.nan])


def test_an_engine_that_finds_fewer_heads_than_plain_dlib_is_named():
    measured = {
        "front": {PLAIN: np.array([0.02, 0.04]), "dlib": np.array([0.03, 0.05])},
        "yaw +40": {PLAIN: np.array([0.1, np.nan]), "dlib": np.array([np.nan, np.nan])},
    }
    assert table(measured).splitlines()[2:] == [
        "| front | 2 of 2: 0.030, 0.040 | 2 of 2: 0.040, 0.050 |",
        "| yaw +40 | 1 of 2: 0.100, 0.100 | 0 of 2 |",
    ]
    assert list(failures(measured)) == ["heads, yaw +40, dlib: 0 found, and 1 by plain dlib."]
