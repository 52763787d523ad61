"""Settings of the extractor."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facefoundry.settings import Folder, ImportSettings, matching

__all__ = ["ExtractorSettings"]


class ExtractorSettings(ImportSettings):
    """Settings of the extractor, in addition to those of every service."""

    extractor_max_source_bytes: int = Field(
        8 << 30, ge=1, le=1 << 62, description="Largest clip, in bytes, that is accepted."
    )
    extractor_max_pixels: int = Field(
        1 << 40,
        ge=1,
        le=1 << 62,
        description="Most pixels of all frames of a clip together: width x height x frames. It limits the CPU time of "
        "a call; the default is that of 530,000 frames of 1920x1080.",
    )
    extractor_max_frames: int = Field(
        50_000, ge=1, le=1 << 31, description="Largest number of frames that ImportSource accepts in a folder or a tar."
    )
    extractor_warn_share: float = Field(
        0.5, ge=0, le=1, description="An extraction with the subject's face in a smaller share of frames has a warning."
    )
    extractor_min_share: float = Field(
        0.1, ge=0, le=1, description="A clip with the subject's face in a smaller share of frames is refused."
    )
    extractor_weights_dir: Folder | None = Field(
        None,
        description="Folder with the weights of engines such as face_alignment; it takes precedence over "
        "FACEFOUNDRY_EXTRACTOR_WEIGHTS_PREFIX.",
    )
    extractor_weights_prefix: Annotated[
        str, matching("[A-Za-z0-9._/-]*", "of a prefix: A-Z, a-z, 0-9, ., _, / and -")
    ] = Field(
        "", description="Bucket prefix with these weights. `python -m services.extractor.weights` stores them there."
    )
