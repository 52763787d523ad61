"""Named tensors as safetensors bytes and back; nothing is ever unpickled. It knows no network.

The header holds one JSON text under `facefoundry`, because safetensors keeps no order among several keys and equal
tensors shall be equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from facefoundry.errors import Unusable

__all__ = ["NETWORK_FORMAT", "Tensors", "content_digest", "from_bytes", "from_file", "shapes", "to_bytes"]

Tensors = Mapping[str, NDArray[Any]]

NETWORK_FORMAT = "facefoundry.weights/1"
"""Format word of the three networks' weights."""

_KEY = "facefoundry"
_LENGTH_BYTES = 8
_FLOAT32 = "F32"
_BROKEN = (SafetensorError, ValueError, KeyError, TypeError)


def to_bytes(tensors: Tensors, metadata: Mapping[str, Any]) -> bytes:
    """Write tensors and JSON metadata; equal content gives equal bytes.

    Args:
        tensors: Arrays of any shape by name.
        metadata: JSON values.
    """
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)
    whole = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    return bytes(save_tensors(whole, metadata={_KEY: text}))


def from_bytes(data: bytes, expected_format: str) -> tuple[Tensors, dict[str, Any]]:
    """Read what `to_bytes` wrote.

    Args:
        data: The bytes.
        expected_format: What the metadata's `format` must say.

    Returns:
        The tensors by name, and the metadata.

    Raises:
        Unusable: the bytes are not such a file.
    """
    try:
        header = data[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")]
        metadata: dict[str, Any] = json.loads(json.loads(header)["__metadata__"][_KEY])
        tensors = load_tensors(data)
    except _BROKEN as error:
        raise _not_ours(len(data), error) from error
    _check_format(metadata, expected_format)
    return tensors, metadata


def from_file(path: Path, expected_format: str) -> tuple[Tensors, dict[str, Any]]:
    """Look into a file that `to_bytes` gave of float32 tensors; each is read only when it is asked for.

    Args:
        path: The file; it has to stay as it is for as long as tensors are asked for.
        expected_format: What the metadata's `format` must say.

    Returns:
        The tensors by name, and the metadata.

    Raises:
        Unusable: it is not such a file, or holds tensors of another type.
    """
    try:
        tensors = _File(path)
    except _BROKEN as error:
        raise _not_ours(path.stat().st_size, error) from error
    _check_format(tensors.metadata, expected_format)
    return tensors, tensors.metadata


class _File(Mapping[str, NDArray[Any]]):
    """The tensors of a file, which is mapped into memory only while one of them is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            self.shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            self.metadata: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
            types = {part.get_dtype() for part in slices.values()}
        if types - {_FLOAT32}:
            raise ValueError(f"types {sorted(types)}")

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.shapes:
            raise KeyError(name)
        with self._opened() as file:
            tensor: NDArray[Any] = file.get_tensor(name)
        return tensor

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def _opened(self) -> Any:
        return safe_open(self._path, framework="numpy")


def shapes(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by name; those of a file are not read for it."""
    return tensors.shapes if isinstance(tensors, _File) else {name: each.shape for name, each in tensors.items()}


def content_digest(tensors: Tensors) -> str:
    """SHA-256 (64 hex digits) over names, types, shapes and values, whatever file they lie in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name], order="C")
        digest.update(json.dumps([name, tensor.dtype.str, tensor.shape]).encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _not_ours(size: int, error: Exception) -> Unusable:
    return Unusable(
        f"Expected a safetensors file with our metadata. Received {size} bytes that are not one ({error}).",
        reason="NOT_A_MODEL",
    )


def _check_format(metadata: Mapping[str, Any], expected: str) -> None:
    if metadata.get("format") != expected:
        raise Unusable(
            f"Expected tensors of format {expected!r}. Received format={metadata.get('format')!r}.",
            reason="NOT_A_MODEL",
        )
