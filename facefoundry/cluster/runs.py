"""Submits runs to a cluster, and finds, retries and stops those that were submitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from facefoundry.cluster.manifests import (
    RUN,
    JobOptions,
    Object,
    Submission,
    bucket_of,
    config_map,
    dataset_job,
    is_of,
    job_name,
    mounts,
    template_in,
)
from facefoundry.cluster.states import JobState, state_of
from facefoundry.dataset.stored_dataset import DatasetPlace, is_uri
from facefoundry.errors import Conflict, InvalidInput, NotFound, Unavailable
from facefoundry.planning.freezing import freeze, refuse_revoked_dataset
from facefoundry.planning.objects import lister
from facefoundry.planning.resolve import ResolvedDataset
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store

if TYPE_CHECKING:
    from facefoundry.cluster.access import Cluster

__all__ = ["Place", "Runs", "objects_of", "prepare", "read_template", "retry_in", "started", "submit"]

_POLL_SECONDS = 1.0
_END_SECONDS = 120.0
_REFUSED_SECONDS = 15.0
"""How long the Job's controller may try to create a pod. A webhook may refuse it until it has seen the Job."""

_LATE_REASONS = ("NO_NODE", "SUSPENDED")  # what a cluster may take its time for


@dataclass(frozen=True)
class Place:
    """Where runs are submitted.

    Attributes:
        namespace: The namespace; by default that of the context.
        context: Context of the kubeconfig; by default its current one.
        kubeconfig: Path of the kubeconfig; by default KUBECONFIG, ~/.kube/config, or the account of this pod.
    """

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None

    @contextmanager
    def open(self) -> Iterator[Runs]:
        """Connect to the cluster.

        Raises:
            InvalidInput: the Kubernetes client is not installed (NO_KUBERNETES_CLIENT), or there is no kubeconfig
                (NO_KUBECONFIG).
        """
        try:
            from facefoundry.cluster.access import Cluster  # takes a second to import
        except ModuleNotFoundError as error:
            raise InvalidInput(
                "Expected the Kubernetes client for Python. It is not installed. In a clone, run pip install "
                "'.[cluster]'.",
                reason="NO_KUBERNETES_CLIENT",
            ) from error
        cluster = Cluster(self.kubeconfig, self.context, self.namespace)
        try:
            yield Runs(cluster)
        finally:
            cluster.close()


