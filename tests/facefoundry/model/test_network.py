"""The Original model, to the parameter, and its way to bytes and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from facefoundry.codec import JsonObject, JsonValue, to_values
from facefoundry.errors import Unusable
from facefoundry.model import network, weights
from facefoundry.model.architecture import content_digest
from facefoundry.model.network import Architecture, Network
from facefoundry.v1.recipe_pb2 import TrainingOptions

TINY = Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4))


def lively(precision: str = "float32") -> Network:
    """A tiny network whose output depends on its input; a fresh one's is nearly 0.5 everywhere."""
    made = network.build(TINY, seed=3, precision=precision)
    made.assign({name: tensor * 3 for name, tensor in made.tensors().items()})
    return made


@pytest.fixture(scope="module")
def tiny() -> Network:
    return lively()


@pytest.fixture(scope="module")
def original() -> Network:
    return network.build(Architecture())


def test_the_original_model_has_its_parameters_layer_by_layer(original: Network) -> None:
    counts: dict[str, int] = {}
    for name, variable in original.variables().items():
        layer = name.rpartition("/")[0]
        counts[layer] = counts.get(layer, 0) + int(np.prod(variable.shape))
    assert counts == {
        "encoder/conv_1": 5 * 5 * 3 * 128 + 128,
        "encoder/conv_2": 5 * 5 * 128 * 256 + 256,
        "encoder/conv_3": 5 * 5 * 256 * 512 + 512,
        "encoder/conv_4": 5 * 5 * 512 * 1024 + 1024,
        "encoder/dense_1": 4 * 4 * 1024 * 1024 + 1024,
        "encoder/dense_2": 1024 * 16384 + 16384,
        "encoder/upscale": 3 * 3 * 1024 * 2048 + 2048,
        **{
            f"decoder_{side}/{layer}": count
            for side in "ab"
            for layer, count in {
                "upscale_1": 3 * 3 * 512 * 1024 + 1024,
                "upscale_2": 3 * 3 * 256 * 512 + 512,
                "upscale_3": 3 * 3 * 128 * 256 + 256,
                "output": 5 * 5 * 64 * 3 + 3,
            }.items()
        },
    }
    assert original.encoder.count_params() == 69_662_976
    assert original.decoder_a.count_params() == original.decoder_b.count_params() == 6_199_747
    assert sum(counts.values()) == 82_062_470


def test_shapes_between_the_networks_are_those_of_the_original_model(original: Network) -> None:
    assert original.encoder.output_shape == (None, 8, 8, 512)
    assert original.decoder_a.output_shape == (None, 64, 64, 3)


