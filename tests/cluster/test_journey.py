"""The whole product on a cluster: the chart with its bundled store, real images, trainings as Jobs that ask for a GPU.

The tests share one release and run in this order; the last one removes it.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kubernetes import client as kubernetes

from facefoundry.storage import keys, manifest
from tests.cluster.fakes import assert_is_a_fake
from tests.cluster.release import Release, command, kill_worker, store
from tests.cluster.trainings import FAILED, QUEUED, RUNNING, Trainings
from tests.waiting import wait_until

LONG = 900


def test_helm_test_is_green(release: Release) -> None:
    ended = release.helm.run("test", release.name, "--namespace", release.namespace, "--logs", "--timeout", "100s")
    assert ended.returncode == 0, ended.stderr + ended.stdout


def test_every_pod_is_admitted_under_restricted_pod_security(release: Release) -> None:
    for component in ("extractor", "trainer", "converter", "minio"):
        assert release.pods(component), component


def test_a_pair_goes_through_the_services_into_a_dataset(dataset: Path, clips: Path) -> None:
    for target, source in (("astronaut", "hopper"), ("hopper", "astronaut")):
        assert_is_a_fake(dataset, clips / f"{target}.mp4", f"{target}_{source}")
    assert (dataset / "report.html").is_file()


def test_killed_and_evicted_workers_resume_and_an_eviction_does_not_count_as_a_failure(trainings: Trainings) -> None:
    killed, evicted = (trainings.start(seed, iterations=LONG) for seed in (1, 2))
    checkpoints, victims = [], []
    for training in (killed, evicted):
        checkpoints.append(trainings.wait(training, lambda seen: seen.checkpoint_iteration > 0).checkpoint_iteration)
        victims += trainings.workers(training)
        if training == killed:
            kill_worker(victims[0])
        else:
            trainings.evict(victims[1])
    for training, victim, checkpoint in zip((killed, evicted), victims, checkpoints, strict=True):
        trainings.assert_resumed(training, victim, checkpoint, LONG)
    assert trainings.job(killed).status.failed == 1
    assert not trainings.job(evicted).status.failed


def test_bad_input_fails_the_job_at_once_and_the_reason_reaches_the_caller_and_the_command(
    release: Release, trainings: Trainings, environment: dict[str, str]
) -> None:
    objects = store(environment)
    extraction = manifest.load(objects, keys.prefix_of(objects.bucket, trainings.extractions[0], "extractions"))
    faces = next(part for part in extraction.parts if part.name.startswith("faces-"))
    whole = objects.get_bytes(faces.key)
    objects.put_bytes(faces.key, whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        failed = trainings.end(trainings.start(seed=3), FAILED)
    finally:
        objects.put_bytes(faces.key, whole)
    assert failed.failure.reason == "DIGEST_MISMATCH"
    assert faces.key in failed.failure.message
    assert trainings.job(failed).status.failed == 1
    seen = json.loads(command(environment, "status", "--json").stdout)["trainings"]
    assert failed.failure.message in [row.get("failure", {}).get("message") for row in seen]
    assert trainings.start(seed=3).attempt == 2, "with the input whole again, the same request starts again"


def test_three_at_once_on_two_gpus_are_two_running_and_one_queued_and_all_end(trainings: Trainings) -> None:
    three = [trainings.start(seed, iterations=300) for seed in (11, 12, 13)]

    def states() -> list[int]:
        return sorted(trainings.client.get_training(training.uri).state for training in three)

    wait_until(lambda: states() == sorted([QUEUED, RUNNING, RUNNING]))
    (waiting,) = (training for training in three if trainings.client.get_training(training.uri).state == QUEUED)
    wait_until(
        lambda: (
            trainings.client.get_training(waiting.uri).diagnosis.reason == "NO_FREE_GPU"
            or trainings.client.get_training(waiting.uri).state != QUEUED
        )
    )
    for training in three:
        trainings.end(training)


def test_the_same_request_twice_is_one_job_and_cancelling_leaves_no_pod(
    trainings: Trainings, environment: dict[str, str]
) -> None:
    other = Trainings(trainings.release, trainings.dataset, environment)
    with other.client, ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda asking: asking.start(seed=21, iterations=100_000), (trainings, other)))
    training = both[0]
    assert training.uri == both[1].uri and training.attempt == both[1].attempt == 1
    name = trainings.job(training).metadata.name
    trainings.wait(training, lambda seen: seen.state == RUNNING)
    trainings.client.cancel_training(training.uri)
    wait_until(lambda: not trainings.release.jobs_of(training.uri))
    wait_until(lambda: not trainings.release.pods_of_job(name))


@pytest.mark.usefixtures("full")
def test_a_worker_over_its_memory_limit_is_reported_out_of_memory(release: Release, trainings: Trainings) -> None:
    small = {"resources": {"requests": {"memory": "100Mi"}, "limits": {"memory": "200Mi"}}}
    with release.changed(worker=small), release.reached() as variables:
        after = Trainings(release, trainings.dataset, variables)
        training = after.start(seed=31)
        seen = after.wait(training, lambda seen: seen.diagnosis.reason == "OUT_OF_MEMORY")
        assert "200Mi" in seen.diagnosis.message
        after.client.cancel_training(training.uri)


def test_uninstalling_leaves_bucket_jobs_namespace_and_running_jobs(release: Release, dataset: Path) -> None:
    with release.reached() as variables:
        assert list(store(variables).list("models/"))
        trainings = Trainings(release, dataset, variables)
        running = trainings.start(seed=41, iterations=100_000)
        trainings.wait(running, lambda seen: seen.state == RUNNING)
    release.uninstall()
    assert [pod.status.phase for pod in trainings.workers(running)] == ["Running"]
    claims = release.core.list_namespaced_persistent_volume_claim(release.namespace).items
    assert f"data-{release.of('minio')}-0" in {claim.metadata.name for claim in claims}
    wait_until(lambda: not release.core.list_namespaced_service(release.namespace).items)
    for kind in (release.apps.list_namespaced_deployment, release.apps.list_namespaced_stateful_set):
        assert not kind(release.namespace).items
    assert not kubernetes.RbacAuthorizationV1Api().list_namespaced_role(release.jobs).items