class Runs:
    """The submitted runs of a namespace.

    Args:
        cluster: The namespace.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self._cluster.namespace

    def template(self, release: str | None = None) -> Object:
        """Return the template of the release; errors are as in `template_in`."""
        return template_in(self._cluster.templates(release), f"the namespace {self.namespace}")

    def start(self, objects: tuple[Object, Object]) -> JobState:
        """Create the objects of a run. A Job of the run that has ended is deleted first.

        Raises:
            Conflict: a Job of the run goes on, or one of its name is not of the run (NAME_TAKEN).
        """
        made, job = objects
        name, run = job["metadata"]["name"], job["metadata"]["annotations"][RUN]
        before = self._cluster.job(name)
        if before is not None:
            if not is_of(before, run):
                raise self._foreign(name, run)
            if not self._state(before).ended and not before["metadata"].get("deletionTimestamp"):
                raise self._taken(name, run)
            self._delete(before)
        is_new = self._cluster.create_config_map(made)
        try:
            self._cluster.create_job(job)
        except (Conflict, InvalidInput) as error:
            other = self._cluster.job(name)
            if is_new and not (other and mounts(other, made)):
                self._cluster.delete_config_map(made["metadata"]["name"])  # `submission` would find it
            if isinstance(error, Conflict):
                raise self._taken(name, run) from error
            raise
        for old in self._cluster.config_maps(name):
            if old["metadata"]["name"] != made["metadata"]["name"]:
                self._cluster.delete_config_map(old["metadata"]["name"])
        return self.find(run)

    def wait_for_start(self, run: str, seconds: float) -> JobState:
        """Wait until the pod of a run has started, or cannot start, or the time is over; return the state then."""
        begun = time.monotonic()
        while True:
            state, waited = self.find(run), time.monotonic() - begun
            settled = state.state != "waiting" or (state.reason and state.reason not in _LATE_REASONS)
            passing = state.reason == "POD_REFUSED" and waited < _REFUSED_SECONDS
            if (settled and not passing) or waited >= seconds:
                return state
            time.sleep(_POLL_SECONDS)

    def find(self, run: str) -> JobState:
        """Return the state of the Job of a run.

        Raises:
            NotFound: there is none (NO_JOB).
        """
        state = self.find_if_any(run)
        if state is None:
            raise NotFound(
                f"There is no Job of the run {run} in the namespace {self.namespace}. Give the namespace of the run "
                "with --namespace. `facefoundry cancel` deletes a Job, and a Job that ended is deleted after a week; "
                "`facefoundry retry` without --failed starts it again.",
                reason="NO_JOB",
            )
        return state

    def find_if_any(self, run: str) -> JobState | None:
        """Return the state of the Job of a run; None if there is none."""
        job = self._job(run)
        return None if job is None else self._state(job)

    def submission(self, run: str) -> Submission:
        """Return what was submitted as a run.

        Raises:
            NotFound: nothing was, or it was deleted (NOT_SUBMITTED).
        """
        found = self._cluster.config_maps(job_name(run))
        if not found:
            raise NotFound(
                f"No run {run} was submitted in the namespace {self.namespace}. Give its namespace with --namespace, "
                "or submit its dataset file.",
                reason="NOT_SUBMITTED",
            )
        return Submission.of(found[-1])

    def stop(self, run: str) -> bool:
        """Delete the Job of a run, and wait until its pod has ended. Return whether there was one."""
        job = self._job(run)
        if job is None:
            return False
        self._delete(job)
        return True

    def log(self, run: str, *, follow: bool = False) -> Iterator[str]:
        """Yield the lines of the log of the newest pod of a run. With `follow`, until it ends.

        Raises:
            NotFound: there is no Job (NO_JOB), or it has no pod that has started (NO_LOG).
        """
        state = self.find(run)
        if not state.pod or (state.state == "waiting" and state.reason):
            raise NotFound(f"There is no log of the run {run} yet. {state.message}", reason="NO_LOG")
        yield from self._cluster.log(state.pod, follow=follow)

    def _job(self, run: str) -> Object | None:
        """Return the Job of a run; None if there is none, or one that only has its name."""
        job = self._cluster.job(job_name(run))
        return job if job is not None and is_of(job, run) else None

    def _state(self, job: Object) -> JobState:
        name = job["metadata"]["name"]
        pods = self._cluster.pods(name)
        return state_of(job, pods, [] if pods else self._cluster.warnings(name))

    def _delete(self, job: Object) -> None:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        self._cluster.delete_job(name, uid)
        deadline = time.monotonic() + _END_SECONDS
        while (left := self._cluster.job(name)) is not None and left["metadata"]["uid"] == uid:
            if time.monotonic() >= deadline:
                raise Unavailable(
                    f"The Job {name} is being deleted, but its pod has not ended after {_END_SECONDS:.0f} s. If its "
                    "node is lost, delete the Node object (kubectl delete node), and repeat the command.",
                    reason="JOB_TERMINATING",
                )
            time.sleep(_POLL_SECONDS)

    def _foreign(self, name: str, run: str) -> Conflict:
        return Conflict(
            f"The Job {name} in the namespace {self.namespace} is not of the run {run}, and is left alone. Give the "
            "dataset another name, or choose another namespace with --namespace.",
            reason="NAME_TAKEN",
        )

    def _taken(self, name: str, run: str) -> Conflict:
        return Conflict(
            f"A run of this name goes on: the Job {name} in the namespace {self.namespace}. `facefoundry status "
            f"--dataset {run}` shows it, and `facefoundry cancel --dataset {run} --namespace {self.namespace}` stops "
            "it. Give another dataset another name.",
            reason="NAME_TAKEN",
        )


def read_template(path: Path) -> Object:
    """Read the template of a release from a file with its ConfigMap, such as the rendered chart.

    Raises:
        InvalidInput: the file cannot be read (TEMPLATE).
        NotFound: it has no template (NO_RELEASE).
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidInput(f"Cannot read the template {path}: {error}. Give a YAML file.", reason="TEMPLATE") from error
    items: Iterable[object] = documents
    if len(documents) == 1 and isinstance(documents[0], dict) and documents[0].get("kind") == "List":
        items = documents[0]["items"]
    return template_in(items, str(path))


def prepare(
    dataset_file: Path, template: Object, output: str | None, options: JobOptions
) -> tuple[Submission, ResolvedDataset]:
    """Return the submission of a dataset file, and its clips, splits and pairs; errors are as in `submit`."""
    settings = read(StoreSettings)
    frozen = freeze(dataset_file, lister(settings))
    dataset = frozen.dataset
    of_release = settings.model_copy(update={"bucket": bucket_of(template)})
    place = output or (dataset.output if is_uri(dataset.output) else dataset.name)
    return (
        Submission(dataset.name, frozen.files, DatasetPlace.of(place, of_release).uri, options),
        frozen.resolved,
    )


