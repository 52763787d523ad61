"""The forms of weight files that Keras 2's load_weights takes too."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tf_keras

from facefoundry.errors import Unusable
from facefoundry.model import keras_h5
from facefoundry.model.weights import content_digest
from tests.facefoundry.model.original import NETWORKS, TINY, enlivened, keras2, saved, set_attr


@pytest.fixture(scope="module")
def published() -> dict[str, tf_keras.Model]:
    return enlivened(keras2(TINY), seed=1)


@pytest.fixture
def files(published, tmp_path) -> dict[str, Path]:
    """The three files, as tf-keras writes them."""
    return saved(published, tmp_path)


def test_whole_models_as_keras_save_writes_them_are_read(published, files, tmp_path):
    """Keras' load_weights takes them too."""
    whole = {name: tmp_path / "whole" / f"{name}.h5" for name in NETWORKS}
    (tmp_path / "whole").mkdir()
    for name, model in published.items():
        model.save(whole[name])
    assert content_digest(keras_h5.read(whole)[1]) == content_digest(keras_h5.read(files)[1])


def test_kernels_that_keras_wrote_with_theano_are_turned(files):
    """Theano convolves where TensorFlow correlates."""
    expected = keras_h5.read(files)[1]
    for path in files.values():
        with h5py.File(path, "a") as file:
            set_attr(file, "backend", np.bytes_(b"theano"))
            for layer in file.attrs["layer_names"]:
                for name in file[layer].attrs["weight_names"]:
                    dataset = file[layer][name]
                    if dataset.ndim == 4:
                        dataset[...] = np.rot90(dataset[...], 2)
    assert content_digest(keras_h5.read(files)[1]) == content_digest(expected)


@pytest.mark.parametrize("value", [np.arange(3), np.array([b"theano"]), 7])
def test_a_backend_that_is_no_text_is_refused(files, value):
    with h5py.File(files["encoder"], "a") as file:
        set_attr(file, "backend", value)
    with pytest.raises(Unusable, match=r"encoder\.h5, / attribute backend: expected a text"):
        keras_h5.read(files)