def test_pixel_shuffle_orders_channels_by_row_column_and_colour() -> None:
    maps = np.arange(2 * 3 * 8, dtype=np.float32).reshape(1, 2, 3, 8)
    shuffled = np.asarray(network.pixel_shuffle(maps))
    assert shuffled.shape == (1, 4, 6, 2)
    for row in range(4):
        for column in range(6):
            block = maps[0, row // 2, column // 2].reshape(2, 2, 2)
            assert shuffled[0, row, column].tolist() == block[row % 2, column % 2].tolist()


def test_the_output_is_the_convolution_of_the_shuffled_pixels_and_so_are_its_gradients(tiny: Network) -> None:
    decoder = tiny.decoder_a
    kernel, bias = (variable.value for variable in decoder.get_layer("output").variables)
    inner = keras.Model(decoder.inputs, decoder.get_layer("output").input)
    features = tf.constant(np.random.default_rng(2).normal(size=(3, 8, 8, 8)), tf.float32)

    def plain() -> Any:
        return keras.ops.sigmoid(keras.ops.conv(network.pixel_shuffle(inner(features)), kernel, padding="same") + bias)

    made = []
    for draw in (lambda: decoder(features), plain):
        with tf.GradientTape() as tape:
            tape.watch(features)
            picture = draw()
            loss = tf.reduce_sum(picture * np.random.default_rng(3).normal(size=picture.shape))
        made.append([picture, *tape.gradient(loss, [features, kernel, bias])])
    for found, expected in zip(*made, strict=True):
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def test_fresh_weights_are_glorot_uniform_and_a_function_of_the_seed() -> None:
    fresh = network.build(TINY, seed=3).tensors()
    same, other = network.build(TINY, seed=3).tensors(), network.build(TINY, seed=4).tensors()
    for name, tensor in fresh.items():
        assert np.array_equal(tensor, same[name])
        if name.endswith("bias"):
            assert not tensor.any()
        else:
            fan = (
                tensor.shape[-2:]
                if tensor.ndim == 2
                else np.array(tensor.shape[-2:]) * tensor.shape[0] * tensor.shape[1]
            )
            limit = np.sqrt(6 / sum(fan))
            assert 0.8 * limit < np.abs(tensor).max() <= limit
            assert not np.array_equal(tensor, other[name])
    assert not np.array_equal(fresh["decoder_a/output/kernel"], fresh["decoder_b/output/kernel"])


def test_options_of_a_recipe_give_the_widths() -> None:
    options = TrainingOptions(
        face_size=64, encoder_filters=[4, 4, 8, 8], bottleneck=8, upscale_filters=8, decoder_filters=[8, 4, 4]
    )
    assert Architecture.of(options) == TINY


def test_standardised_colours_are_in_the_content_digest_of_a_model(tiny: Network) -> None:
    tensors = tiny.tensors()
    assert content_digest(tensors, "kept") == weights.content_digest(tensors)
    assert len({content_digest(tensors, colours) for colours in ("kept", "standardised")}) == 2


def loaded(folder: Path, data: bytes) -> Network:
    """The network in a file of these bytes."""
    path = folder / "weights.safetensors"
    path.write_bytes(data)
    return network.load(path)


def test_bytes_give_the_same_network_back_and_equal_networks_equal_bytes(tiny: Network, tmp_path: Path) -> None:
    data = tiny.to_bytes()
    again = loaded(tmp_path, data)
    assert again.architecture == TINY
    assert again.to_bytes() == data == lively().to_bytes()
    assert weights.content_digest(again.tensors()) == weights.content_digest(tiny.tensors())
    assert network.build(TINY, seed=4).to_bytes() != data


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_cut_bytes_are_refused(tiny: Network, tmp_path: Path, cut: int) -> None:
    data = tiny.to_bytes()[:cut]
    for refused in (lambda: loaded(tmp_path, data), lambda: weights.from_bytes(data, network.FORMAT)):
        with pytest.raises(Unusable) as caught:
            refused()
        assert caught.value.reason == "NOT_A_MODEL"


def test_tensors_of_another_architecture_are_refused(tiny: Network, tmp_path: Path) -> None:
    tensors = {**tiny.tensors(), "encoder/dense_1/bias": np.zeros(9, np.float32)}
    with pytest.raises(Unusable, match="encoder/dense_1/bias"):
        tiny.assign(tensors)
    with pytest.raises(Unusable):
        loaded(tmp_path, weights.to_bytes({}, {"format": network.FORMAT}))
    with pytest.raises(Unusable, match="format"):
        loaded(tmp_path, weights.to_bytes(tiny.tensors(), {"format": "another/1"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_filters": [4, 4, 8, 8, 8]}, "5 encoder and 3 decoder filters"),
        ({"encoder_filters": [4, 4, 8, 8, 8], "decoder_filters": [8, 4, 4, 4]}, "multiple of 128"),
        ({"face_size": 96}, "multiple of 64"),
        ({"bottleneck": 0}, "at least 1"),
        ({"bottleneck": "eight"}, "bottleneck"),
        ({"encoder_filters": []}, "0 encoder and 3 decoder filters"),
    ],
)
def test_weights_that_state_an_impossible_architecture_are_refused(
    tmp_path: Path, changes: dict[str, JsonValue], message: str
) -> None:
    record: JsonObject = {**to_values(TINY), **changes}
    with pytest.raises(Unusable, match=message) as caught:
        loaded(tmp_path, weights.to_bytes({}, {"format": network.FORMAT, "architecture": record}))
    assert caught.value.reason == "NOT_A_MODEL"


def test_weights_without_an_architecture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"the entry 'architecture' .*missing"):
        loaded(tmp_path, weights.to_bytes({}, {"format": network.FORMAT}))


def test_weights_of_a_type_that_is_not_ours_are_no_model(tiny: Network, tmp_path: Path) -> None:
    data = tiny.to_bytes().replace(b'"F32"', b'"I32"', 1)
    with pytest.raises(Unusable, match="I32"):
        loaded(tmp_path, data)
    half: Any = {"a": np.zeros(2, np.float16)}
    narrow = weights.to_bytes(half, {"format": network.FORMAT})
    for refused in (lambda: loaded(tmp_path, narrow), lambda: weights.from_bytes(narrow, network.FORMAT)):
        with pytest.raises(Unusable, match=r"float32 .* Received F16"):
            refused()


def test_bfloat16_computes_narrow_and_keeps_weights_and_output_float32() -> None:
    narrow = lively("bfloat16")
    assert {str(variable.dtype) for variable in narrow.variables().values()} == {"float32"}
    assert narrow.encoder.output.dtype == "bfloat16"
    given = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    made, wide = (np.asarray(network.reconstruct(given, "a")) for network in (narrow, lively()))
    assert made.dtype == np.float32
    assert wide.std() > 0.05
    assert 0 < np.abs(made - wide).mean() < 0.03
