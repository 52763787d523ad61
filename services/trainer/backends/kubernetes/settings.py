"""Settings of the kubernetes backend."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from facefoundry.settings import Settings

__all__ = ["KubernetesSettings"]


class KubernetesSettings(Settings):
    """Settings of the kubernetes backend."""

    job_template: Path | None = Field(
        None, description="File of the Job that the kubernetes backend creates; the chart mounts it."
    )
    jobs_namespace: str = Field(
        "", description="Namespace in which the kubernetes backend creates Jobs; by default the trainer's own."
    )
    gpu_resource: str = Field("nvidia.com/gpu", description="Device resource that a worker's Job requests.")
    gpus: int = Field(1, ge=0, description="Number of devices; with 0 the Job template's resources are not changed.")
