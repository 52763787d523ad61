"""Models in the form in which FF++ published them, in folders."""

import importlib.util
import json

import numpy as np
import pytest

from facefoundry.dataset import h5_models, models
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.results import StoredResult
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.model import weights
from facefoundry.model.architecture import Architecture
from facefoundry.process.sandbox import Limits
from facefoundry.storage import keys, manifest
from tests.facefoundry.dataset.fakes import transfers_of

WIDTHS = Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4))


@pytest.fixture(scope="module")
def tensors():
    rng = np.random.default_rng(0)
    shapes = {f"{network}/{name}": shape for network, of in WIDTHS.shapes().items() for name, shape in of.items()}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def ours(store, tensors, tmp_path):
    """A model as generate-models leaves it on disk."""
    prefix, data = keys.model("a" * 40, 300), WIDTHS.pack(tensors)
    parts = (manifest.put_part(store, prefix, "weights.safetensors", data),)
    digest = weights.content_digest(tensors)
    manifest.commit(store, prefix, manifest.Manifest("model", {}, {}, parts, {"iterations": 300}, digest))
    models.download(StoredResult(transfers_of(store), store.uri(prefix)), tmp_path / "a_b")
    return tmp_path / "a_b"


@pytest.fixture
def theirs(ours, tmp_path):
    """The same model in published form."""
    models.export(ours, tmp_path / "published" / "a_b")
    return tmp_path / "published" / "a_b"


def test_a_missing_file_is_named(theirs):
    (theirs / "decoder_B.h5").unlink()
    with pytest.raises(InvalidInput, match=r"decoder_B\.h5 is missing\. A model of FF\+\+ has encoder\.h5"):
        h5_models.find(theirs)


def test_files_larger_than_any_model_are_not_even_read(theirs):
    with (theirs / "encoder.h5").open("ab") as file:
        file.truncate(60 << 30)
    with pytest.raises(InvalidInput, match="at most 1024 MiB in total"):
        h5_models.find(theirs)


def test_a_child_that_takes_too_much_ends_alone_and_the_files_are_named(ours, tmp_path):
    with pytest.raises(Unusable, match=r"encoder\.h5, .* cannot be written: .* over the limit of 1 MiB") as caught:
        h5_models.write(ours / "weights.safetensors", tmp_path, Limits(seconds=60, memory_bytes=1 << 20))
    assert caught.value.reason == "MEDIA_MEMORY"


def test_without_h5py_the_error_says_what_to_install(theirs, ours, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match="pip install h5py") as caught:
        models.export(ours, tmp_path / "out")
    assert caught.value.reason == "H5PY_MISSING"
    assert list(models.find_models(FfppLayout(theirs)).models.values()) == [theirs]


def test_a_folder_that_is_no_whole_model_is_not_exported(ours, tmp_path):
    record = json.loads((ours / models.RECORD).read_text())
    (ours / models.RECORD).write_text(json.dumps({**record, "manifest": {**record["manifest"], "parts": []}}))
    with pytest.raises(InvalidInput, match=r"it does not name weights\.safetensors"):
        models.export(ours, tmp_path / "out")
    (ours / models.RECORD).write_text(json.dumps(record))
    (ours / "weights.safetensors").write_bytes(WIDTHS.pack({}))
    with pytest.raises(InvalidInput, match=r"weights\.safetensors is missing or has changed"):
        models.export(ours, tmp_path / "out")
    assert not (tmp_path / "out").exists()
