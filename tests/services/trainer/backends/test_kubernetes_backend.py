"""The kubernetes backend with the official client against a small API server of the test's own.

What a real cluster does with Jobs is in `tests/cluster/test_backend.py`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from facefoundry.errors import Busy, Conflict, Denied, Internal, Unavailable
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.backends.base import Job, JobState
from services.trainer.backends.kubernetes.backend import KubernetesBackend
from services.trainer.backends.kubernetes.settings import KubernetesSettings
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import STARTS, Trainings
from services.trainer.worker_protocol import ExitReport
from tests.waiting import wait_until

Object = dict[str, Any]
TEMPLATE = Path(__file__).resolve().parents[4] / "helm/facefoundry/files/training-job.yaml"
URI = "s3://bucket/trainings/x/attempt.json"


class ApiServer:
    """Keeps objects by kind and name, and streams every change to the watches of its kind."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Object]] = {"jobs": {}, "pods": {}, "events": {}}
        self.refusal: tuple[int, str] | None = None
        self._changes: list[tuple[str, Object]] = []
        self._changed = threading.Condition()
        self._stopping = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._read(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server._create(self, json.loads(body))

            def do_DELETE(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                server._delete(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def put(self, kind: str, item: Object, change: str = "MODIFIED") -> None:
        """Add or replace an object."""
        with self._changed:
            self.objects[kind][item["metadata"]["name"]] = item
            self._changes.append((kind, {"type": change, "object": item}))
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def _read(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        names = url.path.split("/namespaces/jobs/")[1].split("/")
        if "watch" in parse_qs(url.query):
            self._stream(request, names[0])
        elif len(names) == 1:
            items = list(self.objects[names[0]].values())
            self._answer(request, 200, {"metadata": {"resourceVersion": "1"}, "items": items})
        elif found := self.objects[names[0]].get(names[1]):
            self._answer(request, 200, found)
        else:
            self._answer(request, 404, {"message": "not found"})

    def _create(self, request: BaseHTTPRequestHandler, item: Object) -> None:
        if self.refusal:
            self._answer(request, self.refusal[0], {"message": self.refusal[1]})
        elif item["metadata"]["name"] in self.objects["jobs"]:
            self._answer(request, 409, {"message": "exists"})
        else:
            item["metadata"]["uid"] = f"uid-{len(self._changes)}"
            self.put("jobs", item, "ADDED")
            self._answer(request, 201, item)

    def _delete(self, request: BaseHTTPRequestHandler) -> None:
        with self._changed:
            item = self.objects["jobs"].pop(request.path.split("?")[0].rpartition("/")[2])
            self._changes.append(("jobs", {"type": "DELETED", "object": item}))
            self._changed.notify_all()
        self._answer(request, 200, item)

    def _answer(self, request: BaseHTTPRequestHandler, status: int, value: Object) -> None:
        data = json.dumps(value).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _stream(self, request: BaseHTTPRequestHandler, kind: str) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        sent = 0
        while True:
            with self._changed:
                while not self._stopping and len(self._changes) == sent:
                    self._changed.wait()
                if self._stopping:
                    return
                due, sent = self._changes[sent:], len(self._changes)
            for changed, event in due:
                if changed == kind:
                    line = json.dumps(event).encode() + b"\n"
                    request.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    request.wfile.flush()


@pytest.fixture
def api() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.stop()


@pytest.fixture
def backend(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesBackend]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "x", "cluster": {"server": api.address}}],
                "users": [{"name": "x", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "current-context": "x",
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    made = KubernetesBackend(KubernetesSettings(job_template=TEMPLATE, jobs_namespace="jobs"))
    yield made
    made.close()


def pod(api: ApiServer, job: str, phase: str, **state: Object) -> Object:
    """The pod of a Job, with its worker in a state."""
    return {
        "metadata": {
            "name": f"{job}-1",
            "labels": {"batch.kubernetes.io/job-name": job},
            "ownerReferences": [{"uid": api.objects["jobs"][job]["metadata"]["uid"]}],
        },
        "status": {"phase": phase, "containerStatuses": [{"name": "worker", "state": state}]},
    }


def test_a_job_is_created_followed_and_deleted(api: ApiServer, backend: KubernetesBackend) -> None:
    assert backend.get("job") is None
    backend.start("job", URI)
    backend.start("job", URI)
    assert backend.get("job") == Job("job", JobState.QUEUED)
    assert list(api.objects["jobs"]) == ["job"]
    api.put("pods", pod(api, "job", "Running", running={}), "ADDED")
    wait_until(lambda: backend.get("job") == Job("job", JobState.RUNNING))

    report = '{"reason":"NO_FACES","message":"There is no face.","iteration":3}'
    ended = {"exitCode": 65, "reason": "Error", "message": report}
    api.put("pods", pod(api, "job", "Failed", terminated=ended))
    failed = {"failed": 1, "conditions": [{"type": "Failed", "status": "True", "message": "a pod failed"}]}
    api.put("jobs", api.objects["jobs"]["job"] | {"status": failed})
    job = wait_until(lambda: (job := backend.get("job")) and job.state is JobState.FAILED and job)
    assert isinstance(job, Job) and job.exit_code == 65
    assert job.exit_report == ExitReport("NO_FACES", "There is no face.", 3)

    backend.cancel("job")
    backend.cancel("job")
    assert backend.get("job") is None and not api.objects["jobs"]


def test_the_job_of_another_attempt_is_a_conflict(api: ApiServer, backend: KubernetesBackend) -> None:
    backend.start("job", URI)
    with pytest.raises(Conflict, match="trainings/x") as caught:
        backend.start("job", "s3://bucket/trainings/y/attempt.json")
    assert caught.value.reason == "JOB_EXISTS"


def test_a_job_that_is_being_deleted_is_unknown_and_cannot_be_started_yet(
    api: ApiServer, backend: KubernetesBackend
) -> None:
    backend.start("job", URI)
    item = api.objects["jobs"]["job"]
    api.put("jobs", item | {"metadata": item["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    wait_until(lambda: backend.get("job") is None)
    with pytest.raises(Unavailable, match="being deleted"):
        backend.start("job", URI)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (403, "exceeded quota: gpus", Busy),
        (403, "admission policy", Denied),
        (404, 'namespaces "jobs" not found', Internal),
        (422, "spec.template: invalid", Internal),
        (500, "broken", Unavailable),
    ],
)
def test_refusals_keep_the_message_of_the_api_server(
    api: ApiServer, backend: KubernetesBackend, status: int, message: str, error: type[Exception]
) -> None:
    api.refusal = status, message
    with pytest.raises(error, match="namespace" if status == 404 else message):
        backend.start("job", URI)


def test_a_backend_without_a_template_names_the_setting() -> None:
    with pytest.raises(Internal, match="FACEFOUNDRY_JOB_TEMPLATE"):
        KubernetesBackend(KubernetesSettings())


def test_a_cancel_overtakes_the_starts_that_wait(
    api: ApiServer, backend: KubernetesBackend, store: Store, ask: Callable[..., trainer_pb2.StartTrainingRequest]
) -> None:
    trainings = Trainings(store, backend, TrainerSettings())
    first = trainings.start(ask(seed=100))
    starts = 5 * STARTS
    with ThreadPoolExecutor(starts) as pool:
        started = [pool.submit(trainings.start, ask(seed=seed)) for seed in range(starts)]
        wait_until(lambda: len(api.objects["jobs"]) > 1)
        before = len(api.objects["jobs"])
        trainings.cancel(first.uri)
        created = len(api.objects["jobs"]) + 1 - before
        assert created <= 3 * STARTS, "a cancel sends two requests, and waits for those of few starts before each"
        assert {call.result().state for call in started} == {trainer_pb2.Training.STATE_QUEUED}
    assert len(api.objects["jobs"]) == starts
