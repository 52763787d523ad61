"""What takes many minutes on a cluster, through the chart: load, upgrades and lost pods in the midst of work, and what
the command reports of a wrong installation. Part of make test-cluster-full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from tests.cluster.queues import QUEUE, Queues, need_kueue
from tests.cluster.release import Release, command
from tests.cluster.submitted import SubmittedRun
from tests.cluster.trainings import QUEUED, RUNNING, Trainings
from tests.waiting import wait_until

pytestmark = [pytest.mark.usefixtures("full"), pytest.mark.timeout(1800)]

LONG = 3000

# Calls of an in-cluster client that go on until its pod is deleted: every padding is an extraction of its own.
LOAD = """
import itertools, sys, threading
from facefoundry import recipes
from facefoundry.client import Client
from facefoundry.settings import ChannelSettings, read
counter = itertools.count()
def work(client):
    for number in counter:
        recipe = recipes.resolve(recipes.load("preview"))
        recipe.extraction.padding = number % 96
        recipe.extraction.detect_every = 1 + number // 96
        client.extract(sys.argv[1], "astronaut", recipe)
        print("extracted", number, flush=True)
clients = [Client(read(ChannelSettings)) for _ in range(6)]
threads = [threading.Thread(target=work, args=(client,)) for client in clients]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_load_adds_extractors_that_take_their_share_and_they_go_when_it_ends(release: Release, dataset: Path) -> None:
    def extractors() -> int:
        return len([pod for pod in release.pods("extractor") if pod.status.phase == "Running"])

    # The autoscaler must not see the load of the dataset's own extractions.
    wait_until(lambda: release.cpu("extractor") < 0.05, seconds=300, every=5)
    with release.changed(extractor={"autoscaling": {"enabled": True, "maxReplicas": 3}}):
        assert extractors() == 1
        record = RunFolder(FfppLayout(dataset).run_folder()).load_run()
        release.run_in_pod("load", "python3", "-c", LOAD, record.sequences["astronaut"].source_uri)
        wait_until(lambda: extractors() == 3, seconds=300, failure=lambda: release.kubectl("logs", "load"))

        def called(pod: Any) -> bool:
            return "/Extract" in release.core.read_namespaced_pod_log(pod.metadata.name, release.namespace)

        wait_until(lambda: all(called(pod) for pod in release.pods("extractor")), seconds=180)
        release.core.delete_namespaced_pod("load", release.namespace, grace_period_seconds=0)
        wait_until(lambda: extractors() == 1, seconds=900)


def test_an_upgrade_leaves_running_trainings_alone(release: Release, trainings: Trainings) -> None:
    training = trainings.start(seed=51, iterations=1500)
    trainings.wait(training, lambda seen: seen.state == RUNNING and seen.iteration > 0)
    (before,) = trainings.workers(training)
    release.upgrade(trainer={"settings": {"stalledSeconds": 120}}, worker={"settings": {"checkpointSeconds": 6}})
    with release.reached() as variables:
        after = Trainings(release, trainings.dataset, variables)
        ended = after.end(training)
        (still,) = after.workers(training)
    assert still.metadata.uid == before.metadata.uid and ended.attempt == 1


def test_a_training_that_kueue_stops_for_another_one_resumes_from_its_checkpoint(
    release: Release, dataset: Path
) -> None:
    """The quota holds the first training back until the trainers give new ones the higher priority."""
    need_kueue()
    nodes = release.core.list_node(label_selector="type!=kwok").items
    queues = Queues(release.jobs, 0, {"kubernetes.io/hostname": nodes[0].metadata.labels["kubernetes.io/hostname"]})
    try:
        with release.changed(worker={"queueName": QUEUE, "queuePriorityClassName": queues.low}):
            with release.reached() as variables:
                training = Trainings(release, dataset, variables).start(seed=61, iterations=LONG)
            with (
                release.changed(worker={"queuePriorityClassName": queues.high}),
                release.reached() as variables,
            ):
                trainings = Trainings(release, dataset, variables)
                trainings.wait(training, lambda seen: seen.diagnosis.reason == "IN_QUEUE")
                queues.allow(1)
                before = trainings.wait(training, lambda seen: seen.checkpoint_iteration > 0)
                (victim,) = trainings.workers(training)
                urgent = trainings.start(seed=62, iterations=100_000)
                trainings.wait(urgent, lambda seen: seen.state == RUNNING)
                stopped = trainings.wait(training, lambda seen: seen.diagnosis.reason == "PREEMPTED")
                assert stopped.state == QUEUED and urgent.uri.rpartition("/")[2] in stopped.diagnosis.message
                rows = json.loads(command(variables, "status", "--json").stdout)["trainings"]
                assert stopped.diagnosis.message in [row.get("diagnosis", {}).get("message") for row in rows]
                trainings.client.cancel_training(urgent.uri)
                trainings.assert_resumed(training, victim, before.checkpoint_iteration, LONG)
                assert not trainings.job(training).status.failed
    finally:
        queues.remove()


