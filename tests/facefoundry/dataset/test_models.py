"""Models as folders, also ones from strangers."""

import json

import numpy as np
import pytest

from facefoundry import codec
from facefoundry.dataset import models
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import PairRecord
from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.errors import InvalidInput
from facefoundry.model import weights
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ModelInfo, PreviewInfo, Restart
from facefoundry.v1 import recipe_pb2
from tests.facefoundry.dataset.fakes import transfers_of

OPTIMIZER = b"moments"


def _weights(value):
    return weights.to_bytes({"encoder/kernel": np.full(4, value, np.float32)}, {"format": weights.NETWORK_FORMAT})


def _trained(store, value=1.0):
    """A committed model as a worker leaves it."""
    prefix = keys.model("a" * 40, 300)
    parts = tuple(
        manifest.put_part(store, prefix, name, data)
        for name, data in (("weights.safetensors", _weights(value)), ("optimizer.safetensors", OPTIMIZER))
    )
    digest = weights.content_digest(weights.from_bytes(_weights(value), weights.NETWORK_FORMAT)[0])
    info = codec.to_values(
        ModelInfo(iterations=300, previews=[PreviewInfo(1, "trainings/x")], restart=Restart(40, 1e-4))
    )
    record = manifest.Manifest("model", {"content_a": "x"}, {}, parts, info, digest)
    manifest.commit(store, prefix, record)
    return store.uri(prefix), record


@pytest.fixture
def folder(store, tmp_path):
    """A model on disk."""
    uri, _ = _trained(store)
    models.download(StoredResult(transfers_of(store), uri), tmp_path / "a_b")
    return tmp_path / "a_b"


def _edit(folder, change):
    record = json.loads((folder / models.RECORD).read_text())
    change(record["manifest"])
    (folder / models.RECORD).write_text(json.dumps(record))


def test_changed_weights_are_refused(folder):
    (folder / "weights.safetensors").write_bytes(_weights(2.0))
    with pytest.raises(InvalidInput, match=r"weights\.safetensors is missing or has changed"):
        models.load_verified(folder)


def test_parts_outside_the_folder_are_left_out(folder):
    (folder.parent / "other.json").write_text("mine")
    _edit(folder, lambda record: record["parts"].append({**record["parts"][0], "name": "../other.json"}))
    assert {part.name for part in models.load_verified(folder).parts} == {
        "weights.safetensors",
        "optimizer.safetensors",
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}'])
def test_a_record_that_is_none_is_refused(folder, text):
    (folder / models.RECORD).write_text(text)
    with pytest.raises(InvalidInput, match="is not the record of a model"):
        models.load_verified(folder)


def test_the_record_of_a_given_model_has_the_facts_of_its_training(store, folder, tmp_path, make_recorder):
    """An import knows nothing of the training; the folder does."""
    prefix = keys.imported("b" * 40)
    part = manifest.put_part(store, prefix, "weights.safetensors", _weights(1.0))
    info = codec.to_values(ModelInfo(iterations=0))
    manifest.commit(store, prefix, manifest.Manifest("model", {}, {}, (part,), info, "content"))
    layout, pair = FfppLayout(tmp_path / "out"), PairRecord("a_b", "a", "b")
    stages = ServiceStages(
        transfers_of(store), recipe_pb2.Recipe(), FolderOutput(layout), make_recorder(), lambda _: None
    )
    stages.fetch_model(pair, store.uri(prefix), folder)
    assert pair.training.iterations == 300
    assert "collapsed by iteration 40" in pair.training.restart and "learning_rate=0.0001" in pair.training.restart
    assert pair.training.model_uri == store.uri(prefix)


def _place(root, *places, name=models.RECORD):
    for place in places:
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / name).touch()


def find(folder):
    return models.find_models(FfppLayout(folder))


def _ids(found):
    return [pair.id for pair in found.models]


@pytest.mark.parametrize("name", [models.RECORD, "encoder.h5"])
def test_models_are_found_below_a_folder_a_dataset_and_ffpps_folders(tmp_path, name):
    _place(tmp_path, "plain/a_b", "nested/c_d/models", "dataset/manipulated_sequences/Deepfakes/models/e_f", name=name)
    assert _ids(find(tmp_path / "plain")) == ["a_b"]
    assert _ids(find(tmp_path / "plain" / "a_b")) == ["a_b"]
    assert _ids(find(tmp_path / "nested")) == ["c_d"]
    assert _ids(find(tmp_path / "nested" / "c_d" / "models")) == ["c_d"]
    assert _ids(find(tmp_path / "dataset")) == ["e_f"]
    with pytest.raises(InvalidInput, match="holds no models"):
        find(tmp_path)
    with pytest.raises(InvalidInput, match="Cannot read the folder"):
        find(tmp_path / "nowhere")


def test_folders_that_are_no_models_are_reported_and_the_others_found(tmp_path):
    _place(tmp_path, "a_b", "c_d/models", "b_a", "e_e", "notes", "a_b_c")
    (tmp_path / "g_h").mkdir()
    (tmp_path / "readme_first").write_text("not a folder")
    found = find(tmp_path)
    assert found.models == {("a", "b"): tmp_path / "a_b", ("c", "d"): tmp_path / "c_d" / "models"}
    reported = {sentence.split(" is ")[0].rpartition("/")[2]: sentence for sentence in found.others}
    assert set(reported) == {"b_a", "e_e", "notes", "a_b_c", "g_h"}
    assert "a_b is a model of the same pair" in reported["b_a"]
    assert "with itself" in reported["e_e"]
    assert "its name must have the form <A>_<B>" in reported["notes"]
    assert "neither model.json nor .h5 files" in reported["g_h"]


def test_h5_files_of_other_programs_are_named(tmp_path):
    """Newer versions of faceswap write one file."""
    _place(tmp_path, "a_b", name="original.h5")
    expected = r"a_b is not a model: it holds original\.h5, but neither model\.json nor encoder\.h5, decoder_A\.h5"
    with pytest.raises(InvalidInput, match=expected):
        find(tmp_path)


def test_wanted_pairs_choose_their_models_whichever_id_comes_first(tmp_path):
    _place(tmp_path, "a_b", "c_d", "e_f")
    found = find(tmp_path)
    assert models.choose(found, [Pair("f", "e"), Pair("a", "b")], tmp_path) == [("e", "f"), ("a", "b")]


def test_wanted_pairs_without_a_model_are_all_named(tmp_path):
    _place(tmp_path, "a_b", "c_d")
    with pytest.raises(InvalidInput, match="holds no model a_c, x_y; it has a_b, c_d") as caught:
        models.choose(find(tmp_path), [Pair("a", "c"), Pair("a", "b"), Pair("x", "y")], tmp_path)
    assert caught.value.reason == "MISSING_MODEL"
    assert len(caught.value.violations) == 2
