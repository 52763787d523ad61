"""Extraction against FF++ re-described and against cases worked by hand."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.reference import extraction as ffpp
from benchmarks.reference.extraction import Corners
from facefoundry import codec, recipes
from facefoundry.faces import alignments, face_tar
from facefoundry.faces.alignments import Alignments
from facefoundry.faces.crop import crop_matrix, cut, face_matrix
from facefoundry.faces.mean_face import MEAN_FACE
from services.extractor import pipeline
from services.extractor.boxes import truncate_box
from services.extractor.engines.base import Engine
from services.extractor.functions import ExtractArgs, ExtractionOptions
from services.extractor.tracking import Subject
from tests.services.child import do, workspace


def box_of(corners):
    return (corners.left, corners.top, corners.right - corners.left, corners.bottom - corners.top)


class Told(Engine):
    """Finds the faces it is told, frame by frame; landmarks are the mean face in the box it gets, with fractions."""

    build = "told"

    def __init__(self, script):
        self.script, self.frame = script, -1
        self.boxes_for_landmarks = []

    def detect(self, frame):
        self.frame += 1
        return np.array([box_of(face) for face in self.script[self.frame]], np.float64).reshape(-1, 4)

    def tracker(self, frame, box):
        raise AssertionError("with detect_every=1 nothing is tracked")

    def landmarks(self, frame, box):
        self.boxes_for_landmarks.append(tuple(box))
        return drawn_landmarks(box)


def drawn_landmarks(box):
    x, y, width, height = box
    jaw = np.column_stack([np.linspace(-0.1, 1.1, 17), 1.1 * np.sin(np.linspace(0, np.pi, 17))])
    points = np.concatenate([jaw, MEAN_FACE]) @ np.array([[0.98, 0.17], [-0.17, 0.98]])
    return (points * (width, height) + (x, y) + 0.37).astype(np.float32)


def test_the_mean_face_is_faceswaps_number_by_number():
    # SHA-256 of the 51 (x, y) in float64 as faceswap's aligner of 2018 has them.
    assert hashlib.sha256(MEAN_FACE.tobytes()).hexdigest() == (
        "15b515d943317f923b46dbe56119fdf7cc044858322766fc62ef85be59048481"
    )


def test_boxes_landmarks_matrices_and_crops_are_those_of_ffpp(tmp_path, portrait, folder_of):
    frame = np.ascontiguousarray(portrait[20:228, 120:328])
    script = [
        [Corners(61.9, 40.25, 150.1, 142.75)],
        [Corners(63.0, 41.5, 151.99, 141.5)],
        [Corners(-7.6, -3.2, 80, 95)],
    ]
    engine = Told(script)
    options = replace(
        codec.from_values(ExtractionOptions, recipes.options(recipes.load("ffpp").extraction)), detect_every=1
    )
    arguments = ExtractArgs(clip_files=(str(folder_of([frame] * 3)),), name="clip", options=options)
    made = workspace(tmp_path / "work")
    parts = do(pipeline.extract(arguments, made, lambda name, weights_dir: engine), made).parts
    found = Alignments.from_bytes(parts["alignments.safetensors"].read_bytes())
    _, crops = face_tar.unpack(parts["faces-00000.tar"].read_bytes())

    expected = {}
    for number, (corners,) in enumerate(script):
        left, top, right, bottom = ffpp.whole_corners(corners)
        whole_box = (left, top, right - left, bottom - top)
        assert engine.boxes_for_landmarks[number] == whole_box, "landmarks are predicted from the whole box"
        landmarks = ffpp.whole_points(drawn_landmarks(whole_box))
        matrix = ffpp.face_matrix(landmarks, MEAN_FACE)
        np.testing.assert_array_equal(found.landmarks[number], landmarks)
        np.testing.assert_allclose(found.matrices[number], matrix, atol=1e-12)
        np.testing.assert_array_equal(crops[number], ffpp.crop(frame, matrix))
        expected[f"{number:06d}.png"] = [ffpp.record(corners, drawn_landmarks(whole_box))]
    assert found.to_faceswap(list(expected)) == expected


@pytest.mark.parametrize(
    ("exact", "cut_off"),
    [
        ((1.9, 2.9, 10.2, 10.0), (1, 2, 11, 10)),  # right edge 12.1: eleven whole pixels from 1 to 12
        ((5.0, 5.0, 7.9, 7.0), (5, 5, 7, 7)),
        ((-2.7, -0.4, 10.0, 10.0), (-2, 0, 9, 9)),  # towards zero: the left edge moves right
    ],
)
def test_a_box_loses_the_fractions_of_its_corners_not_of_its_width(exact, cut_off):
    x, y, width, height = exact
    assert tuple(truncate_box(exact)) == cut_off
    left, top, right, bottom = ffpp.whole_corners(Corners(x, y, x + width, y + height))
    assert (left, top, right - left, bottom - top) == cut_off


def test_matrices_and_crops_of_turned_faces_are_those_of_plain_singular_values(portrait):
    random = np.random.default_rng(8)
    for _ in range(30):
        turn, size = random.uniform(-0.9, 0.9), random.uniform(40, 260)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = (MEAN_FACE - 0.5) * (random.uniform(0.8, 1.2), 1.0) @ rotation.T * size + random.uniform(100, 400, 2)
        landmarks = np.concatenate([random.uniform(0, 500, (17, 2)), points + random.normal(size=(51, 2)) * size / 50])
        landmarks = ffpp.whole_points(landmarks)
        expected = ffpp.face_matrix(landmarks, MEAN_FACE)
        matrix = face_matrix(landmarks)
        np.testing.assert_allclose(matrix, expected, atol=1e-12)
        picture = cut(portrait, matrix, 256, 48)
        assert (picture != ffpp.crop(portrait, expected)).mean() < 1e-4  # the two may round one pixel apart


def test_a_point_of_the_unit_square_lies_where_ffpp_puts_it_worked_by_hand():
    # A face of 100 pixels at (30, 50): its square's corner (30, 50) is the crop's (48, 48), its centre the crop's.
    landmarks = np.concatenate([np.zeros((17, 2)), MEAN_FACE * 100 + (30, 50)])
    to_crop = crop_matrix(face_matrix(landmarks), 256, 48)
    for point, place in (((30, 50), (48, 48)), ((80, 100), (128, 128)), ((130, 50), (208, 48)), ((0, 20), (0, 0))):
        np.testing.assert_allclose(to_crop @ [*point, 1], place, atol=1e-9)


def test_where_faces_are_never_in_doubt_the_subject_is_that_of_ffpp():
    random = np.random.default_rng(4)
    at, script = np.array([200.0, 150.0]), []
    for _ in range(40):
        at += random.uniform(-6, 6, 2)
        stranger = Corners(700, 400, 740, 440)
        script.append([stranger, Corners(at[0] - 50, at[1] - 60, at[0] + 50, at[1] + 60)])
    tracker, subject = ffpp.Tracker(), Subject(Told(script), 1)
    for faces in script:
        found = subject.follow(np.zeros((8, 8, 3), np.uint8)).box
        assert found is not None
        assert tuple(found) == pytest.approx(box_of(tracker.follow(faces)))


def test_b15_the_subject_is_kept_by_true_centres_over_misses_and_between_clips():
    def both(script):
        tracker, subject = ffpp.Tracker(), Subject(Told(script), 1)
        theirs = [tracker.follow(faces) for faces in script]
        ours = [subject.follow(np.zeros((8, 8, 3), np.uint8)).box for _ in script]
        return theirs, [None if box is None else tuple(box) for box in ours]

    subject, stranger = Corners(100, 100, 200, 200), Corners(400, 100, 520, 230)
    # A miss makes FF++ take the tallest face again; here the subject stays.
    theirs, ours = both([[subject], [], [stranger, subject]])
    assert theirs == [subject, None, stranger]
    assert ours == [box_of(subject), None, box_of(subject)]
    # FF++'s centre counts the right edge half: a wide face at the same centre seems far, a shifted one near.
    grown, shifted = Corners(50, 50, 250, 250), Corners(110, 110, 180, 180)
    theirs, ours = both([[subject], [shifted, grown]])
    assert theirs[1] == shifted
    assert ours[1] == box_of(grown)
    # The first subject is the largest face, not the tallest.
    thin, large = Corners(0, 0, 20, 130), Corners(300, 100, 400, 200)
    theirs, ours = both([[thin, large]])
    assert (theirs, ours) == ([thin], [box_of(large)])
    # Another clip knows nothing of the one before.
    assert both([[stranger, subject]])[1] == [box_of(stranger)]


# A file as faceswap wrote it in 2018, the 68 points shortened by the rule (10 + i, 20 + 2i).
FACESWAP_2018 = json.dumps(
    {
        "0000.png": [
            {"r": 0, "x": 11, "w": 90, "y": 7, "h": 100, "landmarksXY": [[10 + i, 20 + 2 * i] for i in range(68)]}
        ],
        "0001.png": [],
        "0002.png": [{"r": 0, "x": -3, "w": 91, "y": 0, "h": 99, "landmarksXY": [[i % 9, i * i] for i in range(68)]}],
    },
    indent=2,
)


def test_an_alignments_file_of_2018_goes_through_and_comes_out_byte_by_byte():
    read = alignments.from_faceswap(json.loads(FACESWAP_2018), frame_rate=(25, 1), width=640, height=360)
    assert read.boxes.tolist() == [[11, 7, 90, 100], [0, 0, 0, 0], [-3, 0, 91, 99]]
    assert read.found.tolist() == [True, False, True]
    assert read.landmarks[0, 67].tolist() == [77, 154]
    points = np.array(json.loads(FACESWAP_2018)["0002.png"][0]["landmarksXY"])
    np.testing.assert_allclose(read.matrices[2], ffpp.face_matrix(points, MEAN_FACE), atol=1e-9)
    stored = Alignments.from_bytes(read.to_bytes())
    assert json.dumps(stored.to_faceswap(["0000.png", "0001.png", "0002.png"]), indent=2) == FACESWAP_2018
