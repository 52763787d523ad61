"""Settings of the extractor."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from facefoundry.settings import ImportSettings

__all__ = ["ExtractorSettings"]


class ExtractorSettings(ImportSettings):
    """Settings of the extractor, in addition to those of every service."""

    extractor_max_source_bytes: int = Field(8 << 30, ge=1, description="Largest clip, in bytes, that is accepted.")
    extractor_max_frames: int = Field(
        50_000, ge=1, description="Largest number of frames that ImportSource accepts in a folder or a tar."
    )
    extractor_weights_dir: Path | None = Field(
        None,
        description="Folder with the weights of engines such as face_alignment; it takes precedence over "
        "FACEFOUNDRY_EXTRACTOR_WEIGHTS_PREFIX.",
    )
    extractor_weights_prefix: str = Field(
        "", description="Bucket prefix with these weights. `python -m services.extractor.weights` stores them there."
    )
