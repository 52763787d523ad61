"""One release of the chart for a module of tests, and light workers for those that need no real ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import tiny
from tests.cluster.processes import request_for_a_pair, trainer
from tests.cluster.release import Release, command
from tests.cluster.trainings import NETWORK, Trainings
from tests.cluster.workers import ClusterWorkers, Make, need_cluster
from tests.waiting import wait_until

__all__ = ["request_for_a_pair", "trainer"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip without a cluster before any fixture starts something.

    The longest files go first where files run side by side.
    """
    if not os.environ.get("FACEFOUNDRY_CLUSTER_FULL"):
        items.sort(key=lambda item: item.path.name not in ("test_journey.py", "test_stores.py"))
    for item in items:
        if HERE in item.path.parents and not os.environ.get("FACEFOUNDRY_TEST_CLUSTER"):
            item.add_marker(pytest.mark.skip(reason="needs a cluster: make test-cluster"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterWorkers]:
    """A namespace whose light workers behave as their mode says."""
    need_cluster()
    made = ClusterWorkers(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make(cluster: ClusterWorkers, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a backend of the trainer's account."""
    return lambda mode="done", **changes: cluster.backend(mode, monkeypatch, **changes)


@pytest.fixture(scope="session")
def full() -> None:
    """For tests that take many minutes."""
    if not os.environ.get("FACEFOUNDRY_CLUSTER_FULL"):
        pytest.skip("part of make test-cluster-full")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    need_cluster()
    made = Release(tmp_path_factory.mktemp("release"))
    try:
        made.install(store={"publicEndpoint": f"http://{made.store_here}"})
        made.wait()
        yield made
    finally:
        made.remove()


@pytest.fixture
def environment(release: Release) -> Iterator[dict[str, str]]:
    """Variables with which this machine reaches the release."""
    with release.reached() as variables:
        yield variables


@pytest.fixture(scope="module")
def dataset(release: Release, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One pair through the services without keys of the store: extracted, trained as a Job, converted, fetched.

    Afterwards URLs name the store as pods reach it.
    """
    out = tmp_path_factory.mktemp("out")
    with release.reached(release.store_port) as known, ThreadPoolExecutor(1) as pool:
        variables = {name: value for name, value in known.items() if not name.startswith("FACEFOUNDRY_STORE")}
        recipe = tiny.flags(**NETWORK, extraction__identity=False)
        arguments = ["-i", clips, "-o", out, "-it", 60, *recipe, "--convert_images", "--json"]
        run = pool.submit(command, variables, "generate-models", *arguments)
        wait_until(lambda: bool(release.batch.list_namespaced_job(release.jobs).items) or run.done(), seconds=300)
        for job in release.batch.list_namespaced_job(release.jobs).items:
            limits = job.spec.template.spec.containers[0].resources.limits
            assert limits["nvidia.com/gpu"] == "1"
        ended = run.result()
    assert ended.returncode == 0, ended.stderr + ended.stdout[-3000:]
    release.upgrade(store={"publicEndpoint": ""})
    return out


@pytest.fixture
def trainings(release: Release, dataset: Path, environment: dict[str, str]) -> Iterator[Trainings]:
    made = Trainings(release, dataset, environment)
    with made.client:
        yield made
