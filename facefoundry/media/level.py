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
        coder: Entropy coder of H.264, `cabac` or `cavlc`.
        keyframe_interval: Largest distance from one key frame to the next, frames.
        tagged: Whether the stream and the container state the colours; FF++'s files do not.
    """

    name: str
    codec: str
    crf: int
    pixel_format: str
    preset: str
    coder: str = "cabac"
    keyframe_interval: int = 250
    tagged: bool = False

    @property
    def exact(self) -> bool:
        """Whether it decodes to exactly the BGR pixels that were encoded."""
        return self.codec == "libx264rgb" and self.crf == 0 and self.pixel_format == "gbrp"
