from importlib import metadata
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest

from facefoundry.errors import DataLoss, Internal, InvalidInput
from facefoundry.faces.crop import cut, face_matrix
from services.extractor import engines
from services.extractor.boxes import iou, nearest
from services.extractor.engines.dlib import hog, near
from services.extractor.tracking import Subject

FACE = (175, 70, 100, 110)


def test_one_real_face_is_found_where_it_is(engine, portrait):
    (box,) = engine.detect(portrait)
    assert iou(box, FACE) > 0.6


def test_its_landmarks_are_a_face(engine, portrait):
    points = engine.landmarks(portrait, engine.detect(portrait)[0])
    assert points.shape == (68, 2) and points.dtype == np.float32
    right_eye, left_eye = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    nose_tip, mouth, chin = points[30], points[48:].mean(axis=0), points[8]
    assert right_eye[0] < nose_tip[0] < left_eye[0]
    assert max(right_eye[1], left_eye[1]) < nose_tip[1] < mouth[1] < chin[1]
    assert 25 < np.linalg.norm(left_eye - right_eye) < 60


def turned(frame, degrees):
    """A frame turned about its centre, and the matrix that turns its points."""
    middle = frame.shape[1] / 2, frame.shape[0] / 2
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1.0)
    return cv2.warpAffine(frame, matrix, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), matrix


@pytest.mark.parametrize("degrees", [-35, 30, 42])
def test_a_tilted_face_is_found_and_its_landmarks_are_those_of_the_upright_one(engine, portrait, degrees):
    upright = engine.landmarks(portrait, engine.detect(portrait)[0])
    frame, matrix = turned(portrait, degrees)
    (box,) = engine.detect(frame)
    apart = np.linalg.norm(engine.landmarks(frame, box) - cv2.transform(upright[None], matrix)[0], axis=1)
    eyes = np.linalg.norm(upright[36:42].mean(axis=0) - upright[42:48].mean(axis=0))
    assert apart.mean() / eyes < 0.1


@pytest.mark.parametrize(("degrees", "blur"), [(-42, 0), (40, 0), (-20, 5.0), (30, 3.0)])
def test_every_face_that_plain_dlib_finds_is_found(engine, portrait, degrees, blur):
    frame, _ = turned(portrait, degrees)
    frame = cv2.GaussianBlur(frame, (0, 0), blur) if blur else frame
    plain = dlib.get_frontal_face_detector()(np.ascontiguousarray(frame[:, :, ::-1]), 1)
    found = Subject(engine, 12).follow(frame).box
    assert len(plain) == 1 and found is not None


def test_the_crop_holds_the_eyes_at_the_mean_faces_place(engine, portrait):
    points = engine.landmarks(portrait, engine.detect(portrait)[0])
    crop = cut(portrait, face_matrix(points), 256, 48)
    again = engine.landmarks(crop, np.array([60.0, 50, 140, 140]))
    assert abs(again[36:42].mean(axis=0) - (48 + 160 * 0.217, 48 + 160 * 0.224)).max() < 8
    assert abs(again[42:48].mean(axis=0) - (48 + 160 * 0.755, 48 + 160 * 0.224)).max() < 8


def test_detection_does_not_change_the_frame_and_is_repeatable(engine, portrait):
    before = portrait.copy()
    first, second = engine.detect(portrait), engine.detect(portrait)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(portrait, before)


def test_a_face_too_small_at_360_lines_is_found_at_a_closer_look(engine, portrait):
    small = cv2.resize(portrait, (300, 300), interpolation=cv2.INTER_AREA)
    (box,) = engine.detect(small)
    assert iou(box, np.multiply(FACE, 300 / 512)) > 0.5


@pytest.mark.parametrize("size", [(8, 8), (48, 300), (360, 640)])
def test_a_frame_without_a_face_gives_no_box(engine, size):
    noise = np.random.default_rng(0).integers(100, 140, (*size, 3), dtype=np.uint8)
    assert engine.detect(noise).shape == (0, 4)


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.2])
def test_near_finds_a_face_where_detect_finds_it_in_the_whole_frame(engine, portrait, scale):
    frame = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    box = engine.detect(frame)[0]
    moved = box + np.array([6, -4, 0, 0]) * scale
    assert iou(nearest(engine.near(frame, moved), moved), box) > 0.75


def test_near_finds_nothing_where_there_is_no_face(engine, portrait):
    flat = np.full_like(portrait, 120)
    assert len(engine.near(flat, np.array(FACE, float))) == 0
    assert len(engine.near(portrait, np.array([5000.0, 5000, 100, 100]))) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (63, 63), (361, 12)])
def test_near_takes_frames_that_hold_no_window(engine, size):
    noise = np.random.default_rng(2).integers(0, 255, (*size, 3), dtype=np.uint8)
    for box in ([0, 0, 80, 80], [-50, -50, 300, 300], [900, 900, 10, 10]):
        assert np.isfinite(engine.near(noise, np.array(box, float))).all()


