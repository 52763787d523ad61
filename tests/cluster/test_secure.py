"""A store of one's own with TLS, and services with mutual TLS, through the chart. Part of make test-cluster-full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.certificates import Authority
from tests.cluster.release import REPOSITORY, SERVICES, TAG, Release, command, store
from tests.cluster.workers import need_cluster

pytestmark = [pytest.mark.usefixtures("full"), pytest.mark.timeout(1800)]

KEYS = {"access-key": "someone", "secret-key": "something-long"}


@pytest.fixture
def secured(tmp_path: Path, authority: Authority) -> Iterator[Release]:
    """The chart as docs/operations.md has it for production, and an S3 server with TLS that is not the chart's."""
    need_cluster()
    release = Release(tmp_path)
    try:
        endpoint = f"{release.of('s3')}.{release.namespace}.svc"
        release.install(
            minio={"enabled": False},
            store={
                "endpoint": f"{endpoint}:9000",
                "publicEndpoint": f"https://{release.store_here}",
                "existingSecret": "store",
                "caConfigMap": "store-ca",
            },
            tls={"existingSecret": "services", "mutual": True},
        )
        core, here = release.core, release.namespace
        for namespace in (here, release.jobs):
            core.create_namespaced_secret(namespace, {"metadata": {"name": "store"}, "stringData": KEYS})
            ca = {"metadata": {"name": "store-ca"}, "data": {"ca.crt": authority.file.read_text()}}
            core.create_namespaced_config_map(namespace, ca)
        hosts = [f"{release.of(service)}.{here}.svc" for service in SERVICES]
        tls = _texts(authority, "services", hosts, "tls.crt", "tls.key") | {"ca.crt": authority.file.read_text()}
        core.create_namespaced_secret(here, {"metadata": {"name": "services"}, "stringData": tls})
        start_s3(release, _texts(authority, "s3", [endpoint], "public.crt", "private.key"))
        with release.forward("s3", 9000) as port:
            store(store_variables(authority, port)).make_bucket()
        release.wait()
        yield release
    finally:
        release.remove()


def _texts(authority: Authority, name: str, hosts: list[str], *keys: str) -> dict[str, str]:
    files = authority.issue(name, hosts=hosts)
    return {key: file.read_text() for key, file in zip(keys, files, strict=True)}


def start_s3(release: Release, certificate: dict[str, str]) -> None:
    """A MinIO with TLS, in the release's namespace but no part of the release."""
    name, here = release.of("s3"), release.namespace
    release.core.create_namespaced_secret(here, {"metadata": {"name": name}, "stringData": certificate})
    account = zip(("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"), KEYS.values(), strict=True)
    container: dict[str, Any] = {
        "name": "s3",
        "image": f"{REPOSITORY}/objectstore-dev:{TAG or '0.1.0'}",
        "args": ["server", "/data", "--address", ":9000", "--certs-dir", "/certs"],
        "env": [{"name": name, "value": value} for name, value in (*account, ("HOME", "/tmp"))],
        "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "certificate", "mountPath": "/certs"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    spec = {
        "containers": [container],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "certificate", "secret": {"secretName": name}},
        ],
    }
    labels = {"name": name}
    release.core.create_namespaced_pod(here, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    service = {"metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": 9000}]}}
    release.core.create_namespaced_service(here, service)
    release.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")


def store_variables(authority: Authority, port: int) -> dict[str, str]:
    return {
        "FACEFOUNDRY_STORE_ENDPOINT": f"127.0.0.1:{port}",
        "FACEFOUNDRY_STORE_SECURE": "true",
        "FACEFOUNDRY_STORE_CA_FILE": str(authority.file),
        "FACEFOUNDRY_STORE_BUCKET": "facefoundry",
        "FACEFOUNDRY_STORE_ACCESS_KEY": KEYS["access-key"],
        "FACEFOUNDRY_STORE_SECRET_KEY": KEYS["secret-key"],
    }


@contextmanager
def reached(release: Release, authority: Authority) -> Iterator[dict[str, str]]:
    """As `Release.reached`, with a certificate of the caller's own, and without keys of the store."""
    certificate, key = authority.issue("caller")
    with release.reached() as addresses, release.forward("s3", 9000, release.store_port):
        yield {
            **addresses,
            "FACEFOUNDRY_STORE_CA_FILE": str(authority.file),
            "FACEFOUNDRY_CA_FILE": str(authority.file),
            "FACEFOUNDRY_CLIENT_CERT_FILE": str(certificate),
            "FACEFOUNDRY_CLIENT_KEY_FILE": str(key),
        }


def test_a_pair_goes_through_services_and_a_store_with_tls_and_strangers_are_kept_out(
    secured: Release, authority: Authority, clips: Path, tmp_path: Path
) -> None:
    ended = secured.helm.run("test", secured.name, "--namespace", secured.namespace, "--logs", "--timeout", "100s")
    assert ended.returncode == 0, ended.stderr + ended.stdout
    with reached(secured, authority) as variables:
        arguments = ["-i", clips, "-o", tmp_path / "out", "-it", 60, "--convert_images"]
        made = command(variables, "generate-models", *arguments, *tiny.flags())
        assert made.returncode == 0, made.stderr + made.stdout[-3000:]
        fakes = tmp_path / "out/manipulated_sequences/Deepfakes/raw/videos"
        assert sorted(file.name for file in fakes.iterdir()) == ["astronaut_hopper.mp4", "hopper_astronaut.mp4"]

        stranger = {name: value for name, value in variables.items() if "_CLIENT_" not in name}
        refused = command(stranger, "status")
        assert refused.returncode == 1 and "UNAVAILABLE" in refused.stdout + refused.stderr
