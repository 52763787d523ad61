"""Published models on their way into the store, through the child that reads them, and out of it."""

import importlib.util
import json
from dataclasses import asdict

import numpy as np
import pytest

from facefoundry.dataset import h5_models, models
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.model import weights
from facefoundry.model.architecture import Architecture
from facefoundry.process.sandbox import Limits
from facefoundry.storage import keys, manifest

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
    models.download(store, store.uri(prefix), tmp_path / "a_b")
    return tmp_path / "a_b"


@pytest.fixture
def theirs(ours, tmp_path):
    """The same model in published form."""
    models.export(ours, tmp_path / "published" / "a_b")
    return tmp_path / "published" / "a_b"


def _loaded(store, uri):
    return manifest.load(store, keys.prefix_of(store.bucket, uri, "models"))


def test_a_published_model_comes_into_the_store_as_the_same_bytes_as_ours(store, ours, theirs):
    assert sorted(path.name for path in theirs.iterdir()) == ["decoder_A.h5", "decoder_B.h5", "encoder.h5"]
    record, other = _loaded(store, models.upload(store, theirs)), _loaded(store, models.upload(store, ours))
    assert record.content_digest == other.content_digest
    assert manifest.read_part(store, record.part("weights.safetensors")) == (ours / "weights.safetensors").read_bytes()
    assert record.inputs["published"]["encoder.h5"] == h5_models.digests(theirs)["encoder.h5"]
    assert record.info["architecture"]["bottleneck"] == asdict(WIDTHS)["bottleneck"]


def test_files_that_were_read_before_are_found_by_their_digests_and_not_opened(store, theirs, monkeypatch):
    first = models.upload(store, theirs)
    monkeypatch.setattr(h5_models, "read", lambda *_: pytest.fail("read again"))
    assert models.upload(store, theirs) == first


def test_a_published_model_that_was_fetched_can_be_given_again(store, theirs, tmp_path):
    uri = models.upload(store, theirs)
    models.download(store, uri, tmp_path / "again" / "a_b")
    assert (
        _loaded(store, models.upload(store, tmp_path / "again" / "a_b")).content_digest
        == _loaded(store, uri).content_digest
    )


def test_where_both_forms_lie_in_one_folder_ours_counts(store, ours, theirs):
    uri = models.upload(store, ours)
    for path in theirs.iterdir():
        (ours / path.name).write_bytes(b"damaged")
    assert models.upload(store, ours) == uri


def test_a_missing_file_is_named(store, theirs):
    (theirs / "decoder_B.h5").unlink()
    with pytest.raises(InvalidInput, match=r"decoder_B\.h5 cannot be read .*A model of FF\+\+ has encoder\.h5"):
        models.upload(store, theirs)


def test_a_damaged_file_is_named_and_leaves_nothing_in_the_store(store, theirs):
    before = list(store.list("models/"))
    (theirs / "decoder_A.h5").write_bytes(b"not HDF5")
    with pytest.raises(Unusable, match=r"decoder_A\.h5, /: expected a weight file") as caught:
        models.upload(store, theirs)
    assert caught.value.reason == "NOT_A_MODEL"
    assert list(store.list("models/")) == before


def test_files_larger_than_any_model_are_not_even_read(theirs):
    with (theirs / "encoder.h5").open("ab") as file:
        file.truncate(60 << 30)
    with pytest.raises(InvalidInput, match="at most 1024 MiB in total"):
        h5_models.digests(theirs)


def test_a_child_that_takes_too_much_ends_alone_and_the_files_are_named(theirs, tmp_path):
    with pytest.raises(Unusable, match=r"encoder\.h5, .* cannot be converted: .* over the limit of 1 MiB") as caught:
        h5_models.read(theirs, tmp_path / "weights.safetensors", Limits(seconds=60, memory_bytes=1 << 20))
    assert caught.value.reason == "MEDIA_MEMORY"


def test_without_h5py_the_error_says_what_to_install(theirs, ours, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for act in (
        lambda: models.find_models(FfppLayout(theirs.parent)),
        lambda: models.export(ours, tmp_path / "out"),
    ):
        with pytest.raises(InvalidInput, match="pip install h5py") as caught:
            act()
        assert caught.value.reason == "H5PY_MISSING"
    assert list(models.find_models(FfppLayout(ours)).models.values()) == [ours]


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
