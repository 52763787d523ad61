"""Reads and writes models in the format of FF++'s script: one Keras 2 weight file (HDF5) for each network.

    /                        attributes layer_names, backend, keras_version
    /<layer>                 attribute weight_names, empty where a layer has none
    /<layer>/<weight name>   float32, such as conv2d_1/kernel:0

Keras' `save_weights` writes these at the top of the file. Its `save`, which adds the model's configuration, writes them
in the group `model_weights`. Theano convolves where the other backends correlate, so kernels that Keras wrote with
Theano are turned by 180 degrees when they are read, as Keras 2 does.

A model with standardised colours says so in an attribute of each file, which `read` reads and Keras ignores.

Layers are identified by their order, not by their names. FF++'s network and `facefoundry.model.network` order the
values of kernels, flattened maps and pixel shuffles in the same way, so tensors are copied unchanged. The files may
come from strangers, so they are read in a `Sandbox`. The caller states which file is which network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import h5py
import numpy as np

from facefoundry.codec import JsonObject, to_values
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.model.architecture import Architecture, Colours, unpack
from facefoundry.model.weights import Tensor, Tensors

__all__ = ["export_model", "read", "write"]

Node: TypeAlias = Any  # h5py has no types: a File, Group or Dataset

_KERAS_VERSION: Final = b"2.2.0"  # without it, Keras takes a file for one of Keras 1 and transposes the kernels
_WHOLE_MODEL: Final = "model_weights"  # the group of the weights in a file of Keras' `save`
_CONVOLVING: Final = "theano"
_COLOURS: Final = "facefoundry_colours"  # `Architecture.colours`; without it they are kept, as in FF++
_MAX_NAMES: Final = 100
_MAX_NAME_BYTES: Final = 1 << 20
# FF++'s encoder has 4 convolutions; an encoder for faces of 128 pixels may have 5.
_DEPTHS: Final = (4, 5)
# What h5py raises on damaged files.
_H5_ERRORS: Final = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)


@dataclass(frozen=True)
class _Weight:
    """A tensor in a file, whose values are not read yet; `turned` says that it is a kernel to turn by 180 degrees."""

    path: Path
    place: str
    dataset: Node
    turned: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dataset.shape)


def export_model(*, weights: str, files: Mapping[str, str]) -> Iterator[JsonObject]:
    """Convert a safetensors file to the three files of a model. This function runs in a `Sandbox`.

    Args:
        weights: Path of the safetensors file to read.
        files: Path of each network's .h5 file to write; the keys are `encoder`, `decoder_a` and `decoder_b`.

    Yields:
        One message, `{"architecture": fields}`, with the fields of the model's `Architecture`.

    Raises:
        Unusable: the safetensors file does not contain a model.
        InvalidInput: a file cannot be written.
    """
    architecture, tensors = unpack(Path(weights))
    write(architecture, tensors, {network: Path(path) for network, path in files.items()})
    yield {"architecture": to_values(architecture)}


def read(files: Mapping[str, Path]) -> tuple[Architecture, Tensors]:
    """Read the three networks of a model, and derive the architecture from the shapes.

    Files with links, external storage, filters or virtual datasets are refused. So no other file is opened, and the
    tensors have no more bytes than the files.

    Args:
        files: Path of each network's Keras 2 weight file; the keys are `encoder`, `decoder_a` and `decoder_b`.

    Returns:
        (architecture, tensors): the tensors are float32, by the names of `Architecture.shapes`, such as
        `encoder/conv_1/kernel`.

    Raises:
        Unusable: a file is not HDF5, is damaged, or contains another network; the message names file and dataset.
    """
    with ExitStack() as stack:
        found, colours = {}, {}
        for network, path in files.items():
            with _blame(path, "/"):
                file = stack.enter_context(h5py.File(path, "r", locking=False))
                found[network] = _weights(file, path)
                colours[network] = _text(file, _COLOURS, path) or Architecture.colours
        architecture = replace(_architecture(found, files), colours=_colours(colours, files))
        tensors = {}
        for network, shapes in architecture.shapes().items():
            for (name, shape), weight in zip(shapes.items(), found[network], strict=True):
                if weight.shape != shape:
                    raise _unlike(weight.path, weight.place, f"shape {shape}", weight.shape)
                tensors[f"{network}/{name}"] = _values(weight)
    return architecture, tensors


def write(architecture: Architecture, tensors: Tensors, files: Mapping[str, Path]) -> None:
    """Write the three networks of a model in the format of Keras 2's `save_weights`.

    The files get their final names only after all three are written completely.

    Args:
        architecture: The architecture.
        tensors: All tensors as float32, by the names of `Architecture.shapes`.
        files: Path to write for each network; the keys are `encoder`, `decoder_a` and `decoder_b`.

    Raises:
        Unusable: the tensors do not have the names and shapes of the architecture.
        InvalidInput: a file cannot be written.
    """
    architecture.check(tensors)
    partial = {network: path.with_name(path.name + ".partial") for network, path in files.items()}
    try:
        for network, shapes in architecture.shapes().items():
            with h5py.File(partial[network], "w") as file:
                layers: dict[str, list[str]] = {}
                for name in shapes:
                    layer, _, weight = name.partition("/")
                    layers.setdefault(layer, []).append(f"{layer}/{weight}:0")
                    file[f"{layer}/{layers[layer][-1]}"] = tensors[f"{network}/{name}"]
                for layer, names in layers.items():
                    file[layer].attrs["weight_names"] = np.array(names, "S")
                file.attrs["layer_names"] = np.array(list(layers), "S")
                file.attrs["backend"] = np.bytes_(b"tensorflow")
                file.attrs["keras_version"] = np.bytes_(_KERAS_VERSION)
                if architecture.colours != Architecture.colours:
                    file.attrs[_COLOURS] = np.bytes_(architecture.colours.encode())
        for network, path in files.items():
            partial[network].replace(path)
    except OSError as error:
        folder = next(iter(files.values())).parent
        raise InvalidInput(f"The model's files cannot be written to {folder}: {error}.", reason="OUTPUT") from error
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)


def _weights(file: Node, path: Path) -> list[_Weight]:
    """Return all datasets of a file in the order of the layers. They are checked, but their values are not read."""
    found = []
    root = file if "layer_names" in file.attrs or _WHOLE_MODEL not in file else _member(file, _WHOLE_MODEL, path)
    convolving = _text(root, "backend", path) == _CONVOLVING
    for layer in _names(root, "layer_names", path):
        group = _member(root, layer, path)
        if not isinstance(group, h5py.Group):
            raise _unlike(path, group.name, "a layer's group", "a dataset")
        for name in _names(group, "weight_names", path):
            dataset = _member(group, name, path)
            _check_storage(dataset, path)
            found.append(_Weight(path, dataset.name, dataset, turned=convolving and len(dataset.shape) == 4))
    declared, size = sum(weight.dataset.nbytes for weight in found), path.stat().st_size
    if declared > size:
        raise _unlike(path, "/", f"at most {size} bytes of weights, the file's size", f"{declared} declared")
    return found


def _text(group: Node, attribute: str, path: Path) -> str:
    """Return the text in an attribute of a group; empty if there is none."""
    if attribute not in group.attrs:
        return ""
    header, place = group.attrs.get_id(attribute), f"{group.name} attribute {attribute}"
    if header.shape != () or h5py.check_string_dtype(header.dtype) is None:
        raise _unlike(path, place, "a text", f"{header.dtype}, shape {header.shape}")
    if header.get_storage_size() > _MAX_NAME_BYTES:
        raise _unlike(path, place, f"at most {_MAX_NAME_BYTES} bytes", header.get_storage_size())
    value = group.attrs[attribute]
    return value.decode() if isinstance(value, bytes) else str(value)


def _names(group: Node, attribute: str, path: Path) -> list[str]:
    """Return the names in an attribute of a file or group."""
    place = f"{group.name} attribute {attribute}"
    if attribute not in group.attrs:
        raise _unlike(path, place, "the names that Keras 2's save_weights writes", "none")
    header = group.attrs.get_id(attribute)
    if len(header.shape) != 1 or header.shape[0] > _MAX_NAMES:
        raise _unlike(path, place, f"a list of at most {_MAX_NAMES} names", f"shape {header.shape}")
    if header.shape[0] == 0:
        return []
    if header.get_storage_size() > _MAX_NAME_BYTES:
        raise _unlike(path, place, f"at most {_MAX_NAME_BYTES} bytes", header.get_storage_size())
    if h5py.check_string_dtype(header.dtype) is None:
        raise _unlike(path, place, "names", header.dtype)
    return [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs[attribute]]


def _member(group: Node, name: str, path: Path) -> Node:
    """Return the member of a group by a name such as `conv2d_1/kernel:0`; links are not followed."""
    for step in name.split("/"):
        place = f"{group.name.rstrip('/')}/{step}"
        if not isinstance(group, h5py.Group) or step in ("", ".") or step not in group:
            raise _unlike(path, place, "a member of the file", "nothing there")
        if not isinstance(group.get(step, getlink=True), h5py.HardLink):
            raise _unlike(path, place, "a member of the file", "a link, which is not followed")
        group = group[step]
    return group


def _check_storage(dataset: Node, path: Path) -> None:
    """Refuse a dataset that is not contiguous float32 values inside the file."""
    if not isinstance(dataset, h5py.Dataset):
        raise _unlike(path, dataset.name, "a dataset", "a group")
    if dataset.dtype.kind != "f" or dataset.dtype.itemsize != 4:
        raise _unlike(path, dataset.name, "float32", dataset.dtype)
    layout = dataset.id.get_create_plist()
    if layout.get_layout() != h5py.h5d.CONTIGUOUS or layout.get_external_count():
        raise _unlike(path, dataset.name, "values stored plainly, as Keras does", "chunks, a filter or another file")
    if 0 in dataset.shape or dataset.id.get_storage_size() != dataset.nbytes:
        stored = dataset.id.get_storage_size()
        raise _unlike(path, dataset.name, f"{dataset.nbytes} bytes of values", f"{stored} bytes, shape {dataset.shape}")


def _architecture(found: Mapping[str, list[_Weight]], files: Mapping[str, Path]) -> Architecture:
    """Check the number and ranks of all tensors, and derive the architecture from their shapes."""
    depth = next((depth for depth in _DEPTHS if len(found["encoder"]) == 2 * (depth + 3)), _DEPTHS[0])
    model = Architecture((1,) * depth, 1, 1, (1,) * (depth - 1), face_size=4 << depth)
    for network, shapes in model.shapes().items():
        if len(found[network]) != len(shapes):
            expected = f"the {len(shapes)} weights of the Original model's {network}"
            raise _unlike(files[network], "/", expected, f"{len(found[network])} weights")
        for shape, weight in zip(shapes.values(), found[network], strict=True):
            if len(weight.shape) != len(shape):
                raise _unlike(weight.path, weight.place, f"a shape of rank {len(shape)}, as {shape}", weight.shape)
    *convolutions, dense_1, _, upscale = (weight.shape[-1] for weight in found["encoder"][::2])
    *upscales, _ = (weight.shape[-1] for weight in found["decoder_a"][::2])
    dense = found["encoder"][2 * depth]
    inner_side = math.isqrt(dense.shape[0] // convolutions[-1])
    try:
        return Architecture(
            tuple(convolutions),
            dense_1,
            upscale // 4,
            tuple(width // 4 for width in upscales),
            face_size=inner_side << depth,
        )
    except ValueError as error:
        raise _unlike(dense.path, dense.place, "the Original model's shapes", f"{dense.shape} ({error})") from error


def _colours(found: Mapping[str, str], files: Mapping[str, Path]) -> Colours:
    """Check that all three files have the same colours, and return them."""
    standardised = found["encoder"] == "standardised"
    for network, received in found.items():
        expected = "standardised" if standardised else Architecture.colours
        if received != expected:
            raise _unlike(files[network], f"/ attribute {_COLOURS}", f"{expected}, as the encoder's", received)
    return "standardised" if standardised else "kept"


def _values(weight: _Weight) -> Tensor:
    with _blame(weight.path, weight.place):
        values = np.asarray(weight.dataset[()], np.float32)
    if weight.turned:
        values = np.ascontiguousarray(values[::-1, ::-1])
    if not np.isfinite(values).all():
        raise _unlike(weight.path, weight.place, "finite values", "infinite ones or NaN")
    return values


@contextmanager
def _blame(path: Path, place: str) -> Iterator[None]:
    """Convert an error of h5py within the block to one that names the file and the place in it."""
    try:
        yield
    except _H5_ERRORS as error:
        raise _unlike(
            path, place, "a weight file (HDF5) that Keras 2 wrote", f"one that cannot be read: {error}"
        ) from error


def _unlike(path: Path, place: str, expected: str, received: object) -> Unusable:
    return Unusable(
        f"{path}, {place}: expected {expected}; received {received}.", reason="NOT_A_MODEL", resource=str(path)
    )
