"""S3 servers that run on this machine, and releases of the chart that use one.

Each component has an account of its own, where the server has accounts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from facefoundry.settings import StoreSettings
from facefoundry.storage.servers import SERVERS, prepare
from tests.cluster.release import SERVICES, Release
from tests.cluster.workers import need_cluster
from tests.stores.servers import KINDS, Running


@contextmanager
def running_server(name: str, folder: Path) -> Iterator[Running]:
    """A server with a bucket that is prepared as `facefoundry bucket setup` does, for the time of the block."""
    need_cluster()
    kind, host = KINDS[name], os.environ.get("FACEFOUNDRY_CLUSTER_HOST")
    if not host:
        pytest.skip("set FACEFOUNDRY_CLUSTER_HOST to the address at which pods reach this machine")
    if not kind.program.exists():
        pytest.skip(f"{kind.program} does not exist: tests/stores/servers.sh builds it")
    with kind.running(folder, host) as running:
        report = prepare(running.settings, SERVERS[kind.name], running.accounts)
        assert not report.lacking and not report.excessive
        yield running


@contextmanager
def installed(server: Running, folder: Path, **values: Any) -> Iterator[Release]:
    """The chart with a server for the time of the block; `values` are more of the chart's."""
    release = Release(folder)
    settings = server.settings
    store = {"endpoint": settings.endpoint, "secure": False, "region": settings.region, "existingSecret": "store"}
    if server.accounts:
        store["signerSecret"] = "store-signer"
        for component in (*SERVICES, "worker"):
            values[component] = values.get(component, {}) | {"storeSecret": f"store-{component}"}
        values["dataset"] = values.get("dataset", {}) | {"storeSecret": "store-client"}
    try:
        release.install(minio={"enabled": False}, store=store, **values)
        for namespace in (release.namespace, release.jobs):
            _add_keys(release, namespace, "store", settings)
            for name, account in server.accounts.items():
                _add_keys(release, namespace, f"store-{name}", account)
        release.wait()
        yield release
    finally:
        release.remove()


def _add_keys(release: Release, namespace: str, name: str, account: StoreSettings) -> None:
    keys = {
        "access-key": account.access_key.get_secret_value(),
        "secret-key": account.secret_key.get_secret_value(),
    }
    release.core.create_namespaced_secret(namespace, {"metadata": {"name": name}, "stringData": keys})


def client_variables(server: Running) -> Mapping[str, str]:
    """Variables with which the client reaches a server from this machine."""
    account = server.accounts.get("client", server.settings)
    return {
        "FACEFOUNDRY_STORE_ENDPOINT": account.endpoint,
        "FACEFOUNDRY_STORE_SECURE": "false",
        "FACEFOUNDRY_STORE_REGION": account.region,
        "FACEFOUNDRY_STORE_BUCKET": account.bucket,
        "FACEFOUNDRY_STORE_ACCESS_KEY": account.access_key.get_secret_value(),
        "FACEFOUNDRY_STORE_SECRET_KEY": account.secret_key.get_secret_value(),
    }