def test_near_finds_a_face_that_is_a_level_larger_or_smaller_than_the_box(engine, portrait):
    box = engine.detect(portrait)[0]
    for growth in (-0.1, 0.1):
        other_level = box + np.array([-growth, -growth, 2 * growth, 2 * growth]) * box[2]
        assert iou(nearest(engine.near(portrait, other_level), box), box) > 0.75


def test_a_box_moves_with_the_face_and_not_with_the_cells_of_the_detector(engine, portrait):
    boxes = [engine.detect(np.roll(portrait, (step, step), (0, 1)))[0] - (step, step, 0, 0) for step in range(10)]
    assert np.ptp(boxes, axis=0).max() <= 5


def test_a_tilted_face_is_followed_with_its_tilt(engine, portrait):
    upright = engine.landmarks(portrait, engine.detect(portrait)[0])
    eyes = np.linalg.norm(upright[36:42].mean(axis=0) - upright[42:48].mean(axis=0))
    frame, _ = turned(portrait, 10)
    tracker = engine.tracker(frame, engine.detect(frame)[0])
    for degrees in range(13, 41, 3):
        frame, matrix = turned(portrait, degrees)
        points = engine.landmarks(frame, tracker.update(frame))
        apart = np.linalg.norm(points - cv2.transform(upright[None], matrix)[0], axis=1)
        assert apart.mean() / eyes < 0.1, degrees


def test_a_dark_face_has_the_landmarks_of_the_bright_one(engine, portrait):
    box = engine.detect(portrait)[0]
    bright = engine.landmarks(portrait, box)
    noise = np.random.default_rng(0).normal(0, 1, portrait.shape)
    dark = np.clip(portrait * 0.1 + noise, 0, 255).astype(np.uint8)
    eyes = np.linalg.norm(bright[36:42].mean(axis=0) - bright[42:48].mean(axis=0))
    assert np.linalg.norm(engine.landmarks(dark, box) - bright, axis=1).mean() / eyes < 0.06


@pytest.mark.parametrize("face", [80, 110, 150, 190, 300])
def test_a_face_of_any_size_has_the_detectors_own_box_while_it_is_followed(engine, portrait, face):
    """Sizes between two of the pyramid's as well, and so small that only the closer look shows them."""
    scale = face / engine.detect(portrait)[0][2]
    frames = [
        cv2.warpAffine(portrait, np.array([[zoom, 0, 300 - 2 * n], [0, zoom, 100 + n]]), (1280, 720))
        for n, zoom in enumerate(scale * (1 + 0.03 * np.sin(np.arange(24))))
    ]
    tracker = engine.tracker(frames[0], engine.detect(frames[0])[0])
    overlaps = [iou(tracker.update(frame), engine.detect(frame)[0]) for frame in frames[1:]]
    assert np.mean(np.array(overlaps) >= 0.8) >= 0.95, overlaps


def test_another_form_of_detectors_on_file_is_refused():
    class Other:
        def save(self, path):
            Path(path).write_bytes(b"another form")

    with pytest.raises(Internal, match=r"dlib .* another format"):
        near.single_level(dlib, Other())


def test_a_face_that_comes_nearer_is_followed_from_level_to_level(engine, portrait):
    frames = [
        cv2.resize(portrait, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)[
            : portrait.shape[0], : portrait.shape[1]
        ]
        for zoom in np.linspace(1.0, 1.5, 24)
    ]
    tracker = engine.tracker(frames[0], engine.detect(frames[0])[0])
    overlaps = [iou(tracker.update(frame), engine.detect(frame)[0]) for frame in frames[1:]]
    assert np.mean(np.array(overlaps) >= 0.8) >= 0.9 and min(overlaps) > 0.5


def test_the_tracker_follows_a_moving_face_as_the_detector_sees_it_and_says_when_it_is_gone(engine, moving_face):
    frames = moving_face(20)
    tracker = engine.tracker(frames[0], engine.detect(frames[0])[0])
    for frame in frames[1:]:
        assert iou(tracker.update(frame), engine.detect(frame)[0]) >= 0.8
    assert tracker.update(np.full_like(frames[0], 120)) is None


def test_the_build_names_package_and_weights(engine):
    assert engine.build.startswith("dlib ") and "face_recognition_models 0.3.0" in engine.build


def test_installed_engines_are_listed_without_loading_them():
    assert "dlib" in engines.installed()


def test_an_unknown_engine_is_refused_by_name():
    with pytest.raises(InvalidInput, match="engine='mtcnn'") as caught:
        engines.load("mtcnn")
    assert caught.value.reason == "ENGINE_UNKNOWN"


def test_without_its_wheel_of_weights_the_engine_says_how_to_get_it(monkeypatch):
    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", none)
    assert engines.installed() == []
    with pytest.raises(InvalidInput, match=r"locks/dlib-models\.txt") as caught:
        engines.load("dlib")
    assert caught.value.reason == "ENGINE_NOT_INSTALLED"


def test_damaged_weights_are_data_loss(tmp_path):
    (tmp_path / "weights.dat").write_bytes(b"nothing")
    with pytest.raises(DataLoss, match="locks/dlib-models"):
        hog.DlibEngine(tmp_path / "weights.dat")
