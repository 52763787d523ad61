"""Devices that a driver of dynamic resource allocation (DRA) hands out: Kubernetes' own test driver."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes import client

DRIVER = "test-driver.cdi.k8s.io"


@contextmanager
def device_class() -> Iterator[str]:
    """A DeviceClass of the driver's devices for the time of the block; yields its name."""
    classes, name = client.ResourceV1Api(), f"driven-{secrets.token_hex(4)}"
    if not classes.list_resource_slice(field_selector=f"spec.driver={DRIVER}").items:
        pytest.skip("no DRA driver: tests/cluster/single-node/single-node.sh devices 2")
    selector = {"cel": {"expression": f"device.driver == '{DRIVER}'"}}
    classes.create_device_class({"metadata": {"name": name}, "spec": {"selectors": [selector]}})
    try:
        yield name
    finally:
        classes.delete_device_class(name)


def claims_of(pods: Iterable[Any]) -> list[str]:
    """Names of the claims for which pods were given devices."""
    return [claim.name for pod in pods for claim in pod.status.resource_claim_statuses or ()]
