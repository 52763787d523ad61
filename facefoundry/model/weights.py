"""Writes named float32 tensors as safetensors files, and reads them. Nothing is unpickled.

All metadata is one JSON text under the key `facefoundry`. Safetensors does not keep the order of several keys, but
equal tensors must give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from facefoundry.codec import JsonObject
from facefoundry.errors import Unusable
from facefoundry.formats import refuse_newer

__all__ = ["NETWORK_FORMAT", "Tensor", "Tensors", "content_digest", "from_bytes", "from_file", "shapes", "to_bytes"]

Tensor: TypeAlias = NDArray[np.float32]
Tensors: TypeAlias = Mapping[str, Tensor]

NETWORK_FORMAT: Final = "facefoundry.weights/1"
"""The value of `format` in the metadata of a file that contains the three networks of a model."""

_KEY: Final = "facefoundry"
_LENGTH_BYTES: Final = 8
_FLOAT32: Final = "F32"
_INVALID: Final = (SafetensorError, ValueError, KeyError, TypeError, AttributeError)


def to_bytes(tensors: Tensors, metadata: JsonObject) -> bytes:
    """Encode tensors and metadata as a safetensors file. Equal tensors and metadata give equal bytes.

    Args:
        tensors: float32 arrays of any shape, by name.
        metadata: A JSON object; its `format` is checked when the file is read.
    """
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    return bytes(save_tensors(contiguous, metadata={_KEY: text}))


def from_bytes(data: bytes, expected_format: str) -> tuple[Tensors, JsonObject]:
    """Decode what `to_bytes` returned.

    Args:
        data: The bytes of the file.
        expected_format: The value that `format` in the metadata must have.

    Returns:
        The tensors by name, and the metadata.

    Raises:
        Unusable: the bytes are not such a file, or contain tensors of another type than float32 (NOT_A_MODEL).
    """
    try:
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")])
        metadata = _metadata(header["__metadata__"][_KEY])
        types = {tensor["dtype"] for name, tensor in header.items() if name != "__metadata__"}
        tensors: Tensors = load_tensors(data)
    except _INVALID as error:
        raise _no_tensors(len(data), error) from error
    _check(metadata, types, expected_format)
    return tensors, metadata


def from_file(path: Path, expected_format: str) -> tuple[Tensors, JsonObject]:
    """Open a file that contains what `to_bytes` returned. Each tensor is read only when it is accessed.

    Args:
        path: The file; it must not change while tensors are accessed.
        expected_format: The value that `format` in the metadata must have.

    Returns:
        The tensors by name, and the metadata.

    Raises:
        Unusable: the file is not such a file, or contains tensors of another type than float32 (NOT_A_MODEL).
    """
    try:
        tensors = _File(path)
    except _INVALID as error:
        raise _no_tensors(path.stat().st_size, error) from error
    _check(tensors.metadata, tensors.types, expected_format)
    return tensors, tensors.metadata


class _File(Mapping[str, Tensor]):
    """The tensors of a safetensors file. The file is open only while a tensor is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            self.shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            self.metadata = _metadata((file.metadata() or {})[_KEY])
            self.types = {str(part.get_dtype()) for part in slices.values()}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        with self._opened() as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def _opened(self) -> safe_open:
        return safe_open(self._path, framework="numpy")


def shapes(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor by name. The tensors of a file are not read for this."""
    return tensors.shapes if isinstance(tensors, _File) else {name: each.shape for name, each in tensors.items()}


def content_digest(tensors: Tensors) -> str:
    """Return the SHA-256, 64 hex digits, of the names, types, shapes and values of tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name], order="C")
        digest.update(json.dumps([name, tensor.dtype.str, tensor.shape]).encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _metadata(text: str) -> JsonObject:
    metadata = json.loads(text)
    if not isinstance(metadata, dict):
        raise TypeError(f"expected metadata that is a JSON object, received {text[:100]!r}")
    return metadata


def _no_tensors(size: int, error: Exception) -> Unusable:
    return Unusable(
        f"Expected a safetensors file that FaceFoundry wrote. Received {size} bytes of something else: {error}.",
        reason="NOT_A_MODEL",
    )


def _check(metadata: JsonObject, types: Collection[str], expected_format: str) -> None:
    if others := sorted(set(types) - {_FLOAT32}):
        raise Unusable(
            f"Expected tensors of type float32 ({_FLOAT32}). Received {', '.join(others)}.", reason="NOT_A_MODEL"
        )
    refuse_newer(metadata.get("format"), expected_format)
    if metadata.get("format") != expected_format:
        raise Unusable(
            f"Expected tensors of format {expected_format!r}. Received format={metadata.get('format')!r}.",
            reason="NOT_A_MODEL",
        )
