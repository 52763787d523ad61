"""Settings of the kubernetes backend."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from facefoundry.settings import Settings

__all__ = ["KubernetesSettings"]


class KubernetesSettings(Settings):
    """Settings of the kubernetes backend."""

    job_template: Path | None = Field(
        None, description="File with the template of the Jobs that the kubernetes backend creates; the chart mounts it."
    )
    jobs_namespace: str = Field(
        "", description="Namespace in which the kubernetes backend creates Jobs; by default the trainer's own."
    )
    gpu_resource: str = Field("nvidia.com/gpu", description="Name of the device resource that a worker requests.")
    gpus: int = Field(1, ge=0, description="Number of devices that a worker requests; 0 leaves the template as it is.")
