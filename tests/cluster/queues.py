"""A queue of Kueue as `k8s/examples/kueue.yaml` has it, for the nodes of a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from kubernetes import client

from tests.helm.chart import ROOT
from tests.waiting import wait_until

GROUP, VERSION = "kueue.x-k8s.io", "v1beta2"
QUEUE = "trainings"


def has_kueue() -> bool:
    """Whether Kueue is installed."""
    return GROUP in [group.name for group in client.ApisApi().get_api_versions().groups]


def need_kueue() -> None:
    """Skip where Kueue is not installed."""
    if not has_kueue():
        pytest.skip("no Kueue: tests/cluster/single-node/single-node.sh queues")


def queued(priority: str, lasting: bool = False) -> Callable[[dict[str, Any]], None]:
    """What makes a Job template one of the queue; for `ClusterWorkers.template`.

    Args:
        priority: Name of the priority.
        lasting: Whether pods last for hours on nodes that only seem to run them, instead of some seconds.
    """

    def edit(job: dict[str, Any]) -> None:
        job["metadata"]["labels"] |= {
            "kueue.x-k8s.io/queue-name": QUEUE,
            "kueue.x-k8s.io/priority-class": priority,
        }
        if lasting:
            pod = job["spec"]["template"].setdefault("metadata", {})
            pod["annotations"] = {f"pod-complete.stage.kwok.x-k8s.io/{key}": "9h" for key in ("delay", "jitter-delay")}

    return edit


class Queues:
    """The example's queue in a namespace: one flavor for nodes of these labels, some GPUs, and priorities.

    Attributes:
        low: Name of the lower priority.
        high: Name of the higher priority.
    """

    def __init__(self, namespace: str, gpus: int, labels: dict[str, str]) -> None:
        self._api = client.CustomObjectsApi()
        self._namespace = namespace
        self._made: list[tuple[str, str]] = []
        objects = list(yaml.safe_load_all((ROOT / "k8s/examples/kueue.yaml").read_text()))
        flavor = next(item for item in objects if item["kind"] == "ResourceFlavor")
        flavor["spec"] = {"nodeLabels": labels, "tolerations": [{"operator": "Exists"}]}
        (cluster_queue,) = (item for item in objects if item["kind"] == "ClusterQueue")
        cluster_queue["spec"]["namespaceSelector"]["matchLabels"] = {"kubernetes.io/metadata.name": namespace}
        (group,) = cluster_queue["spec"]["resourceGroups"]
        group["flavors"] = [{**group["flavors"][0], "name": self._own(flavor)}]
        group["flavors"][0]["resources"][0]["nominalQuota"] = gpus
        (local,) = (item for item in objects if item["kind"] == "LocalQueue")
        local["metadata"]["namespace"] = namespace
        local["spec"]["clusterQueue"] = self._own(cluster_queue)
        classes = [item for item in objects if item["kind"] == "WorkloadPriorityClass"]
        self.low, self.high = (self._own(item) for item in sorted(classes, key=lambda item: item["value"]))
        for item, plural in [
            (flavor, "resourceflavors"),
            (cluster_queue, "clusterqueues"),
            *((item, "workloadpriorityclasses") for item in classes),
        ]:
            self._api.create_cluster_custom_object(GROUP, VERSION, plural, item)
            self._made.append((plural, item["metadata"]["name"]))
        self._api.create_namespaced_custom_object(GROUP, VERSION, namespace, "localqueues", local)
        self._name = cluster_queue["metadata"]["name"]

    def used(self) -> int:
        """GPUs of admitted Jobs."""
        queue: Any = self._api.get_cluster_custom_object(GROUP, VERSION, "clusterqueues", self._name)
        return sum(
            int(resource["total"])
            for flavor in queue.get("status", {}).get("flavorsUsage", [])
            for resource in flavor["resources"]
            if resource["name"] == "nvidia.com/gpu"
        )

    def allow(self, gpus: int) -> None:
        """Change the quota."""
        path = "/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota"
        change = [{"op": "replace", "path": path, "value": str(gpus)}]
        self._api.patch_cluster_custom_object(
            GROUP, VERSION, "clusterqueues", self._name, change, _content_type="application/json-patch+json"
        )

    def remove(self) -> None:
        """Remove it; Kueue keeps a queue and a flavor until no Job holds quota."""
        for plural, name in reversed(self._made):
            self._api.delete_cluster_custom_object(GROUP, VERSION, plural, name)
        wait_until(lambda: not self._left(), seconds=120)

    def _left(self) -> list[str]:
        queues: Any = self._api.list_cluster_custom_object(GROUP, VERSION, "clusterqueues")
        return [item["metadata"]["name"] for item in queues["items"] if item["metadata"]["name"] == self._name]

    def _own(self, item: dict[str, Any]) -> str:
        """Give a cluster-wide object a name that only this namespace uses."""
        item["metadata"]["name"] += f"-{self._namespace}"
        return str(item["metadata"]["name"])
