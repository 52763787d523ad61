"""Compression levels; this module loads no codec."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Level"]


@dataclass(frozen=True)
class Level:
    """A compression level.

    Attributes:
        name: Name of the level, such as `raw`: its folder in the dataset, and the stem of its file in the bucket.
        codec: `libx264rgb` or `libx264`.
        crf: Constant rate factor; 0 is lossless.
        pixel_format: Pixel format of the stream: `gbrp`, `yuv444p` or `yuv420p`; `gray` for masks.
        preset: Preset of x264.
        coder: Entropy coder of H.264, `cabac` or `cavlc`.
        keyframe_interval: Largest distance from one key frame to the next, frames.
        tagged: Whether stream and container state the colour matrix, primaries and transfer function; FF++'s files do
            not.
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
        """Whether a video at this level decodes to exactly the BGR pixels that were encoded."""
        return self.codec == "libx264rgb" and self.crf == 0 and self.pixel_format == "gbrp"
