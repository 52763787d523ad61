"""The chart on S3 servers that users have, which run on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny
from tests.cluster.devices import claims_of, device_class
from tests.cluster.fakes import assert_is_a_fake
from tests.cluster.release import command
from tests.cluster.stores import client_variables, installed, running_server
from tests.cluster.submitted import SubmittedRun
from tests.waiting import wait_until


def test_a_submitted_run_outlives_its_pod_and_the_trainers_and_is_fetched_from_the_bucket(
    clips: Path, tmp_path: Path
) -> None:
    """A pair of clips in a bucket of VersityGW, where each component has an account; a DRA driver hands out GPUs.

    Trainers that the run watches are deleted, then its own pod.
    """
    given = {name: clips / f"{name}.mp4" for name in ("astronaut", "hopper")}
    with (
        running_server("versitygw", tmp_path / "server") as server,
        device_class() as devices,
        installed(server, tmp_path, worker={"gpu": {"claim": {"deviceClass": devices}}}) as release,
        release.reached() as addresses,
    ):
        environment = {**addresses, **client_variables(server)}
        run = SubmittedRun(release, environment, tmp_path, given, [["astronaut", "hopper"]], iterations=400)
        submitted = run.submit()
        wait_until(lambda: int(run.training().get("iteration", 0)) > 0, seconds=300)
        for pod in release.pods("trainer"):
            release.core.delete_namespaced_pod(pod.metadata.name, release.namespace)
        release.wait()
        (still,) = release.pods("dataset")
        assert still.metadata.name == submitted.pod and still.status.phase == "Running"
        release.core.delete_namespaced_pod(still.metadata.name, release.namespace)
        ended = run.wait_until_done(400)["run"]
        assert ended["job"]["pod"] != submitted.pod
        assert (ended["record"]["done"], ended["record"]["failures"]) == (1, {})
        out = tmp_path / "out"
        fetched = command(environment, "fetch", submitted.run, out)
        assert fetched.returncode == 0, fetched.stderr + fetched.stdout
        for target, source in (("astronaut", "hopper"), ("hopper", "astronaut")):
            assert_is_a_fake(out, given[target], f"{target}_{source}")
        workers = release.pods("worker")
        assert claims_of(workers) == ["gpu"]
        assert all("nvidia.com/gpu" not in pod.spec.containers[0].resources.limits for pod in workers)
        assert not release.core.list_namespaced_persistent_volume_claim(release.namespace).items


@pytest.mark.usefixtures("full")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["minio", "garage"])
def test_a_pair_is_made_twice_with_the_same_files(name: str, clips: Path, tmp_path: Path) -> None:
    """Clips and results pass by URLs that the server signed, so the caller needs no keys."""
    fakes = "manipulated_sequences/Deepfakes/raw/videos"
    made = []
    with (
        running_server(name, tmp_path / "server") as server,
        installed(server, tmp_path) as release,
        release.reached() as variables,
    ):
        for out in (tmp_path / "first", tmp_path / "second"):
            arguments = ["-i", clips, "-o", out, "-it", 60, "--convert_images", *tiny.flags()]
            ended = command(variables, "generate-models", *arguments)
            assert ended.returncode == 0, ended.stderr + ended.stdout[-3000:]
            made.append({file.name: file.read_bytes() for file in (out / fakes).iterdir()})
        status = command(variables, "status")
        assert status.returncode == 0, status.stdout + status.stderr
    assert made[0] == made[1]
    assert sorted(made[0]) == ["astronaut_hopper.mp4", "hopper_astronaut.mp4"]
