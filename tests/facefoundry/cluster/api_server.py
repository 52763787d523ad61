"""The part of the Kubernetes API that submitted runs use, on loopback: objects of one namespace in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]
NAMESPACE = "faces"


class ApiServer:
    """Objects by plural and name.

    `on_job` and `on_config_map` are called with each Job and ConfigMap that is created, `on_delete` with what goes,
    `on_list` with the plural of what was listed.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Object]] = {
            kind: {} for kind in ("configmaps", "jobs", "pods", "events", "logs")
        }
        self.on_job: Callable[[Object], object] = self.run_pod
        self.on_config_map: Callable[[Object], object] = lambda made: None
        self.on_delete: Callable[[Object], object] = lambda job: None
        self.on_list: Callable[[str], object] = lambda kind: None
        self.log_missing = False
        self.log_cut = False
        self.refusals: dict[tuple[str, str], tuple[int, str]] = {}
        self._count = 0

    def add(self, kind: str, item: Object) -> Object:
        """Add an object, as the API server completes it."""
        self._count += 1
        metadata = item.setdefault("metadata", {})
        metadata |= {"uid": f"uid-{self._count}", "creationTimestamp": f"2026-01-01T00:{self._count:02}:00Z"}
        metadata.setdefault("namespace", NAMESPACE)
        self.objects[kind][metadata["name"]] = item
        return item

    def run_pod(self, job: Object, **status: Any) -> Object:
        """Add a pod of a Job, which runs by default."""
        metadata, spec = job["metadata"], job["spec"]["template"]["spec"]
        labels = {"batch.kubernetes.io/job-name": metadata["name"]}
        return self.add(
            "pods",
            {
                "metadata": {
                    "name": f"{metadata['name']}-{self._count}",
                    "labels": labels,
                    "ownerReferences": [{"uid": metadata["uid"]}],
                },
                "spec": spec,
                "status": status or {"phase": "Running"},
            },
        )

    def end_job(self, name: str, condition: str, exit_code: int, message: str = "") -> None:
        """End a Job and its pods."""
        self.objects["jobs"][name]["status"] = {"conditions": [{"type": condition, "status": "True", "message": "x"}]}
        end = {"exitCode": exit_code, "message": message}
        for pod in self.objects["pods"].values():
            pod["status"] = {
                "phase": "Failed" if exit_code else "Succeeded",
                "containerStatuses": [{"name": "dataset", "state": {"terminated": end}}],
            }

    def answer(self, method: str, path: str, query: dict[str, str], body: Object) -> tuple[int, object]:
        """Answer a request: HTTP status and JSON value, or text."""
        _, _, rest = path.partition(f"/namespaces/{NAMESPACE}/")
        if not rest:
            return 404, {"message": f'namespaces "{path.split("/namespaces/")[1].split("/")[0]}" not found'}
        kind, *names = rest.split("/")
        if (method, kind) in self.refusals:
            status, message = self.refusals[method, kind]
            return status, {"message": message}
        found = self.objects[kind]
        if names[1:] == ["log"]:
            if self.log_missing:
                return 404, {"message": f'pods "{names[0]}" not found'}
            return 200, self.objects["logs"].get(names[0], {}).get("text", "")
        if names and names[0] not in found:
            return 404, {"message": f'{kind} "{names[0]}" not found'}
        if method == "GET" and names:
            return 200, found[names[0]]
        if method == "GET":
            items = [item for item in found.values() if _selected(item, query)]
            self.on_list(kind)
            return 200, {"items": items}
        if method == "DELETE":
            gone = found.pop(names[0])
            self.on_delete(gone)
            self.objects["pods"] = {
                name: pod
                for name, pod in self.objects["pods"].items()
                if gone["metadata"]["uid"] not in [owner["uid"] for owner in pod["metadata"]["ownerReferences"]]
            }
            return 200, {"status": "Success"}
        if body["metadata"]["name"] in found:
            return 409, {"message": f'{kind} "{body["metadata"]["name"]}" already exists'}
        made = self.add(kind, body)
        if kind == "jobs":
            self.on_job(made)
        if kind == "configmaps":
            self.on_config_map(made)
        return 201, made


def _selected(item: Object, query: dict[str, str]) -> bool:
    labels = item["metadata"].get("labels", {})
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, equals, value = term.partition("=")
        if name.startswith("!"):
            if name[1:] in labels:
                return False
        elif labels.get(name) != value or not equals:
            return False
    return True


@contextmanager
def serve(folder: Path) -> Iterator[tuple[ApiServer, Path]]:
    """Serve an API server; yields it and a kubeconfig."""
    api, lock = ApiServer(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            split = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            with lock:
                status, value = api.answer(self.command, split.path, query, body)
            data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            self.send_response(status)
            is_cut = api.log_cut and split.path.endswith("/log")
            self.send_header("Content-Length", str(len(data) + is_cut))
            self.send_header("Content-Type", "text/plain" if isinstance(value, str) else "application/json")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _any  # noqa: N815  # names of the base class

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = folder / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}],
                    "current-context": "x",
                }
            )
        )
        try:
            yield api, path
        finally:
            server.shutdown()
