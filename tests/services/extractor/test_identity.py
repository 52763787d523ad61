import cv2
import dlib
import matplotlib
import numpy as np
import pytest

from services.extractor.engines.base import WeightFile
from services.extractor.engines.dlib import EMBEDDER, WHEEL
from services.extractor.identity import FaceEmbedder


@pytest.fixture(scope="module")
def identity():
    return FaceEmbedder()


def test_one_person_is_near_and_another_far(engine, identity, portrait):
    def embedded(frame):
        return identity.embed(frame, engine.landmarks(frame, engine.detect(frame)[0]))

    astronaut = embedded(portrait)
    assert astronaut.shape == (128,) and astronaut.dtype == np.float32
    darker_and_larger = cv2.resize((portrait * 0.7).astype(np.uint8), None, fx=1.3, fy=1.3)
    hopper = cv2.imread(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    assert np.linalg.norm(astronaut - embedded(darker_and_larger)) < 0.4
    assert np.linalg.norm(astronaut - embedded(hopper)) > 0.6


def test_the_embedding_model_of_the_wheel_is_found():
    assert EMBEDDER.find().is_file()
    assert WeightFile("no_such_model.dat", WHEEL).find() is None


def test_the_embedding_is_that_of_the_face_in_the_whole_frame(engine, identity, portrait):
    points = engine.landmarks(portrait, engine.detect(portrait)[0])
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    box = dlib.rectangle(*(round(float(edge)) for edge in (left, top, right, bottom)))
    face = dlib.full_object_detection(box, dlib.points([dlib.point(int(x), int(y)) for x, y in points]))
    model = dlib.face_recognition_model_v1(str(EMBEDDER.find()))
    expected = model.compute_face_descriptor(np.ascontiguousarray(portrait[:, :, ::-1]), face)
    np.testing.assert_array_equal(identity.embed(portrait, points), np.array(expected, np.float32))


def test_landmarks_with_fractions_are_rounded_to_the_pixels_that_dlib_takes(engine, identity, portrait):
    points = engine.landmarks(portrait, engine.detect(portrait)[0])
    shifted = points + np.array((0.3, -0.3), np.float32)
    np.testing.assert_array_equal(identity.embed(portrait, points), identity.embed(portrait, shifted))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_view_of_a_larger_picture_has_the_embedding_of_its_copy(engine, identity, portrait, read_only):
    points = engine.landmarks(portrait, engine.detect(portrait)[0])
    padded = np.zeros((portrait.shape[0], portrait.shape[1] + 8, 3), np.uint8)
    view = padded[:, : portrait.shape[1]]
    view[:] = portrait
    view.flags.writeable = not read_only
    np.testing.assert_array_equal(identity.embed(view, points), identity.embed(portrait, points))
    copy = portrait.copy()
    copy.flags.writeable = not read_only
    np.testing.assert_array_equal(identity.embed(copy, points), identity.embed(portrait, points))
