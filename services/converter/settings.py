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
