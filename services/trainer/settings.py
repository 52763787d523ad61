"""Settings of the trainer service and of its worker; each backend has its own in its package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from facefoundry.settings import MAX_SECONDS, Folder, ImportSettings, LogLevel, Settings, matching

__all__ = ["TrainerSettings", "WorkerSettings"]


class TrainerSettings(ImportSettings):
    """Settings of the service."""

    backend: str = Field(
        "local",
        description="Where workers run: `local` (processes on the trainer's machine), `kubernetes` (one Job for each "
        "attempt at a training), or the name of a backend that another package adds.",
    )
    poll_seconds: float = Field(1.0, gt=0, le=3600, description="Time between two looks of a watch for a change.")
    heartbeat_seconds: float = Field(15.0, gt=0, le=15, description="Longest time between two messages of a watch.")
    stalled_seconds: float = Field(
        60.0,
        gt=0,
        le=MAX_SECONDS,
        description="Time without a status report of its worker after which a training counts as stalled. If its job "
        "no longer exists then, the job is restarted.",
    )
    sweep_seconds: float = Field(
        60.0,
        gt=0,
        le=MAX_SECONDS,
        description="Time between two sweeps, by one of the replicas. A sweep ends the jobs whose training has ended, "
        "such as those of a cancel that failed half-way.",
    )
    trainer_max_model_bytes: int = Field(
        1 << 30, ge=1, le=1 << 62, description="Largest total size, in bytes, of the files of an imported model."
    )


class WorkerSettings(Settings):
    """Settings of the worker."""

    model_config = SettingsConfigDict(env_prefix="FACEFOUNDRY_WORKER_")

    id: Annotated[
        str, matching("[A-Za-z0-9._-]{0,128}", "of an id: at most 128 characters, each A-Z, a-z, 0-9, ., _ or -")
    ] = Field("", description="Unique id of the worker, such as the pod's uid; by default a random one.")
    status_seconds: float = Field(15.0, gt=0, le=MAX_SECONDS, description="Time between two status reports.")
    checkpoint_seconds: float = Field(300.0, gt=0, le=MAX_SECONDS, description="Time between two checkpoints.")
    call_seconds: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="Desired duration of one call of the compiled training loop, which runs many iterations. A worker "
        "that is stopped finishes its call first.",
    )
    idle_seconds: float = Field(
        900.0,
        gt=0,
        le=MAX_SECONDS,
        description="The worker exits, so that it is restarted, if for this long no iteration has finished and the "
        "store has not responded.",
    )
    max_hours: float = Field(
        336.0,
        gt=0,
        le=MAX_SECONDS / 3600,
        description="Longest training, in hours of iterations of all its workers together; time in a queue does not "
        "count. A training that takes longer fails with MAX_HOURS, and its last checkpoint stays.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1 << 16,
        description="CPU threads; 0 uses all cores. Another number gives weights with other last bits.",
    )
    require_gpu: bool = Field(False, description="Fail if TensorFlow finds no GPU, instead of training on the CPU.")
    termination_log: Path = Field(
        Path("/dev/termination-log"),
        description="File for the worker's exit report, one line of JSON; skipped if it cannot be written.",
    )
    parent: int = Field(
        0,
        ge=0,
        le=(1 << 31) - 1,
        description="Process id of the parent. The worker is killed when the parent ends; 0 for none.",
    )
    scratch_dir: Folder | None = Field(None, description="Folder for temporary files; by default the system's.")
    scratch_bytes: int = Field(
        0,
        ge=0,
        le=1 << 62,
        description="Largest size of the folder for temporary files, in bytes. The worker ends with SCRATCH_FULL when "
        "it has more; 0 for no limit.",
    )
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