def objects_of(template: Object, submission: Submission) -> tuple[Object, Object]:
    """Return the ConfigMap and the Job of a submission, as `kubectl apply` takes them."""
    return config_map(template, submission), dataset_job(template, submission)


def submit(
    dataset_file: str | Path,
    *,
    output: str | None = None,
    namespace: str | None = None,
    context: str | None = None,
    kubeconfig: str | None = None,
    release: str | None = None,
    options: JobOptions | None = None,
    wait_seconds: float = 60.0,
    on_message: Callable[[str], object] = lambda _: None,
) -> JobState:
    """Start a Job in the cluster that makes the dataset that a dataset file describes.

    Clips, pairs and splits are fixed now, and travel in a ConfigMap. The Job goes on after it was killed, and what is
    finished is not made again.

    Args:
        dataset_file: The dataset file. Its clips are in a bucket.
        output: Place at which the dataset is made, `s3://bucket/datasets/NAME/`, or NAME in the release's bucket; by
            default `output` of the dataset file if that is such a place, or the name of the dataset.
        namespace: Namespace of the release; by default that of the context.
        context: Context of the kubeconfig; by default its current one.
        kubeconfig: Path of the kubeconfig; by default KUBECONFIG or ~/.kube/config.
        release: Name of the release, if the namespace has several.
        options: What the Job has instead of what the release says.
        wait_seconds: How long to wait for the start of its pod.
        on_message: Called with sentences on the clips and pairs.

    Returns:
        The state of the Job when its pod has started, or the time is over.

    Raises:
        InvalidInput: the dataset file is wrong, some of its clips are files of this machine (NOT_IN_BUCKET), or there
            is no kubeconfig (NO_KUBECONFIG).
        NotFound: the namespace has no release (NO_RELEASE).
        Conflict: a run of this name goes on, or its Job's name is taken by another Job (NAME_TAKEN).
        Denied: Kubernetes does not allow it (FORBIDDEN).
        Unavailable: the pod cannot start; the reason says why, such as IMAGE_MISSING. The Job is there, and starts when
            the cause is gone.
    """
    with Place(namespace, context, kubeconfig).open() as runs:
        template = runs.template(release)
        submission, resolved = prepare(Path(dataset_file), template, output, options or JobOptions())
        for line in resolved.findings():
            on_message(line)
        return started(runs, objects_of(template, submission), wait_seconds)


def started(runs: Runs, objects: tuple[Object, Object], wait_seconds: float) -> JobState:
    """Create the objects of a run and wait for its start; errors are as in `submit`.

    With keys of the store, what was revoked is refused here; otherwise the services refuse it.
    """
    settings, submission = read(StoreSettings), Submission.of(objects[0])
    if settings.has_keys:
        store = Store(settings.model_copy(update={"bucket": bucket_of(objects[1])}))
        refuse_revoked_dataset(store, submission.name, submission.files)
    state = runs.start(objects)
    state = runs.wait_for_start(state.run, wait_seconds)
    if state.state == "waiting" and state.reason and state.reason not in _LATE_REASONS:
        raise Unavailable(
            f"The Job {state.job} was created, but its pod cannot start. {state.message}", reason=state.reason
        )
    return state


def retry_in(
    runs: Runs, run: str, *, only_failed: bool = False, release: str | None = None, wait_seconds: float = 60.0
) -> JobState:
    """Start the Job of a run again, with what was submitted.

    Args:
        runs: The runs of a namespace.
        run: Name of the run.
        only_failed: Whether to refuse a Job whose pairs are all made. It needs the Job.
        release: As in `submit`.
        wait_seconds: As in `submit`.

    Raises:
        NotFound: the run was not submitted (NOT_SUBMITTED), or there is no Job of which to tell the end (NO_JOB).
        InvalidInput: no pair of the run has failed (NOTHING_FAILED).
        FaceFoundryError: as in `submit`.
    """
    submission = runs.submission(run)
    if only_failed and (state := runs.find(run)).state == "done":
        raise InvalidInput(f"All pairs of the run {run} are made: {state.output}.", reason="NOTHING_FAILED")
    return started(runs, objects_of(runs.template(release), submission), wait_seconds)
