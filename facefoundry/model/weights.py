"""Named tensors as safetensors bytes and back; nothing is ever unpickled. It knows no network.

The header holds one JSON text under `facefoundry`, because safetensors keeps no order among several keys and equal
tensors shall be equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from facefoundry.errors import Unusable

__all__ = ["NETWORK_FORMAT", "Tensors", "content_digest", "from_bytes", "to_bytes"]

Tensors = dict[str, NDArray[Any]]

NETWORK_FORMAT = "facefoundry.weights/1"
"""Format word of the three networks' weights."""

_KEY = "facefoundry"
_LENGTH_BYTES = 8


def to_bytes(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> bytes:
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
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Unusable(
            f"Expected a safetensors file with our metadata. Received {len(data)} bytes that are not one ({error}).",
            reason="NOT_A_MODEL",
        ) from error
    if metadata.get("format") != expected_format:
        raise Unusable(
            f"Expected tensors of format {expected_format!r}. Received format={metadata.get('format')!r}.",
            reason="NOT_A_MODEL",
        )
    return tensors, metadata


def content_digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 (64 hex digits) over names, types, shapes and values, whatever file they lie in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name], order="C")
        digest.update(json.dumps([name, tensor.dtype.str, tensor.shape]).encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()
