"""1,035 pairs of 46 clips by one submit: what the run and the trainer cost while the trainings wait.

Trainings go to nodes of the label type=kwok, which seem to run as many as they have GPUs for hours. The others wait,
and without such nodes all do. Part of make test-cluster-full.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from prometheus_client.parser import text_string_to_metric_families

from tests.clips import drifting_face, encode
from tests.cluster.release import Release, command
from tests.cluster.submitted import NAME, SubmittedRun
from tests.cluster.workers import need_cluster
from tests.queued.measuring import MAX_BYTES, MAX_CALLS_PER_SECOND, MAX_THREADS
from tests.waiting import wait_until

pytestmark = [pytest.mark.usefixtures("full"), pytest.mark.timeout(3600)]

CLIPS, FRAMES = 46, 4
PAIRS = CLIPS * (CLIPS - 1) // 2
SECONDS, SAMPLES = 60.0, 6
LONG = {f"pod-complete.stage.kwok.x-k8s.io/{key}": "9h" for key in ("delay", "jitter-delay")}
KWOK: dict[str, Any] = {
    "nodeSelector": {"type": "kwok"},
    "tolerations": [{"operator": "Exists"}],
    "podAnnotations": LONG,
}

# Threads and memory of the processes of the command; the containers of the pod share their processes.
PROCESSES = """
import json, os
from pathlib import Path
found = []
for folder in Path("/proc").glob("[0-9]*"):
    try:
        is_run = b"facefoundry" in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid()
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        continue
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    if is_run:
        found.append({name: int(fields[name].split()[0]) for name in ("Threads", "VmRSS", "VmHWM")})
print(json.dumps({name: sum(each[name] for each in found) for name in ("Threads", "VmRSS", "VmHWM")}))
"""


@pytest.fixture(scope="module")
def release(full: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """A release whose trainings go to nodes that only seem to run pods."""
    need_cluster()
    made = Release(tmp_path_factory.mktemp("thousand"))
    try:
        made.install(worker=KWOK, extractor={"settings": {"slots": 2}})
        made.wait()
        yield made
    finally:
        made.remove()


@pytest.fixture
def run(release: Release, environment: dict[str, str], tmp_path: Path) -> SubmittedRun:
    """A dataset of every two of the clips."""
    names = [f"clip{number:02d}" for number in range(CLIPS)]
    clips = {
        name: encode(tmp_path / f"{name}.mp4", drifting_face(FRAMES, number * FRAMES))
        for number, name in enumerate(names)
    }
    pairs = [list(pair) for pair in combinations(names, 2)]
    return SubmittedRun(release, environment, tmp_path, clips, pairs, iterations=1000)


@contextmanager
def requests_of(component: str, release: Release) -> Iterator[Callable[[], float]]:
    """Have the API server count the requests of a component's account; yields what returns their number so far."""
    api, name = client.FlowcontrolApiserverV1Api(), f"count-{release.namespace}"
    account = {"name": release.of(component), "namespace": release.namespace}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    spec = {
        "priorityLevelConfiguration": {"name": "workload-high"},
        "matchingPrecedence": 100,
        "rules": [{"subjects": [{"kind": "ServiceAccount", "serviceAccount": account}], "resourceRules": [everything]}],
    }
    api.create_flow_schema({"metadata": {"name": name}, "spec": spec})
    metrics: Callable[[], str] = lambda: release.kubectl("get", "--raw", "/metrics")  # noqa: E731
    try:
        yield lambda: total(metrics(), "apiserver_flowcontrol_dispatched_requests", flow_schema=name)
    finally:
        api.delete_flow_schema(name)


def total(metrics: str, family: str, **labels: str) -> float:
    """The sum of the samples of a counter whose labels begin with these."""
    return sum(
        sample.value
        for found in text_string_to_metric_families(metrics)
        if found.name == family
        for sample in found.samples
        if sample.name.endswith("_total")
        and all(sample.labels.get(name, "").startswith(value) for name, value in labels.items())
    )


