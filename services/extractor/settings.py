"""Settings of the extractor."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from facefoundry.settings import ServerSettings

__all__ = ["ExtractorSettings"]


class ExtractorSettings(ServerSettings):
    """Settings of the extractor, in addition to those of every service."""

    extractor_max_source_bytes: int = Field(8 << 30, ge=1, description="Largest clip that is fetched to scratch.")
    extractor_weights_dir: Path | None = Field(
        None, description="Folder with the weights that engines such as face_alignment need; wins over the prefix."
    )
    extractor_weights_prefix: str = Field(
        "", description="Bucket prefix with those weights, as `python -m services.extractor.weights` stores them."
    )
