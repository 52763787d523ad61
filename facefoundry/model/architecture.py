"""What both ways through the Original model share: its widths, sizes and tensors; numbers and names, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from facefoundry.errors import Unusable
from facefoundry.model import weights
from facefoundry.model.weights import NETWORK_FORMAT, Tensors

__all__ = ["FACE_SIZE", "SLOPE", "Architecture", "unpack"]

FACE_SIZE = 64

SLOPE = 0.1
"""Of every leaky ReLU below 0."""

_DEPTHS = (4, 3)


class _Widths(Protocol):
    """What `Architecture.of` reads; `v1.TrainingOptions` has it."""

    @property
    def encoder_filters(self) -> Sequence[int]: ...
    @property
    def bottleneck(self) -> int: ...
    @property
    def upscale_filters(self) -> int: ...
    @property
    def decoder_filters(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Architecture:
    """Widths of the network; the defaults are the original's.

    Attributes:
        encoder_filters: Filters of the four stride-2 convolutions, outermost first.
        bottleneck: Width of the first dense layer.
        upscale_filters: Filters of the encoder's upscale block.
        decoder_filters: Filters of the three upscale blocks of a decoder, innermost first.
    """

    encoder_filters: tuple[int, ...] = (128, 256, 512, 1024)
    bottleneck: int = 1024
    upscale_filters: int = 512
    decoder_filters: tuple[int, ...] = (256, 128, 64)

    @classmethod
    def of(cls, options: _Widths) -> Architecture:
        """Take the widths out of training options."""
        return cls(
            tuple(options.encoder_filters), options.bottleneck, options.upscale_filters, tuple(options.decoder_filters)
        )

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Shape of every tensor: network name to `<layer>/kernel` and `<layer>/bias`, in the order of the layers.

        Kernels are [rows, columns, channels in, channels out] or [features in, features out].
        """
        encoder: dict[str, tuple[int, ...]] = {}
        channels = 3
        for index, filters in enumerate(self.encoder_filters, 1):
            encoder |= _layer(f"conv_{index}", 5, 5, channels, filters)
            channels = filters
        features = (FACE_SIZE >> len(self.encoder_filters)) ** 2 * channels
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
        """Compare names and shapes of the three networks' tensors with this architecture's.

        Raises:
            Unusable: a tensor is missing, is too many, or has another shape.
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
        """Write the three networks' tensors, with this architecture, as safetensors."""
        return weights.to_bytes(tensors, {"format": NETWORK_FORMAT, "architecture": asdict(self)})


def unpack(path: Path) -> tuple[Architecture, Tensors]:
    """Read a file of what `Architecture.pack` gave.

    Raises:
        Unusable: it is not a network's weights, or not of the architecture they name.
    """
    tensors, metadata = weights.from_file(path, NETWORK_FORMAT)
    try:
        record = metadata["architecture"]
        architecture = Architecture(
            tuple(map(int, record["encoder_filters"])),
            int(record["bottleneck"]),
            int(record["upscale_filters"]),
            tuple(map(int, record["decoder_filters"])),
        )
        depths = len(architecture.encoder_filters), len(architecture.decoder_filters)
        if depths != _DEPTHS:
            raise ValueError(f"{depths[0]} encoder and {depths[1]} decoder widths")
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable(f"The weights do not say their architecture ({error!r}).", reason="NOT_A_MODEL") from error
    architecture.check(tensors)
    return architecture, tensors


def _layer(name: str, *kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/kernel": kernel, f"{name}/bias": kernel[-1:]}
