"""A pod that stays because its node is lost."""

from __future__ import annotations

from datetime import UTC, datetime

from services.trainer.backends.base import JobState
from services.trainer.backends.kubernetes.objects import JobObject, Pod
from services.trainer.backends.kubernetes.status import job_status
from tests.services.trainer.backends.kubernetes_objects import job, pod


def test_a_pod_that_its_node_does_not_end_is_on_a_lost_node() -> None:
    leaving = pod("Running", state={"running": {}})
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:10:00Z"
    leaving["spec"]["nodeName"] = "gpu-7"
    parsed = JobObject.model_validate(job()), [Pod.model_validate(leaving)]
    early, late = (datetime(2026, 1, 1, 0, minute, 30, tzinfo=UTC) for minute in (10, 11))
    assert job_status(*parsed, now=early).diagnosis is None
    seen = job_status(*parsed, now=late)
    assert seen.state is JobState.RUNNING and seen.diagnosis is not None
    assert seen.diagnosis.reason == "NODE_LOST" and "kubectl delete node gpu-7" in seen.diagnosis.message
