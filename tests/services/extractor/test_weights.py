import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from facefoundry.errors import DataLoss, InvalidInput, NotFound
from facefoundry.storage import manifest
from services.extractor import engines
from services.extractor.engines.face_alignment import DETECTOR_FILE, LANDMARK_FILE
from services.extractor.weights import Weights, put

PREFIX = "weights/face_alignment"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "given"
    made.mkdir()
    (made / DETECTOR_FILE).write_bytes(b"detector")
    (made / LANDMARK_FILE).write_bytes(b"landmarks")
    return made


def test_weights_put_below_a_prefix_are_fetched_once_and_verified(store, folder, tmp_path):
    put(store, folder, PREFIX)
    weights = Weights(None, PREFIX, tmp_path / "cache")
    fetched = weights.folder(store, "face_alignment")
    assert fetched is not None
    assert (fetched / DETECTOR_FILE).read_bytes() == b"detector"
    assert (fetched / LANDMARK_FILE).read_bytes() == b"landmarks"
    store.delete([part.key for part in manifest.load(store, PREFIX).parts])
    assert weights.folder(store, "face_alignment") == fetched


def test_a_changed_weight_is_data_loss(store, folder, tmp_path):
    put(store, folder, PREFIX)
    key = manifest.load(store, PREFIX).part(LANDMARK_FILE).key
    store.put_bytes(key, b"landmarkz")
    with pytest.raises(DataLoss):
        Weights(None, PREFIX, tmp_path / "cache").folder(store, "face_alignment")


def test_a_folder_wins_over_a_prefix(store, folder, tmp_path):
    assert Weights(folder, PREFIX, tmp_path / "cache").folder(store, "face_alignment") == folder


def test_an_engine_with_weights_of_its_own_asks_for_none(store, tmp_path):
    assert Weights(None, PREFIX, tmp_path / "cache").folder(store, "dlib") is None


def test_a_prefix_without_weights_is_not_found(store, tmp_path):
    with pytest.raises(NotFound):
        Weights(None, PREFIX, tmp_path / "cache").folder(store, "face_alignment")


@pytest.mark.parametrize("torch", [True, False])
def test_a_prefix_counts_as_weights_where_the_packages_are_installed(store, tmp_path, monkeypatch, torch):
    true_find = util.find_spec
    found = {"face_alignment": true_find("numpy"), "torch": true_find("numpy") if torch else None}
    monkeypatch.setattr(
        util, "find_spec", lambda name: found.get(name) or true_find(name) if found.get(name, 1) else None
    )
    assert Weights(None, PREFIX, tmp_path).engines() == ["dlib", "centerface", *torch * ["face_alignment"]]
    assert Weights(None, "", tmp_path).engines() == engines.installed() == ["dlib", "centerface"]


def test_a_prefix_that_lacks_a_file_of_the_engine_is_refused_by_its_name(store, tmp_path):
    part = manifest.put_part(store, PREFIX, DETECTOR_FILE, b"detector")
    manifest.commit(store, PREFIX, manifest.Manifest("weights", {}, {}, (part,), {}, part.sha256))
    with pytest.raises(InvalidInput, match=LANDMARK_FILE) as caught:
        Weights(None, PREFIX, tmp_path / "cache").folder(store, "face_alignment")
    assert caught.value.reason == "ENGINE_NOT_INSTALLED"


def test_a_folder_without_any_weights_is_not_put(store, tmp_path):
    with pytest.raises(InvalidInput, match=LANDMARK_FILE):
        put(store, tmp_path, PREFIX)


def test_a_folder_that_lacks_a_file_is_not_put(store, folder):
    (folder / DETECTOR_FILE).unlink()
    with pytest.raises(InvalidInput, match="s3fd"):
        put(store, folder, PREFIX)


def test_the_command_says_how_it_is_used():
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "services.extractor.weights"]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and "FOLDER PREFIX" in ended.stderr
