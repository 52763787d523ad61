"""Settings of the converter."""

from __future__ import annotations

from pydantic import Field

from facefoundry.settings import ServerSettings

__all__ = ["ConverterSettings"]


class ConverterSettings(ServerSettings):
    """Settings of the converter, in addition to those of every service."""

    converter_max_source_bytes: int = Field(
        8 << 30, ge=1, le=1 << 62, description="Largest clip, in bytes, that is accepted."
    )
    converter_max_pixels: int = Field(
        1 << 40,
        ge=1,
        le=1 << 62,
        description="Most pixels of all frames of a clip together: width x height x frames. It limits the CPU time of "
        "a call; the default is that of 530,000 frames of 1920x1080.",
    )
