"""The architecture of the autoencoder: its sizes, and the names and shapes of its tensors.

The autoencoder is faceswap's model "Original", which FF++ used. `network` implements it in Keras for training, `swap`
in NumPy for conversions. Both read the sizes from an `Architecture`, which is stored with the weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from facefoundry.codec import JsonObject, from_json, to_values
from facefoundry.errors import DataLoss, Unusable
from facefoundry.model import weights
from facefoundry.model.weights import NETWORK_FORMAT, Tensors

__all__ = ["SLOPE", "Architecture", "Colours", "content_digest", "stated", "unpack"]

Colours = Literal["kept", "standardised"]

SLOPE: Final = 0.1
"""Slope of every leaky ReLU for negative inputs."""

# The NumPy implementation computes tiles of 4x4 pixels, so the smallest maps are 4x4.
_SMALLEST_SIDE: Final = 4


class _Sizes(Protocol):
    """The options that `Architecture.of` reads, such as fields of `v1.TrainingOptions`."""

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
    @property
    def colours(self) -> str: ...


@dataclass(frozen=True)
class Architecture:
    """The sizes of the networks; the defaults are those of FF++.

    The encoder consists of stride-2 convolutions, each of which halves the width and height of the face, two dense
    layers and an upscale block. The decoder consists of upscale blocks. An upscale block doubles width and height, so
    the decoder has one block fewer than the encoder has convolutions.

    Attributes:
        encoder_filters: Filters of the encoder's convolutions, first to last.
        bottleneck: Units of the first dense layer.
        upscale_filters: Filters of the encoder's upscale block.
        decoder_filters: Filters of the decoder's upscale blocks, first to last.
        face_size: Width and height of the faces, pixels. Models stored without this field have faces of 64.
        colours: `kept`, as in FF++ and in models stored without this field, or `standardised`: `colours` of this
            package standardises the faces for the encoder, and gives their colours to the decoder's.
    """

    encoder_filters: tuple[int, ...] = (128, 256, 512, 1024)
    bottleneck: int = 1024
    upscale_filters: int = 512
    decoder_filters: tuple[int, ...] = (256, 128, 64)
    face_size: int = 64
    colours: Colours = "kept"

    def __post_init__(self) -> None:
        """Check that the sizes and the numbers of layers are consistent."""
        if min(*self.encoder_filters, self.bottleneck, self.upscale_filters, *self.decoder_filters) < 1:
            raise ValueError(f"Expected filters and a bottleneck of at least 1. Received {self}.")
        if len(self.decoder_filters) != len(self.encoder_filters) - 1:
            counts = f"{len(self.encoder_filters)} encoder and {len(self.decoder_filters)} decoder filters"
            raise ValueError(f"Expected one value fewer in decoder_filters than in encoder_filters. Received {counts}.")
        if self.face_size < 1 or self.face_size % (_SMALLEST_SIDE << len(self.encoder_filters)):
            multiple = _SMALLEST_SIDE << len(self.encoder_filters)
            raise ValueError(f"Expected a face_size that is a multiple of {multiple}. Received {self.face_size}.")

    @classmethod
    def of(cls, options: _Sizes) -> Architecture:
        """Return the architecture for training options."""
        return cls(
            tuple(options.encoder_filters),
            options.bottleneck,
            options.upscale_filters,
            tuple(options.decoder_filters),
            options.face_size,
            "standardised" if options.colours == "standardised" else "kept",
        )

    @property
    def inner_side(self) -> int:
        """Width and height of the maps after the last convolution of the encoder, pixels."""
        return self.face_size >> len(self.encoder_filters)

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Return the shape of every tensor, by network and then by name.

        Names are `<layer>/kernel` and `<layer>/bias`, in the order of the layers. Kernels are
        [rows, columns, channels in, channels out] or [features in, features out].
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
        """Check that the tensors have the names and shapes of this architecture.

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
        """Encode the tensors of the three networks, with this architecture as metadata, as a safetensors file."""
        return weights.to_bytes(tensors, {"format": NETWORK_FORMAT, "architecture": to_values(self)})


def content_digest(tensors: Tensors, colours: str) -> str:
    """Return a model's content digest, 64 hex digits: that of its tensors, and of its colours unless they are kept.

    The shapes of the tensors state everything else of the architecture.
    """
    digest = weights.content_digest(tensors)
    return digest if colours == "kept" else hashlib.sha256(f"{colours} {digest}".encode()).hexdigest()


def unpack(path: Path) -> tuple[Architecture, Tensors]:
    """Read a file that contains what `Architecture.pack` returned.

    Raises:
        Unusable: the file is not a model, or its tensors do not have the shapes of its architecture (NOT_A_MODEL).
    """
    tensors, metadata = weights.from_file(path, NETWORK_FORMAT)
    architecture = stated(metadata)
    architecture.check(tensors)
    return architecture, tensors


def stated(metadata: JsonObject) -> Architecture:
    """Return the architecture in the metadata of a file of weights.

    Raises:
        Unusable: there is none, or it is not valid (NOT_A_MODEL).
    """
    if "architecture" not in metadata:
        raise Unusable(
            "Expected metadata with the entry 'architecture' in the weights, but it is missing. "
            "Use the file of a model that FaceFoundry wrote.",
            reason="NOT_A_MODEL",
        )
    try:
        return from_json(Architecture, json.dumps(metadata["architecture"]))
    except DataLoss as error:
        raise Unusable(
            f"The weights do not state a valid architecture ({error}). Use the file of a model that FaceFoundry wrote.",
            reason="NOT_A_MODEL",
        ) from error


def _layer(name: str, *kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/kernel": kernel, f"{name}/bias": kernel[-1:]}
