"""Jobs, pods and Events in the API server's JSON form."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
NAME = "training-0123-1"
POD = f"{NAME}-pod1"
REPORT = '{"reason":"NO_FACES","message":"There is no face in A.","iteration":3}\n'


def job(failed: int = 0, condition: str = "", suspended: bool = False, queue: str = "", reason: str = "") -> Object:
    conditions = [{"type": condition, "status": "True", "reason": reason, "message": "of the Job"}] if condition else []
    return {
        "metadata": {"name": NAME, "uid": "1", "labels": {"kueue.x-k8s.io/queue-name": queue} if queue else {}},
        "spec": {"suspend": suspended},
        "status": {"failed": failed, "conditions": conditions} if failed or conditions else {},
    }


def pod(phase: str, number: int = 1, state: Object | None = None, **status: Any) -> Object:
    """A pod of the worker, made at the given minute."""
    statuses = [{"name": "proxy"}, {"name": "worker", "state": state}] if state else []
    return {
        "metadata": {
            "name": f"{NAME}-pod{number}",
            "namespace": "jobs",
            "creationTimestamp": f"2026-01-01T00:{number:02}:00Z",
            "labels": {"batch.kubernetes.io/job-name": NAME},
        },
        "spec": {
            "containers": [
                {"name": "proxy"},
                {
                    "name": "worker",
                    "image": "registry/worker:1",
                    "resources": {"limits": {"nvidia.com/gpu": "1", "memory": "16Gi"}},
                },
            ]
        },
        "status": {"phase": phase, "containerStatuses": statuses, **status},
    }


def ended(code: int, reason: str = "Error", message: str = "", number: int = 1, **status: Any) -> Object:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return pod("Succeeded" if code == 0 else "Failed", number, state, **status)


def waiting(reason: str, message: str = "") -> Object:
    return pod("Pending", state={"waiting": {"reason": reason, "message": message}})


def unscheduled(message: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod("Pending", conditions=[condition])


def event(reason: str, message: str, kind: str = "Job", name: str = NAME, minute: int = 30) -> Object:
    return {
        "metadata": {"name": "event", "creationTimestamp": f"2026-01-01T00:{minute:02}:00Z"},
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": f"2026-01-01T00:{minute:02}:00Z",
    }


def refused(message: str, minute: int = 30) -> Object:
    return event("FailedCreate", f'Error creating: pods "{NAME}-x" is forbidden: {message}', minute=minute)


def claim_event(message: str) -> Object:
    return event("FailedResourceClaimCreation", f"PodResourceClaim gpu: {message}", "Pod", POD)
