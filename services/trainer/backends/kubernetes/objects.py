"""Models of Kubernetes Jobs, pods and Events, and of Kueue's Workloads, with only the fields that the backend reads.

The fields have the names of the Kubernetes API in snake case. A field that the API server leaves out or sends as null
has its default. All other fields of the API are ignored.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

__all__ = ["Condition", "Event", "JobObject", "PendingWorkload", "Pod", "Terminated", "Waiting", "Workload"]


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}


class Owner(_Model):
    """The object that created another one."""

    kind: str = ""
    name: str = ""
    uid: str = ""


class Metadata(_Model):
    """Name, labels and times of an object; times are RFC 3339."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    owner_references: list[Owner] = []

    @property
    def job(self) -> str:
        """Name of the Job that owns the object, empty if none does."""
        return next((owner.name for owner in self.owner_references if owner.kind == "Job"), "")


class Condition(_Model):
    """A condition of a Job or a pod."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class JobSpec(_Model):
    """The desired state of a Job."""

    suspend: bool = False


class JobStatus(_Model):
    """The observed state of a Job; counts are of pods."""

    failed: int = 0
    succeeded: int = 0
    conditions: list[Condition] = []


class JobObject(_Model):
    """A Job."""

    metadata: Metadata = Metadata()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    @property
    def true_conditions(self) -> set[str]:
        """Types of the conditions that are true."""
        return {condition.type for condition in self.status.conditions if condition.status == "True"}

    @property
    def terminating(self) -> bool:
        """Whether the Job is being deleted."""
        return bool(self.metadata.deletion_timestamp)


class Resources(_Model):
    """Resources of a container."""

    limits: dict[str, str | int | float] = {}


class Container(_Model):
    """A container as a pod specifies it."""

    name: str = ""
    image: str = ""
    resources: Resources = Resources()


class PodSpec(_Model):
    """The desired state of a pod."""

    node_name: str = ""
    containers: list[Container] = []


class Terminated(_Model):
    """How a container ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class Waiting(_Model):
    """Why a container has not started."""

    reason: str = ""
    message: str = ""


class ContainerState(_Model):
    """The state of a container; at most one of the fields is set."""

    terminated: Terminated | None = None
    waiting: Waiting | None = None


class ContainerStatus(_Model):
    """The observed state of a container."""

    name: str = ""
    state: ContainerState = ContainerState()


class PodStatus(_Model):
    """The observed state of a pod."""

    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    conditions: list[Condition] = []
    container_statuses: list[ContainerStatus] = []


class Pod(_Model):
    """A pod."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def condition(self, kind: str) -> Condition:
        """Return the pod's condition of the given type, or an empty condition if it has none."""
        return next((found for found in self.status.conditions if found.type == kind), Condition())

    def container(self, name: str) -> Container:
        """Return the specification of the container with the given name, or an empty one if there is none."""
        return next((found for found in self.spec.containers if found.name == name), Container())

    def container_state(self, name: str) -> ContainerState:
        """Return the state of the container with the given name, or an empty state if it is not known."""
        statuses = self.status.container_statuses
        return next((found.state for found in statuses if found.name == name), ContainerState())

    @property
    def ended(self) -> bool:
        """Whether all containers of the pod have ended for good."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def age(self) -> tuple[str, str]:
        """Key by which pods are sorted from the oldest to the newest."""
        return self.metadata.creation_timestamp, self.metadata.name


class Reference(_Model):
    """The object that an Event is about."""

    kind: str = ""
    name: str = ""


class Series(_Model):
    """The repetitions of an Event."""

    last_observed_time: str = ""


class Event(_Model):
    """An Event."""

    metadata: Metadata = Metadata()
    involved_object: Reference = Reference()
    reason: str = ""
    message: str = ""
    last_timestamp: str = ""
    event_time: str = ""
    series: Series = Series()


class WorkloadSpec(_Model):
    """What is asked of Kueue."""

    active: bool = True


class WorkloadStatus(_Model):
    """What Kueue did."""

    conditions: list[Condition] = []


class Workload(_Model):
    """Kueue's record of a Job in a queue."""

    metadata: Metadata = Metadata()
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()

    def condition(self, kind: str) -> Condition:
        """Return the condition of the given type, or an empty condition if there is none."""
        return next((found for found in self.status.conditions if found.type == kind), Condition())


class PendingWorkload(_Model):
    """A Workload that waits, as Kueue's visibility API lists it.

    Attributes:
        position_in_local_queue: Number of Workloads of its LocalQueue that come before it.
    """

    metadata: Metadata = Metadata()
    position_in_local_queue: int = 0
