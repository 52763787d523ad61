"""Compression levels; this module loads no codec."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Level"]


@dataclass(frozen=True)
class Level:
    """A compression level.

    Attributes:
        name: Folder in the dataset, such as `raw`, and stem of the file.
        codec: `libx264rgb` or `libx264`.
        crf: Constant rate factor; 0 is lossless.
        pixel_format: Pixel format of the stream: `gbrp`, `yuv444p` or `yuv420p`; `gray` for masks.
        preset: Preset of x264.
    """

    name: str
    codec: str
    crf: int
    pixel_format: str
    preset: str

    @property
    def exact(self) -> bool:
        """Whether it decodes to exactly the BGR pixels that were encoded."""
        return self.codec == "libx264rgb" and self.crf == 0 and self.pixel_format == "gbrp"
