"""The state of a Job, from what Kubernetes reports."""

from __future__ import annotations

from typing import Any

import pytest

from facefoundry.cluster.manifests import Submission, dataset_job, template_in
from facefoundry.cluster.states import JobState, state_of
from tests.facefoundry.cluster.api_server import ApiServer


@pytest.fixture
def job(template: dict[str, Any]) -> dict[str, Any]:
    made = dataset_job(template_in([template], "here"), Submission("faces", {"dataset.yaml": b""}, "s3://b/d/"))
    made["metadata"]["uid"] = "uid"
    return made


def _pod(job: dict[str, Any], **status: Any) -> dict[str, Any]:
    return ApiServer().run_pod(job, **status)


def _waiting(reason: str, message: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"name": "dataset", "state": state}]}


def _ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "message": message, "reason": reason}}
    return {"phase": "Failed", "containerStatuses": [{"name": "dataset", "state": state}]}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (_waiting("ImagePullBackOff", "not found"), "IMAGE_MISSING", "cannot pull the image localhost/facefoundry/cli"),
        (_waiting("CreateContainerConfigError", 'secret "s" not found'), "POD_NOT_STARTED", 'secret "s" not found'),
        (_waiting("ContainerCreating", ""), "", "is starting"),
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]},
            "NO_NODE",
            "0/1 nodes Lower --cpu or --memory",
        ),
        (_ended(1, '{"event": "error", "message": "No store."}'), "", "exit code 1: No store. Another pod follows"),
        (_ended(137, reason="OOMKilled"), "", "raise it with --memory"),
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low."}, "", "The node was low."),
    ],
)
def test_a_job_that_waits_says_for_what(job: dict[str, Any], status: dict[str, Any], reason: str, words: str) -> None:
    state = state_of(job, [_pod(job, **status)])
    assert (state.state, state.reason) == ("waiting", reason)
    assert words in state.message
    assert not state.ended


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (3, "SOME_FAILED", "retry --failed"),
        (2, "INPUT", "No clip. Correct the dataset file"),
        (1, "JOB_FAILED", "BackoffLimitExceeded. The command ended with exit code 1: No clip. `facefoundry retry`"),
    ],
)
def test_a_job_that_failed_says_why(job: dict[str, Any], code: int, reason: str, words: str) -> None:
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    job["status"] = {"failed": 1, "conditions": [condition]}
    state = state_of(job, [_pod(job, **_ended(code, 'line\n{"event": "error", "message": "No clip."}'))])
    assert (state.state, state.reason, state.pods_failed, state.ended) == ("failed", reason, 1, True)
    assert words in state.message


def test_the_newest_pod_counts_and_pods_of_an_earlier_job_do_not(job: dict[str, Any]) -> None:
    api = ApiServer()
    pods = [api.run_pod(job, **_ended(1)), api.run_pod(job)]
    other = api.run_pod({**job, "metadata": {**job["metadata"], "uid": "other"}}, phase="Pending")
    state = state_of(job, [other, *reversed(pods)])
    assert (state.state, state.pod) == ("running", pods[1]["metadata"]["name"])


def test_without_a_pod_the_newest_warning_is_told(job: dict[str, Any]) -> None:
    assert state_of(job, []) == JobState(
        "faces", "faces", "dataset-faces", "s3://b/d/", "waiting", "", "Its pod is being made."
    )
    refused = state_of(job, [], ["older", "exceeded quota"])
    assert refused.reason == "POD_REFUSED" and "exceeded quota" in refused.message


def test_a_pod_that_does_not_go_names_its_node(job: dict[str, Any]) -> None:
    pod = _pod(job)
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pod["spec"] = {**pod["spec"], "nodeName": "gpu-7"}
    assert "kubectl delete node gpu-7" in state_of(job, [pod]).message


def test_a_job_that_is_done_and_one_that_is_suspended(job: dict[str, Any]) -> None:
    job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert state_of(job, []).state == "done"
    job["status"], job["spec"]["suspend"] = {}, True
    assert state_of(job, []).reason == "SUSPENDED"
