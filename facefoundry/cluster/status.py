"""What is known of a run, from anywhere: its Job, its record in the bucket, its trainings."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.cluster.runs import Place
from facefoundry.cluster.states import JobState
from facefoundry.planning.stored_run import StoredRun, stored_run
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store

__all__ = ["RunStatus", "status"]


@dataclass(frozen=True)
class RunStatus:
    """What is known of a run.

    Attributes:
        name: Name of the run.
        job: Its Job; None if it was not submitted, or its Job was deleted.
        record: How far it was when its record was last saved; None if the bucket has none, or without keys of it.
    """

    name: str
    job: JobState | None
    record: StoredRun | None


def status(
    name: str,
    *,
    namespace: str | None = None,
    context: str | None = None,
    kubeconfig: str | None = None,
    in_cluster: bool = True,
) -> RunStatus:
    """Return what is known of a run: its Job in the cluster, and its record in the bucket.

    Its trainings are those of `Client.list_trainings(name)`.

    Args:
        name: Name of the run, as in its dataset file.
        namespace: Namespace of the Job; by default that of the context.
        context: Context of the kubeconfig; by default its current one.
        kubeconfig: Path of the kubeconfig; by default KUBECONFIG or ~/.kube/config.
        in_cluster: Whether to look for a Job; it needs a kubeconfig.

    Raises:
        InvalidInput: the name is not valid, or there is no kubeconfig (NO_KUBECONFIG).
        FaceFoundryError: the cluster or the store does not answer.
    """
    settings = read(StoreSettings)
    record = stored_run(Store(settings), name) if settings.has_keys else None
    if not in_cluster:
        return RunStatus(name, None, record)
    with Place(namespace, context, kubeconfig).open() as runs:
        return RunStatus(name, runs.find_if_any(name), record)
