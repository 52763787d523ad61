"""What both implementations of the Original model share: its sizes and the names and shapes of its tensors.

The Keras implementation (`network`) trains, the NumPy implementation (`swap`) converts. Both read everything from an
`Architecture`, which is stored with the weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from facefoundry.codec import from_json, to_values
from facefoundry.errors import DataLoss, Unusable
from facefoundry.model import weights
from facefoundry.model.weights import NETWORK_FORMAT, Tensors

__all__ = ["SLOPE", "Architecture", "unpack"]

SLOPE: Final = 0.1
"""Slope of every leaky ReLU for negative inputs."""

# The NumPy implementation computes tiles of 4x4 pixels, so the smallest maps are 4x4.
_SMALLEST_SIDE: Final = 4


class _Sizes(Protocol):
    """What `Architecture.of` reads; `v1.TrainingOptions` has it."""

    @property
    def encoder_filters(self) -> Sequence[int]: ...
    @property
    def bottleneck(self) -> int: ...
    @property
    def upscale_filters(self) -> int: ...
    @property
    def decoder_filters(self) -> Sequence[int]: ...
    @property
    def face_size(self) -> int: ...


@dataclass(frozen=True)
class Architecture:
    """The sizes of the network; the defaults are FF++'s.

    The encoder halves the face once per filter, and one upscale block doubles the result. The decoder doubles it once
    per filter, so it has one block fewer than the encoder.

    Attributes:
        encoder_filters: Filters of the stride-2 convolutions, outermost first.
        bottleneck: Width of the first dense layer.
        upscale_filters: Filters of the encoder's upscale block.
        decoder_filters: Filters of the decoder's upscale blocks, innermost first.
        face_size: Side of the faces that go in and come out, pixels. Models stored without it are of 64.
    """

    encoder_filters: tuple[int, ...] = (128, 256, 512, 1024)
    bottleneck: int = 1024
    upscale_filters: int = 512
    decoder_filters: tuple[int, ...] = (256, 128, 64)
    face_size: int = 64

    def __post_init__(self) -> None:
        """Check that sizes and layer counts fit together."""
        widths = (*self.encoder_filters, self.bottleneck, self.upscale_filters, *self.decoder_filters)
        if min(widths) < 1:
            raise ValueError(f"Expected widths of at least 1. Received {widths}.")
        if len(self.decoder_filters) != len(self.encoder_filters) - 1:
            counts = f"{len(self.encoder_filters)} encoder and {len(self.decoder_filters)} decoder filters"
            raise ValueError(f"Expected one decoder filter fewer than encoder filters. Received {counts}.")
        if self.face_size < 1 or self.face_size % (_SMALLEST_SIDE << len(self.encoder_filters)):
            multiple = _SMALLEST_SIDE << len(self.encoder_filters)
            raise ValueError(f"Expected a face_size that is a multiple of {multiple}. Received {self.face_size}.")

    @classmethod
    def of(cls, options: _Sizes) -> Architecture:
        """Read the sizes from training options; a face_size of 0 (not set) is the default."""
        return cls(
            tuple(options.encoder_filters),
            options.bottleneck,
            options.upscale_filters,
            tuple(options.decoder_filters),
            options.face_size or cls.face_size,
        )

    @property
    def inner_side(self) -> int:
        """Side of the maps behind the encoder's convolutions, pixels; the dense layers see all of them at once."""
        return self.face_size >> len(self.encoder_filters)

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Return the shape of every tensor: network, then `<layer>/kernel` and `<layer>/bias` in the layers' order.

        Kernels are [rows, columns, channels in, channels out] or [features in, features out].
        """
        encoder: dict[str, tuple[int, ...]] = {}
        channels = 3
        for index, filters in enumerate(self.encoder_filters, 1):
            encoder |= _layer(f"conv_{index}", 5, 5, channels, filters)
            channels = filters
        features = self.inner_side**2 * channels
        encoder |= _layer("dense_1", features, self.bottleneck)
        encoder |= _layer("dense_2", self.bottleneck, features)
        encoder |= _layer("upscale", 3, 3, channels, 4 * self.upscale_filters)
        decoder: dict[str, tuple[int, ...]] = {}
        channels = self.upscale_filters
        for index, filters in enumerate(self.decoder_filters, 1):
            decoder |= _layer(f"upscale_{index}", 3, 3, channels, 4 * filters)
            channels = filters
        decoder |= _layer("output", 5, 5, channels, 3)
        return {"encoder": encoder, "decoder_a": decoder, "decoder_b": dict(decoder)}

    def check(self, tensors: Tensors) -> None:
        """Compare the names and shapes of the three networks' tensors with this architecture's.

        Raises:
            Unusable: a tensor is missing, unexpected, or of another shape (NOT_A_MODEL).
        """
        expected = {f"{network}/{name}": shape for network, of in self.shapes().items() for name, shape in of.items()}
        received = weights.shapes(tensors)
        if expected != received:
            wrong = sorted(name for name in expected | received if expected.get(name) != received.get(name))
            raise Unusable(
                f"Expected the tensors of {self}. Received others, first {wrong[0]!r}: "
                f"expected shape {expected.get(wrong[0])}, received {received.get(wrong[0])}.",
                reason="NOT_A_MODEL",
            )

    def pack(self, tensors: Tensors) -> bytes:
        """Encode the three networks' tensors, with this architecture, as safetensors."""
        return weights.to_bytes(tensors, {"format": NETWORK_FORMAT, "architecture": to_values(self)})


def unpack(path: Path) -> tuple[Architecture, Tensors]:
    """Read a file of what `Architecture.pack` returned.

    Raises:
        Unusable: it is no model, or its tensors do not fit its architecture (NOT_A_MODEL).
    """
    tensors, metadata = weights.from_file(path, NETWORK_FORMAT)
    try:
        architecture = from_json(Architecture, json.dumps(metadata["architecture"]))
    except (KeyError, DataLoss) as error:
        raise Unusable(f"The weights do not state a valid architecture ({error}).", reason="NOT_A_MODEL") from error
    architecture.check(tensors)
    return architecture, tensors


def _layer(name: str, *kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/kernel": kernel, f"{name}/bias": kernel[-1:]}
