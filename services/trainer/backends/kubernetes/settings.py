"""Settings of the kubernetes backend."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facefoundry.settings import File, Settings, matching

__all__ = ["KubernetesSettings"]


class KubernetesSettings(Settings):
    """Settings of the kubernetes backend."""

    job_template: File | None = Field(
        None, description="File with the template of the Jobs that the kubernetes backend creates; the chart mounts it."
    )
    jobs_namespace: Annotated[
        str, matching("([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?", "of a namespace's name: up to 63 of a-z, 0-9 and -")
    ] = Field("", description="Namespace in which the kubernetes backend creates Jobs; by default the trainer's own.")
    gpu_resource: Annotated[
        str,
        matching(
            "([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
            "of a resource's name, such as nvidia.com/gpu",
        ),
    ] = Field("nvidia.com/gpu", description="Name of the device resource that a worker requests.")
    gpus: int = Field(
        1, ge=0, le=1024, description="Number of devices that a worker requests; 0 leaves the template as it is."
    )
