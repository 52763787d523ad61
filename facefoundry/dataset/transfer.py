"""Uploads files to the services, to URLs that need no keys of the object store."""

from __future__ import annotations

import hashlib
from pathlib import Path

import urllib3

from facefoundry.client import Client
from facefoundry.errors import Unavailable
from facefoundry.v1 import files_pb2

__all__ = ["upload"]

_OK = 200
_ATTEMPTS = 5
_SECONDS = 60.0


def upload(client: Client, service: str, path: Path, ca_file: Path | None = None) -> str:
    """Upload a file and return its URI. Parts of it that are stored already are not uploaded again.

    Args:
        client: The client of the services.
        service: Name of the service that will import the file, `extractor` or `trainer`.
        path: The file.
        ca_file: CA certificates for the store, PEM; by default the system's.

    Raises:
        Unavailable: the store did not take a part.
    """
    retries = urllib3.Retry(_ATTEMPTS, backoff_factor=0.2, allowed_methods=None, status_forcelist=(500, 502, 503, 504))
    with path.open("rb") as file, _pool(ca_file) as pool:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        request = files_pb2.CreateUploadRequest(file_name=path.name, size_bytes=path.stat().st_size, sha256=sha256)
        made = client.create_upload(service, request)
        for part in made.parts:
            if part.stored:
                continue
            file.seek(part.offset_bytes)
            try:
                answer = pool.request("PUT", part.url, body=file.read(part.size_bytes), retries=retries)
            except urllib3.exceptions.HTTPError as error:
                raise _refused(path, str(error)) from error
            if answer.status != _OK:
                raise _refused(path, f"HTTP status {answer.status}: {answer.data[:200].decode(errors='replace')}")
    return made.object_uri


def _pool(ca_file: Path | None) -> urllib3.PoolManager:
    return urllib3.PoolManager(timeout=urllib3.Timeout(_SECONDS), ca_certs=str(ca_file) if ca_file else None)


def _refused(path: Path, detail: str) -> Unavailable:
    message = f"The object store did not take {path}: {detail}. Repeat the command."
    return Unavailable(message, reason="STORE_UNAVAILABLE", resource=str(path))
