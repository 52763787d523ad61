"""Published models: tf-keras is the judge of the form, plain numpy of what the weights compute."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tf_keras
from numpy.lib.stride_tricks import sliding_window_view

from facefoundry.errors import InvalidInput, Unusable
from facefoundry.model import keras_h5, network
from facefoundry.model.architecture import Architecture
from facefoundry.model.swap import Swapper
from facefoundry.model.weights import content_digest
from tests.facefoundry.model.original import NETWORKS, TINY, enlivened, keras2, saved, set_attr

# A quarter of a grey level: CPUs sum in different orders, and these random networks end far up the sigmoid.
SAME = 1e-3


@pytest.fixture(scope="module")
def published() -> dict[str, tf_keras.Model]:
    return enlivened(keras2(TINY), seed=1)


@pytest.fixture
def files(published, tmp_path) -> dict[str, Path]:
    """The three files, as tf-keras writes them."""
    return saved(published, tmp_path)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(2).random((3, 64, 64, 3), np.float32)


def convolve(maps: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int = 1) -> np.ndarray:
    size, height = kernel.shape[0], maps.shape[1]
    padding = (-(-height // stride) - 1) * stride + size - height
    before, after = padding // 2, padding - padding // 2
    padded = np.pad(maps, ((0, 0), (before, after), (before, after), (0, 0)))
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("nhwcij,ijcf->nhwf", windows, kernel, optimize=True) + bias


def leaky(maps: np.ndarray) -> np.ndarray:
    return np.where(maps > 0, maps, 0.1 * maps)


def shuffled(maps: np.ndarray) -> np.ndarray:
    """Channel (row, column, c) of a block goes to the block's row and column."""
    n, height, width, channels = maps.shape
    spread = np.empty((n, 2 * height, 2 * width, channels // 4))
    for row in range(2):
        for column in range(2):
            part = (2 * row + column) * (channels // 4)
            spread[:, row::2, column::2] = maps[..., part : part + channels // 4]
    return spread


def forward(faces: np.ndarray, encoder: list[np.ndarray], decoder: list[np.ndarray]) -> np.ndarray:
    """The swap in float64, from lists of kernel and bias in the order of the layers."""
    maps = faces.astype(np.float64)
    for index in range(0, 8, 2):
        maps = leaky(convolve(maps, encoder[index], encoder[index + 1], stride=2))
    features = maps.reshape(len(maps), -1) @ encoder[8] + encoder[9]
    maps = (features @ encoder[10] + encoder[11]).reshape(maps.shape)
    maps = shuffled(leaky(convolve(maps, encoder[12], encoder[13])))
    for index in range(0, 6, 2):
        maps = shuffled(leaky(convolve(maps, decoder[index], decoder[index + 1])))
    return 1 / (1 + np.exp(-convolve(maps, decoder[6], decoder[7])))


def ours(widths: Architecture, tensors) -> network.Network:
    made = network.build(widths)
    made.assign(tensors)
    return made


def test_widths_give_name_and_shape_of_every_tensor_in_order():
    stated = {f"{name}/{key}": shape for name, of in TINY.shapes().items() for key, shape in of.items()}
    assert list(stated.items()) == [(name, tensor.shape) for name, tensor in network.build(TINY).tensors().items()]
    count = sum(int(np.prod(shape)) for of in Architecture().shapes().values() for shape in of.values())
    assert count == 82_062_470


def test_files_of_tf_keras_are_read_in_the_order_of_their_layers(published, files):
    widths, tensors = keras_h5.read(files)
    assert widths == TINY
    for name, model in published.items():
        mine = [tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")]
        for tensor, theirs in zip(mine, model.get_weights(), strict=True):
            assert np.array_equal(tensor, theirs)
    assert {tensor.dtype.str for tensor in tensors.values()} == {"<f4"}


@pytest.mark.parametrize("side", network.SIDES)
def test_the_imported_network_computes_what_tf_keras_and_plain_numpy_compute(published, files, faces, side):
    imported = Swapper(*keras_h5.read(files), side, 4)(faces)
    encoder, decoder = published["encoder"], published[f"decoder_{side}"]
    by_keras = decoder(encoder(faces)).numpy()
    by_numpy = forward(faces, encoder.get_weights(), decoder.get_weights())
    assert by_numpy.std() > 0.1
    assert np.abs(by_numpy[0] - by_numpy[1]).max() > 0.1
    assert np.abs(imported - by_numpy).max() < SAME
    assert np.abs(by_keras - by_numpy).max() < SAME


def test_tf_keras_loads_what_is_exported_and_computes_the_same(tmp_path, faces):
    made = network.build(TINY, seed=5)
    made.assign({name: tensor * 3 + 0.01 for name, tensor in made.tensors().items()})
    files = {name: tmp_path / f"{name}.h5" for name in NETWORKS}
    keras_h5.write(TINY, made.tensors(), files)
    loaded = keras2(TINY)
    for name, model in loaded.items():
        model.load_weights(files[name])
    for side in network.SIDES:
        theirs = loaded[f"decoder_{side}"](loaded["encoder"](faces)).numpy()
        assert theirs.std() > 0.05
        assert np.abs(Swapper(TINY, made.tensors(), side, 4)(faces) - theirs).max() < SAME
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in files.values())


def test_export_and_import_give_the_same_tensors_back(tmp_path):
    tensors = network.build(TINY, seed=6).tensors()
    files = {name: tmp_path / f"{name}.h5" for name in NETWORKS}
    keras_h5.write(TINY, tensors, files)
    widths, back = keras_h5.read(files)
    assert widths.pack(back) == TINY.pack(tensors)


def test_tensors_of_another_width_are_not_exported(tmp_path):
    with pytest.raises(Unusable, match="dense_1"):
        keras_h5.write(TINY, network.build(Architecture((4, 6, 8, 10), 11, 7, (6, 5, 3))).tensors(), {})
    assert not list(tmp_path.iterdir())


def test_standardised_colours_are_exported_and_must_be_those_of_all_three_files(tmp_path):
    widths = replace(TINY, colours="standardised")
    tensors = network.build(widths, seed=6).tensors()
    files = {name: tmp_path / f"{name}.h5" for name in NETWORKS}
    keras_h5.write(widths, tensors, files)
    assert keras_h5.read(files)[0] == widths
    (tmp_path / "other").mkdir()
    kept = {name: tmp_path / "other" / f"{name}.h5" for name in NETWORKS}
    keras_h5.write(TINY, tensors, kept)
    with pytest.raises(Unusable, match=r"decoder_b\.h5, / attribute facefoundry_colours: expected standardised"):
        keras_h5.read({**files, "decoder_b": kept["decoder_b"]})
    with h5py.File(files["encoder"], "a") as file:
        file.attrs["facefoundry_colours"] = "grey"
    with pytest.raises(Unusable, match="expected kept, as the encoder's; received grey"):
        keras_h5.read(files)


def test_a_folder_that_is_not_there_cannot_be_exported_to(tmp_path):
    files = {name: tmp_path / "nowhere" / f"{name}.h5" for name in NETWORKS}
    with pytest.raises(InvalidInput, match="cannot be written to"):
        keras_h5.write(TINY, network.build(TINY).tensors(), files)


def at(file: h5py.File, layer: int, weight: int) -> str:
    """Path of a dataset."""
    names = [name for name in file.attrs["layer_names"] if len(file[name].attrs["weight_names"])]
    return f"/{names[layer]}/{file[names[layer]].attrs['weight_names'][weight]}"


def replaced(make: Callable[[h5py.File, str], object]) -> Callable[[h5py.File], str]:
    """An edit that puts something else in place of the second convolution's kernel and returns its path."""

    def edit(file: h5py.File) -> str:
        place = at(file, 1, 0)
        del file[place]
        make(file, place)
        return place

    return edit


SHAPE = (5, 5, 4, 6)
VALUES = np.ones(SHAPE, np.float32)


def _bare(file: h5py.File) -> None:
    del file.attrs["layer_names"]


def _virtual(file: h5py.File, place: str) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", SHAPE)
    file.create_virtual_dataset(place, layout)


EDITS = {
    "a missing dataset": (replaced(lambda file, place: None), "received nothing there"),
    "another shape": (
        replaced(lambda file, place: file.create_dataset(place, data=VALUES[:, :, :3])),
        r"expected shape \(5, 5, 4, 6\); received \(5, 5, 3, 6\)",
    ),
    "another rank": (
        replaced(lambda file, place: file.create_dataset(place, data=VALUES[0])),
        "expected a shape of rank",
    ),
    "no dimension": (replaced(lambda file, place: file.create_dataset(place, data=VALUES[:0])), "received 0 bytes"),
    "other numbers": (
        replaced(lambda file, place: file.create_dataset(place, data=VALUES.astype(np.float64))),
        "expected float32; received float64",
    ),
    "no numbers": (replaced(lambda file, place: file.create_dataset(place, data=[b"x"])), "expected float32"),
    "NaN": (replaced(lambda file, place: file.create_dataset(place, data=VALUES * np.nan)), "expected finite values"),
    "a huge declared size": (
        replaced(lambda file, place: file.create_dataset(place, (1 << 20, 1 << 10, 1 << 10, 6), "f4")),
        "expected 26388279066624 bytes of values; received 0 bytes",
    ),
    "a small file that unpacks to much": (
        replaced(lambda file, place: file.create_dataset(place, data=VALUES, chunks=SHAPE, compression="gzip")),
        "stored plainly",
    ),
    "values in another file": (
        replaced(lambda file, place: file.create_dataset(place, SHAPE, "f4", external=[("/etc/passwd", 0, 2400)])),
        "received chunks, a filter or another file",
    ),
    "values of other files' datasets": (replaced(_virtual), "received chunks, a filter or another file"),
    "a link to another file": (
        replaced(lambda file, place: file.__setitem__(place, h5py.ExternalLink("/etc/other.h5", "/x"))),
        "a link, which is not followed",
    ),
    "a link to another place": (
        replaced(lambda file, place: file.__setitem__(place, h5py.SoftLink(at(file, 0, 0)))),
        "a link, which is not followed",
    ),
    "a group for a dataset": (replaced(lambda file, place: file.create_group(place)), "a dataset; received a group"),
}


@pytest.mark.parametrize("edit, message", EDITS.values(), ids=EDITS)
def test_a_file_is_refused_by_file_and_dataset_if_it_has(files, edit, message):
    with h5py.File(files["encoder"], "a") as file:
        place = edit(file)
    with pytest.raises(Unusable, match=message) as caught:
        keras_h5.read(files)
    assert caught.value.message.startswith(f"{files['encoder']}, {place}: ")
    assert caught.value.reason == "NOT_A_MODEL"
    assert caught.value.resource == str(files["encoder"])


LISTS = {
    "none": (_bare, "expected the names that Keras 2's save_weights writes; received none"),
    "numbers": (lambda file: set_attr(file, "layer_names", np.arange(7)), "expected names; received int64"),
    "a table": (lambda file: set_attr(file, "layer_names", np.zeros((2, 2), "S3")), "a list of at most 100 names"),
    "too many": (lambda file: set_attr(file, "layer_names", np.zeros(101, "S3")), "a list of at most 100 names"),
    "no layer": (
        lambda file: set_attr(file, "layer_names", np.array([b"nowhere"])),
        "/nowhere: expected a member",
    ),
    "the way up": (lambda file: set_attr(file, "layer_names", np.array([b".."])), r"/\.\.: expected a member"),
    "the way nowhere": (lambda file: set_attr(file, "layer_names", np.array([b"/"])), "expected a member"),
    "no text": (lambda file: set_attr(file, "layer_names", np.array([b"\xff\xfe"])), "cannot be read"),
    "too few": (
        lambda file: set_attr(file, "layer_names", file.attrs["layer_names"][:4]),
        "expected the 14 weights",
    ),
}


@pytest.mark.parametrize("edit, message", LISTS.values(), ids=LISTS)
def test_a_list_of_layers_is_refused_that_has(files, edit, message):
    with h5py.File(files["encoder"], "a") as file:
        edit(file)
    with pytest.raises(Unusable, match=message) as caught:
        keras_h5.read(files)
    assert caught.value.message.startswith(f"{files['encoder']}, /")


@pytest.mark.parametrize("data", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + bytes(2000), None])
def test_what_is_no_hdf5_is_refused(files, data):
    whole = files["decoder_a"].read_bytes()
    files["decoder_a"].write_bytes(whole[: len(whole) // 2] if data is None else data)
    with pytest.raises(Unusable, match=r"decoder_a\.h5, /: expected a weight file \(HDF5\) that Keras 2 wrote"):
        keras_h5.read(files)


def test_more_weights_than_the_file_has_bytes_are_refused(files):
    with h5py.File(files["encoder"], "a") as file:
        group = file[at(file, 0, 0).split("/")[1]]
        names = list(group.attrs["weight_names"])
        del group.attrs["weight_names"]
        group.attrs["weight_names"] = np.array(names * 40, "S")
        for name in file.attrs["layer_names"]:
            if file[name] != group:
                file[name].attrs["weight_names"] = np.array([], "S1")
        big = file.create_dataset("big", data=np.zeros(1 << 20, np.float32))
        for name in names:
            del group[name]
            group[name] = big
    with pytest.raises(Unusable, match="the file's size; received 335544320 declared"):
        keras_h5.read(files)


@pytest.mark.parametrize("depth", [4, 5])
def test_the_size_of_faces_follows_from_the_shapes(tmp_path, depth):
    large = Architecture((4, 6, 8, 10, 9)[:depth], 12, 7, (6, 5, 3, 4)[: depth - 1], face_size=128)
    files = {name: tmp_path / f"{name}.h5" for name in NETWORKS}
    tensors = network.build(large).tensors()
    keras_h5.write(large, tensors, files)
    architecture, back = keras_h5.read(files)
    assert architecture == large
    assert content_digest(back) == content_digest(tensors)


def test_swapped_files_are_refused(files):
    with pytest.raises(Unusable, match="expected the 14 weights of the Original model's encoder; received 8 weights"):
        keras_h5.read({**files, "encoder": files["decoder_a"]})


def test_decoders_of_two_widths_are_refused(files, tmp_path):
    (tmp_path / "other").mkdir()
    other = saved(keras2(Architecture((4, 6, 8, 10), 12, 7, (6, 4, 3))), tmp_path / "other")
    with pytest.raises(Unusable, match=r"other/decoder_b\.h5, /.*: expected shape \(3, 3, 6, 20\)"):
        keras_h5.read({**files, "decoder_b": other["decoder_b"]})


def test_every_damaged_file_ends_in_weights_or_a_refusal(tmp_path):
    files = {name: tmp_path / f"{name}.h5" for name in NETWORKS}
    keras_h5.write(TINY, network.build(TINY).tensors(), files)
    whole = files["decoder_a"].read_bytes()
    ends = {"read": 0, "refused": 0}
    for seed in range(150):
        draw, data = random.Random(seed), bytearray(whole)
        for _ in range(draw.choice([1, 4, 16])):
            data[draw.randrange(draw.choice([2000, 8000, len(data)]))] ^= 1 << draw.randrange(8)
        files["decoder_a"].write_bytes(data[: draw.randrange(len(data))] if seed % 10 == 0 else data)
        try:
            TINY.check(keras_h5.read(files)[1])
            ends["read"] += 1
        except Unusable:
            ends["refused"] += 1
    assert min(ends.values()) > 20, ends
