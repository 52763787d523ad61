"""The engine face_alignment through the package's own networks, with random weights written here."""

from importlib import util
from typing import Any

import numpy as np
import pytest

from benchmarks import random_weights
from facefoundry import codec, recipes
from facefoundry.errors import DataLoss, InvalidInput
from services.extractor import engines, pipeline
from services.extractor.engines.face_alignment import DETECTOR_FILE, ENGINE, LANDMARK_FILE
from services.extractor.functions import ExtractArgs, ExtractionOptions
from tests.services.child import do, workspace

needs_torch = pytest.mark.skipif(
    util.find_spec("torch") is None or util.find_spec("face_alignment") is None,
    reason="torch and face_alignment are not installed; pip install --no-deps -r locks/face-alignment.txt",
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with weights of the right shapes: random, but the detector fires at all its largest anchors."""
    return random_weights.write(tmp_path_factory.mktemp("weights"))


@needs_torch
def test_detect_and_landmarks_run_through_the_packages_real_networks(weights, portrait):
    engine = engines.load("face_alignment", weights)
    frame = portrait[:128, :256]
    boxes = engine.detect(frame)
    # The coarsest head has a cell every 128 pixels, each with an anchor of 512 pixels around its centre.
    assert len(boxes) and (boxes[:, 2:] == 512).all()
    assert ((boxes[:, :2] + 256 - 64) % 128 == 0).all()
    twice = engine.detect(np.repeat(np.repeat(portrait[:360], 2, axis=0), 2, axis=1))
    assert len(twice) and (twice[:, 2:] == 1024).all()
    points = engine.landmarks(frame, np.array([80.0, 20, 90, 90]))
    assert points.shape == (68, 2) and points.dtype == np.float32 and np.isfinite(points).all()


@needs_torch
def test_landmarks_are_those_of_the_packages_own_call_before_it_truncates(weights, portrait):
    import torch
    from face_alignment import FaceAlignment, LandmarksType
    from face_alignment.models import FAN

    class Local(FaceAlignment):
        """The package's whole pipeline, with the weights of the test instead of a download."""

        def __init__(self):
            self.device, self.dtype, self.flip_input = "cpu", torch.float32, False
            self.landmarks_type, self.max_batch_size = LandmarksType.TWO_D, 1
            self.face_detector = engine._detector
            self.face_alignment_net = FAN(4)
            self.face_alignment_net.load_state_dict(torch.load(weights / LANDMARK_FILE, weights_only=True))
            self.face_alignment_net.eval()

    engine: Any = engines.load("face_alignment", weights)
    x, y, width, height = 175.0, 70.0, 100.0, 110.0
    rgb = np.ascontiguousarray(portrait[:, :, ::-1])
    (expected,) = Local().get_landmarks_from_image(rgb, detected_faces=[[x, y, x + width, y + height]])
    points = engine.landmarks(portrait, np.array([x, y, width, height]))
    np.testing.assert_array_equal(np.trunc(points), expected)
    assert (points % 1).any()


@needs_torch
def test_a_clip_goes_through_the_pipeline_with_detector_and_filter(weights, moving_face, folder_of, tmp_path):
    values = recipes.options(recipes.load("ffpp").extraction) | {"engine": "face_alignment", "detect_every": 3}
    options = codec.from_values(ExtractionOptions, values)
    source = (str(folder_of(moving_face(4))),)
    made = workspace(tmp_path / "work")
    arguments = ExtractArgs(clip_files=source, name="clip", options=options, weights_dir=weights)
    info = do(pipeline.extract(arguments, made), made).result.info
    assert (info.engine, info.frame_count, info.face_count) == ("face_alignment", 4, 4)


@needs_torch
def test_the_build_names_versions_and_both_weights(weights):
    build = engines.load("face_alignment", weights).build
    assert build.startswith("face_alignment 1.") and "torch" in build and "s3fd" in build and "2dfan4" in build


@needs_torch
def test_weights_of_other_networks_or_no_weights_at_all_are_data_loss(weights, tmp_path):
    (tmp_path / DETECTOR_FILE).symlink_to(weights / DETECTOR_FILE)
    (tmp_path / LANDMARK_FILE).symlink_to(weights / DETECTOR_FILE)
    with pytest.raises(DataLoss, match="another network"):
        engines.load("face_alignment", tmp_path)
    (tmp_path / LANDMARK_FILE).unlink()
    (tmp_path / LANDMARK_FILE).write_bytes(b"cut")
    with pytest.raises(DataLoss, match="damaged"):
        engines.load("face_alignment", tmp_path)


@needs_torch
@pytest.mark.parametrize("lacking", [DETECTOR_FILE, LANDMARK_FILE])
def test_a_missing_file_is_named_with_the_way_to_get_it(tmp_path, lacking):
    for name in {DETECTOR_FILE, LANDMARK_FILE} - {lacking}:
        (tmp_path / name).write_bytes(b"")
    assert "face_alignment" not in engines.installed(tmp_path)
    with pytest.raises(InvalidInput, match="FACEFOUNDRY_EXTRACTOR_WEIGHTS_DIR") as caught:
        engines.load("face_alignment", tmp_path)
    assert lacking in caught.value.message and caught.value.reason == "ENGINE_NOT_INSTALLED"


@pytest.mark.parametrize("package", ["face_alignment", "torch", "dlib"])
def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch, tmp_path, package):
    true_find = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name: None if name == package else true_find(name) or true_find("numpy")
    )
    assert ENGINE.missing(tmp_path) == f"the package {package} is not installed"
    with pytest.raises(InvalidInput, match=r"locks/face-alignment\.txt"):
        engines.load("face_alignment", tmp_path)
