"""A thousand Jobs: what they cost the trainer's memory and the API server. Part of make test-cluster-full.

Their pods go to nodes of the label type=kwok, and wait where there are none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.cluster.workers import ClusterWorkers

JOBS = 1000
MIB = 1 << 20

# A process of its own, so that its memory is the trainer's and not the test's. It creates the Jobs and then looks at
# all of them every second, as a thousand clients that watch do.
TRAINER = """
import json, sys, time
from collections import Counter
from pathlib import Path
import psutil
from kubernetes.client import rest
from services.trainer.backends.kubernetes.backend import KubernetesBackend
from services.trainer.backends.kubernetes.settings import KubernetesSettings

seconds = Counter()
ask = rest.RESTClientObject.request
def counted(self, *arguments, **keywords):
    seconds[int(time.monotonic())] += 1
    return ask(self, *arguments, **keywords)
rest.RESTClientObject.request = counted

template, namespace, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
backend = KubernetesBackend(KubernetesSettings(job_template=template, jobs_namespace=namespace, gpus=1))
names = [f"training-{number:040x}-1" for number in range(count)]
began = time.monotonic()
for name in names:
    backend.start(name, f"s3://bucket/trainings/{name}/attempt.json")
created = time.monotonic() - began
looks, states, watched_from = [], Counter(), int(time.monotonic()) + 1
for _ in range(60):
    before = time.monotonic()
    states = Counter(backend.get(name).state.value for name in names)
    looks.append(time.monotonic() - before)
    time.sleep(max(0.0, 1.0 - looks[-1]))
# The kernel's other count, ru_maxrss, begins with what the parent had.
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
print(json.dumps({
    "created_seconds": created, "most_requests_in_a_second": max(seconds.values()),
    "requests_while_looking": sum(n for second, n in seconds.items() if second >= watched_from),
    "look_seconds": sorted(looks)[len(looks) // 2], "states": states,
    "rss": psutil.Process().memory_info().rss, "peak": peak,
}))
"""


def _to_kwok(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"type": "kwok"}
    pod["tolerations"] = [{"operator": "Exists"}]


@pytest.mark.timeout(1800)
def test_a_thousand_jobs_cost_little_memory_and_few_requests(
    full: None, cluster: ClusterWorkers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    template = cluster.template("hang", edit=_to_kwok)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    command = [sys.executable, "-c", TRAINER, str(template), cluster.namespace, str(JOBS)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        created = len(cluster.batch.list_namespaced_job(cluster.namespace).items)
    finally:
        cluster.delete_jobs()
    seen = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f"\n{JOBS} Jobs: {json.dumps(seen)}")
    assert sum(seen["states"].values()) == JOBS
    assert seen["peak"] <= 300 * MIB
    assert seen["most_requests_in_a_second"] <= 20
    assert seen["requests_while_looking"] <= 20
    assert created == JOBS
