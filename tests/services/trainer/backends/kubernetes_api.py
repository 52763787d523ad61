"""A small API server of Kubernetes for the official client, and the backend on it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from services.trainer.backends.kubernetes.backend import KubernetesBackend
from services.trainer.backends.kubernetes.settings import KubernetesSettings

Object = dict[str, Any]
TEMPLATE = Path(__file__).resolve().parents[4] / "helm/facefoundry/files/training-job.yaml"


class ApiServer:
    """Keeps objects by kind and name, and streams every change to the watches of its kind."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Object]] = {"jobs": {}, "pods": {}, "events": {}, "workloads": {}}
        self.pending: dict[str, Object] = {}  # what Kueue's visibility API says, by queue
        self.asked: list[str] = []
        self.jobs_read: list[str] = []
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
        if names[0] not in (*self.objects, "localqueues"):
            self._answer(request, 404, {"message": "the server could not find the requested resource"})
        elif "watch" in parse_qs(url.query):
            self._stream(request, names[0])
        elif names[0] == "localqueues":
            self.asked.append(url.path)
            found = self.pending.get(names[1])
            self._answer(request, 200 if found else 404, found or {"message": "not found"})
        elif len(names) == 1:
            items = list(self.objects[names[0]].values())
            self._answer(request, 200, {"metadata": {"resourceVersion": "1"}, "items": items})
        else:
            if names[0] == "jobs":
                self.jobs_read.append(names[1])
            found = self.objects[names[0]].get(names[1])
            self._answer(request, 200 if found else 404, found or {"message": "not found"})

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


def connect(
    api: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch, template: Path = TEMPLATE
) -> KubernetesBackend:
    """A backend on the server; the folder gets its kubeconfig."""
    kubeconfig = folder / "kubeconfig"
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
    return KubernetesBackend(KubernetesSettings(job_template=template, jobs_namespace="jobs"))
