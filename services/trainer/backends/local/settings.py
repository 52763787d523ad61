"""Settings of the local backend."""

from __future__ import annotations

from pydantic import Field

from facefoundry.settings import MAX_SECONDS, Settings

__all__ = ["LocalSettings"]


class LocalSettings(Settings):
    """Settings of the local backend."""

    local_workers: int = Field(
        1, ge=1, le=1 << 16, description="Workers that the local backend runs at once; others are queued."
    )
    local_waiting_worker: bool = Field(
        True,
        description="Keep a process with TensorFlow loaded (0.5 GB), so that a training starts seconds sooner.",
    )
    local_status_seconds: float = Field(
        2.0, gt=0, le=MAX_SECONDS, description="Time between two status reports of a local worker."
    )
    local_checkpoint_seconds: float = Field(
        30.0, gt=0, le=MAX_SECONDS, description="Time between two checkpoints of a local worker."
    )
    restarts: int = Field(
        6, ge=0, le=1000, description="How often the local backend restarts an interrupted or crashed worker."
    )
    restart_seconds: float = Field(
        2.0,
        ge=0,
        le=60,
        description="Delay before the local backend's first restart; doubles with each restart, up to 60 s.",
    )
    grace_seconds: float = Field(
        20.0,
        gt=0,
        le=MAX_SECONDS,
        description="Time that a local worker has to write a checkpoint after a stop, before it is killed.",
    )