def test_a_run_outlives_a_rolling_update_of_the_converter_and_a_restart_of_the_store(
    release: Release, environment: dict[str, str], clips: Path, tmp_path: Path
) -> None:
    given = {clip.stem: clip for clip in clips.iterdir()}
    SubmittedRun(release, environment, tmp_path, given, [["astronaut", "hopper"]], iterations=600).submit()

    def events() -> list[dict[str, Any]]:
        (pod,) = release.pods("dataset")
        if pod.status.phase == "Pending":
            return []
        log = release.core.read_namespaced_pod_log(pod.metadata.name, release.namespace)
        return [json.loads(line) for line in log.splitlines() if line.startswith("{")]

    def stages() -> set[str]:
        return {event.get("stage", "") for event in events()}

    wait_until(lambda: any(event.get("stage") == "train" and event["done"] > 0 for event in events()), seconds=300)
    release.core.delete_namespaced_pod(f"{release.of('minio')}-0", release.namespace)
    wait_until(lambda: "convert" in stages(), seconds=600)
    release.kubectl("rollout", "restart", f"deployment/{release.of('converter')}")
    wait_until(lambda: [pod.status.phase for pod in release.pods("dataset")] == ["Succeeded"], seconds=600)
    (pod,) = release.pods("dataset")
    assert pod.status.container_statuses[0].restart_count == 0
    assert [event["state"] for event in events() if event.get("stage") == "pair"][-1] == "done"


@pytest.mark.parametrize(
    ("values", "reason", "message"),
    [
        ({"worker": {"gpu": {"resource": "example.org/gpu"}}}, "NO_FREE_GPU", "example.org/gpu"),
        ({"worker": {"nodeSelector": {"no-such-label": "x"}}}, "NO_NODE", "node"),
        ({"worker": {"digest": "sha256:" + "0" * 64}}, "IMAGE_MISSING", "worker@sha256"),
        ({"jobs": {"quota": {"requests.nvidia.com/gpu": "0"}}}, "QUOTA", "requests.nvidia.com/gpu"),
    ],
    ids=["no GPU of that name", "no such node", "no image", "no quota"],
)
def test_the_cause_of_pending_trainings_is_a_sentence_within_a_minute(
    release: Release, trainings: Trainings, values: dict[str, Any], reason: str, message: str
) -> None:
    with release.changed(**values), release.reached() as variables:
        after = Trainings(release, trainings.dataset, variables)
        training = after.start(seed=len(reason) + 70)
        seen = after.wait(training, lambda seen: seen.diagnosis.reason == reason, seconds=60)
        assert message in seen.diagnosis.message
        rows = json.loads(command(variables, "status", "--json").stdout)["trainings"]
        assert seen.diagnosis.message in [row.get("diagnosis", {}).get("message") for row in rows]
        after.client.cancel_training(training.uri)


@pytest.mark.parametrize(
    ("secret", "bucket", "message"),
    [("another-key", "facefoundry", "FACEFOUNDRY_STORE_SECRET_KEY"), ("development-only", "absent", "absent")],
    ids=["wrong credentials", "missing bucket"],
)
def test_a_store_that_refuses_is_a_sentence_in_the_status(
    release: Release, tmp_path: Path, secret: str, bucket: str, message: str
) -> None:
    wrong = Release(tmp_path)
    credentials = {"access-key": "facefoundry", "secret-key": secret}
    try:
        wrong.install(
            minio={"enabled": False},
            store={
                "endpoint": f"{release.of('minio')}.{release.namespace}.svc:9000",
                "secure": False,
                "bucket": bucket,
                "existingSecret": "store",
            },
        )
        wrong.core.create_namespaced_secret(wrong.namespace, {"metadata": {"name": "store"}, "stringData": credentials})
        wrong.wait()
        with wrong.reached() as variables:
            ended = command(variables, "status")
            assert (ended.returncode, message in ended.stdout) == (1, True), ended.stdout
    finally:
        wrong.remove()