def calls(release: Release, method: str = "", **labels: str) -> float:
    """How many calls the trainers have served."""
    labels["method"] = f"/facefoundry.v1.TrainerService/{method}"
    pods = f"/api/v1/namespaces/{release.namespace}/pods"
    paths = [f"{pods}/{pod.metadata.name}:9090/proxy/metrics" for pod in release.pods("trainer")]
    return sum(total(release.kubectl("get", "--raw", path), "facefoundry_calls", **labels) for path in paths)


def jobs(release: Release) -> int:
    """How many training Jobs there are; the list has no more than their number."""
    page = release.batch.list_namespaced_job(release.jobs, limit=1)
    return len(page.items) + (page.metadata.remaining_item_count or 0)


def processes(release: Release) -> dict[str, int]:
    """Threads and memory (KiB) of the run's pod."""
    (pod,) = release.pods("dataset")
    words = ("exec", pod.metadata.name, "--container", "dataset", "--", "python3", "-c", PROCESSES)
    return dict(json.loads(release.kubectl(*words)))


def test_a_thousand_pairs_of_one_submit_wait_at_little_cost_and_are_cancelled(
    release: Release, run: SubmittedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    submitted = run.submit()
    seconds = {"submit": time.monotonic() - began}
    with requests_of("trainer", release) as asked:
        all_started: Callable[[], bool] = lambda: calls(release, "StartTraining", code="OK") >= PAIRS  # noqa: E731
        wait_until(all_started, seconds=2400, every=2, failure=lambda: f"{jobs(release)} Jobs")
        seconds["all_started"] = time.monotonic() - began
        assert jobs(release) == PAIRS
        seen = [processes(release)]
        started, calls_before, asked_before = time.monotonic(), calls(release), asked()
        for number in range(SAMPLES):
            time.sleep(max(0.0, started + (number + 1) * SECONDS / SAMPLES - time.monotonic()))
            seen.append(processes(release))
        measured = time.monotonic() - started
        figures = {
            "threads": max(sample["Threads"] for sample in seen),
            "resident_mib": max(sample["VmRSS"] for sample in seen) / 1024,
            "largest_mib": max(sample["VmHWM"] for sample in seen) / 1024,
            "calls_per_second": (calls(release) - calls_before + 1) / measured,  # 1 for the open stream
            "kubernetes_requests_per_second": (asked() - asked_before) / measured,
        }
    (pod,) = release.pods("dataset")
    assert pod.metadata.name == submitted.pod and not pod.status.container_statuses[0].restart_count

    began = time.monotonic()
    status = run.status()
    seconds["status"] = time.monotonic() - began
    states = Counter(row["state"].removeprefix("STATE_") for row in status["trainings"])
    record = status["run"]["record"]

    began = time.monotonic()
    cancelled = command(run.environment, "cancel", "--dataset", NAME, "--namespace", release.namespace)
    seconds["cancel"] = time.monotonic() - began
    assert cancelled.returncode == 0, cancelled.stderr
    wait_until(lambda: not jobs(release) and not release.pods("worker"), seconds=300, every=2)
    seconds["nothing_left"] = time.monotonic() - began
    with capsys.disabled():
        rounded = {name: round(value, 2) for name, value in figures.items()}
        times = {name: round(value, 1) for name, value in seconds.items()}
        print(f"\n{PAIRS} pairs of {CLIPS} clips: {json.dumps({**rounded, 'states': states, 'seconds': times})}")
    assert sum(states.values()) == record["pairs"] == PAIRS
    assert states.keys() <= {"QUEUED", "RUNNING"} and states["QUEUED"] > PAIRS / 2
    assert record["done"] == 0 and not record["failures"]
    assert cancelled.stdout.count("is cancelled after iteration") == PAIRS
    assert not release.pods("dataset") and run.command("status", "--json", "--dataset", NAME)["run"]["job"] is None
    assert figures["threads"] <= MAX_THREADS
    assert figures["resident_mib"] <= MAX_BYTES >> 20
    assert figures["calls_per_second"] <= MAX_CALLS_PER_SECOND
    assert figures["kubernetes_requests_per_second"] <= MAX_CALLS_PER_SECOND
