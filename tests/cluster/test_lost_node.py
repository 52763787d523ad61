"""A node that is lost with its worker: the training goes on elsewhere. Part of make test-cluster-full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.trainer.backends.base import JobState
from tests.cluster.workers import ClusterWorkers, Make, wait_for
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("full")

URI = "s3://bucket/trainings/x/attempt.json"
LABEL = "facefoundry-test"
OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


class Node:
    """A Node object without a machine: its kubelet, which this test plays, ends no pod."""

    def __init__(self, cluster: ClusterWorkers) -> None:
        self.name = f"lost-{cluster.namespace}"
        self._cluster, self._core = cluster, cluster.core
        self._core.create_node({"metadata": {"name": self.name, "labels": {LABEL: cluster.namespace}}})
        self._report(ready="True")

    def _report(self, ready: str) -> None:
        room = {"cpu": "4", "memory": "8Gi", "pods": "10"}
        condition = {"type": "Ready", "status": ready, "reason": "Test", "message": ""}
        self._core.patch_node_status(
            self.name, {"status": {"capacity": room, "allocatable": room, "conditions": [condition]}}
        )

    def run(self, pod: Any) -> None:
        """Report that a pod runs."""
        state = {"name": "worker", "ready": True, "restartCount": 0, "image": "", "imageID": ""}
        status = {"phase": "Running", "containerStatuses": [state | {"state": {"running": {}}}]}
        self._core.patch_namespaced_pod_status(pod.metadata.name, self._cluster.namespace, {"status": status})

    def lose(self) -> None:
        """Let the node answer no more."""
        self._report(ready="Unknown")

    def taint(self) -> None:
        """Say that it does not come back."""
        self._core.patch_node(self.name, {"spec": {"taints": [OUT_OF_SERVICE]}})

    def delete(self) -> None:
        """Remove the object."""
        self._core.delete_node(self.name)


@pytest.fixture
def node(cluster: ClusterWorkers) -> Iterator[Node]:
    made = Node(cluster)
    yield made
    if made.name in [found.metadata.name for found in cluster.core.list_node().items]:
        made.delete()


@pytest.mark.parametrize("give_up", [Node.taint, Node.delete], ids=["tainted out-of-service", "deleted"])
def test_a_worker_of_a_lost_node_is_started_elsewhere_once_the_node_is_given_up(
    cluster: ClusterWorkers, make: Make, node: Node, give_up: Callable[[Node], None]
) -> None:
    def here(job: dict[str, Any]) -> None:
        job["spec"]["template"]["spec"]["nodeSelector"] = {LABEL: cluster.namespace}

    backend = make("hang", edit=here, restarts=0)
    backend.start("job", URI)
    (lost,) = wait_until(lambda: [pod for pod in cluster.pods("job") if pod.spec.node_name], seconds=60)
    assert lost.spec.node_name == node.name
    node.run(lost)
    wait_for(backend, "job", JobState.RUNNING, seconds=60)
    node.lose()
    another = cluster.core.list_node(label_selector="type!=kwok," + LABEL + "!=" + cluster.namespace).items[0]
    cluster.core.patch_node(another.metadata.name, {"metadata": {"labels": {LABEL: cluster.namespace}}})
    try:
        give_up(node)
        (found,) = wait_until(
            lambda: [
                pod
                for pod in cluster.pods("job")
                if pod.spec.node_name == another.metadata.name and pod.status.phase == "Running"
            ],
            seconds=180,
        )
        assert found.metadata.uid != lost.metadata.uid
        assert wait_for(backend, "job", JobState.RUNNING, seconds=60).restarts == 0
    finally:
        cluster.core.patch_node(another.metadata.name, {"metadata": {"labels": {LABEL: None}}})
