"""Trainings in a queue of Kueue: the labels of Jobs, and what the trainer may read."""

from __future__ import annotations

from typing import Any

from tests.helm.chart import Helm, training_job

BASE: dict[str, Any] = {"store": {"endpoint": "s3.example.org", "existingSecret": "facefoundry-store"}}
QUEUE = {"queueName": "trainings", "queuePriorityClassName": "low"}


def _rights(helm: Helm, values: dict[str, Any]) -> set[tuple[str, str]]:
    """Resources and verbs of the trainer's role."""
    (role,) = (item for item in helm.objects(values) if item["kind"] == "Role")
    return {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def test_jobs_have_the_queue_and_the_priority_of_the_values(helm: Helm):
    labels = training_job(helm.objects(BASE | {"worker": QUEUE}))["metadata"]["labels"]
    kueue = {key: value for key, value in labels.items() if "kueue" in key}
    assert kueue == {"kueue.x-k8s.io/queue-name": "trainings", "kueue.x-k8s.io/priority-class": "low"}
    without = training_job(helm.objects(BASE | {"worker": {"queuePriorityClassName": "low"}}))
    assert not [key for key in without["metadata"]["labels"] if "kueue" in key]


def test_only_with_a_queue_the_trainer_may_read_what_kueue_says(helm: Helm):
    assert _rights(helm, BASE | {"worker": QUEUE}) - _rights(helm, BASE) == {
        ("workloads", "list"),
        ("workloads", "watch"),
        ("localqueues/pendingworkloads", "get"),
    }
