"""The disk of a node: what pods request of it, and what they may use."""

from __future__ import annotations

from typing import Any

from tests.helm.chart import Helm, environment, pods

BASE: dict[str, Any] = {"store": {"endpoint": "s3.example.org", "existingSecret": "facefoundry-store"}}


def test_a_pod_requests_all_the_disk_that_it_may_use_and_its_sandboxes_share_less(helm: Helm):
    objects = helm.objects({**BASE, "extractor": {"settings": {"slots": 4}}})
    expected = {"extractor": 21 << 30, "converter": 21 << 30, "trainer": 4 << 30, "training-job": 11 << 30}
    found = {name: pod["containers"][0] for name, pod in pods(objects)}
    for name, size in expected.items():
        (container,) = [each for key, each in found.items() if key.endswith(name)]
        resources = container["resources"]
        assert resources["requests"]["ephemeral-storage"] == resources["limits"]["ephemeral-storage"] == str(size)
        if name != "training-job":
            slots = int(environment(container).get("FACEFOUNDRY_SLOTS", 1))
            assert slots * int(environment(container)["FACEFOUNDRY_SANDBOX_DISK_BYTES"]) < size - (1 << 30)
    own = {"limits": {"ephemeral-storage": "5Gi"}, "requests": {"ephemeral-storage": "5Gi"}}
    (kept,) = [
        pod["containers"][0]["resources"]
        for name, pod in pods(helm.objects({**BASE, "converter": {"resources": own}}))
        if name.endswith("converter")
    ]
    assert kept["limits"]["ephemeral-storage"] == kept["requests"]["ephemeral-storage"] == "5Gi"
