"""Settings of the trainer service and of its worker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from facefoundry.settings import ServerSettings, Settings

__all__ = ["TrainerSettings", "WorkerSettings"]


class TrainerSettings(ServerSettings):
    """Settings of the service."""

    backend: Literal["local", "kubernetes"] = Field(
        "local", description="Where workers run: `local` is this machine, `kubernetes` a Job for each training."
    )
    job_template: Path | None = Field(
        None, description="File of the Job that the kubernetes backend creates; the chart mounts it."
    )
    jobs_namespace: str = Field(
        "", description="Namespace that the kubernetes backend creates Jobs in; default is the trainer's own."
    )
    gpu_resource: str = Field("nvidia.com/gpu", description="Device that a worker's Job asks for.")
    gpus: int = Field(1, ge=0, description="How many of them; with 0 the Job template's resources stand as they are.")
    local_workers: int = Field(1, ge=1, description="Workers that the local backend runs at once; others are queued.")
    local_status_seconds: float = Field(2.0, gt=0, description="Time between two status reports of a local worker.")
    local_checkpoint_seconds: float = Field(30.0, gt=0, description="Time between two checkpoints of a local worker.")
    restarts: int = Field(6, ge=0, description="Times the local backend starts an interrupted or crashed worker again.")
    restart_seconds: float = Field(
        2.0, ge=0, description="Wait before the first restart of the local backend; doubles each time, to 60 s."
    )
    grace_seconds: float = Field(
        20.0, gt=0, description="Time a local worker gets for its last checkpoint when it is stopped."
    )
    poll_seconds: float = Field(1.0, gt=0, description="How often WatchTraining looks for a change.")
    heartbeat_seconds: float = Field(15.0, gt=0, le=15, description="Longest silence of WatchTraining.")
    stalled_seconds: float = Field(
        60.0,
        gt=0,
        description="Silence after which a training shows as stalled, and is taken up again where its job is gone.",
    )


class WorkerSettings(Settings):
    """Settings of the worker."""

    model_config = SettingsConfigDict(env_prefix="FACEFOUNDRY_WORKER_", frozen=True, extra="ignore")

    id: str = Field("", description="Unique id of this worker, such as the pod's uid; default is a random one.")
    status_seconds: float = Field(15.0, gt=0, description="Time between two status reports.")
    checkpoint_seconds: float = Field(300.0, gt=0, description="Time between two checkpoints.")
    call_seconds: float = Field(5.0, gt=0, description="Aim for the length of one compiled call; a stop waits so long.")
    idle_seconds: float = Field(
        900.0, gt=0, description="Time without an iteration or an answer of the store after which the worker gives up."
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0 takes all cores.")
    require_gpu: bool = Field(False, description="Fail where TensorFlow sees no GPU, rather than train on the CPU.")
    termination_log: Path = Field(
        Path("/dev/termination-log"),
        description="File for the worker's last words, one JSON line; skipped if not writable.",
    )
    parent: int = Field(0, ge=0, description="Process that the worker must not outlive; 0 for none.")
    scratch_dir: Path | None = Field(None, description="Folder for temporary files; default is the system's.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
