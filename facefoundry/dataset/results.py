"""Fetches the files of stored results: by URLs, resumed after interruptions, and with size and SHA-256 verified."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import BinaryIO

from facefoundry.dataset import files
from facefoundry.dataset.file_digests import sha256_of
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import DataLoss, Denied, FaceFoundryError, NotFound, Unavailable
from facefoundry.storage import document
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.v1 import files_pb2

__all__ = ["StoredResult", "matches"]

_MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class StoredResult:
    """The files of a stored result. A file is verified as it is fetched; wrong bytes are fetched once more.

    Args:
        transfers: The connections.
        uri: URI of the result.

    Attributes:
        uri: URI of the result.

    Raises:
        NotFound: there is no such result, or it is not finished.
    """

    def __init__(self, transfers: Transfers, uri: str) -> None:
        self._transfers, self.uri = transfers, uri
        self._files = self._list()
        self._manifest: Manifest | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files, sorted."""
        return tuple(self._files)

    def manifest(self) -> Manifest:
        """Read the manifest of the result, once. It raises the errors of `read`.

        Raises:
            DataLoss: it is not a manifest (BAD_DOCUMENT).
            Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
        """
        if self._manifest is None:
            self._manifest = document.parse(Manifest, self.read(_MANIFEST), f"{self.uri}/{_MANIFEST}")
        return self._manifest

    def part(self, name: str, key: str | None = None) -> Part:
        """Return the record of a file, with its key in the bucket.

        Args:
            name: Name of the file.
            key: Its key, if it is no part of the manifest, as a preview of a model.

        Raises:
            NotFound: the result has no such file (NO_SUCH_PART).
        """
        file = self._file(name)
        return Part(name, key or self.manifest().part(name).key, file.size_bytes, file.sha256)

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file, as the service names it.

        Raises:
            NotFound: the result has no such file (NO_SUCH_PART).
        """
        return self._file(name).sha256

    def read(self, name: str) -> bytes:
        """Read a file into memory.

        Raises:
            NotFound: the result has no such file (NO_SUCH_PART).
            DataLoss: its bytes have changed (DIGEST_MISMATCH, WRONG_SIZE) or are gone (PART_MISSING).
            Denied: the store refused fresh URLs (URL_REFUSED).
            Unavailable: the store or the service does not answer.
        """
        buffer = io.BytesIO()
        self._receive(name, buffer)
        return buffer.getvalue()

    def fetch(self, name: str, path: Path) -> None:
        """Write a file to disk, unless it exists. It appears once all its bytes are verified.

        Args:
            name: Name of the file in the result.
            path: The file on disk; its folder is made. It raises the same errors as `read`.
        """
        file = self._file(name)
        if matches(path, file.size_bytes, file.sha256):
            return
        partial = files.in_new_folder(path).with_name(path.name + ".partial")
        try:
            with partial.open("w+b") as sink:
                self._receive(name, sink)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _receive(self, name: str, sink: BinaryIO) -> None:
        """Write a file to a sink, and verify it."""
        try:
            self._receive_once(name, sink)
        except DataLoss:
            self._files = self._list()
            self._receive_once(name, sink)

    def _receive_once(self, name: str, sink: BinaryIO) -> None:
        file, attempts, hashed, received = self._file(name), self._transfers.attempts(), hashlib.sha256(), 0
        sink.seek(0)
        sink.truncate()
        while received < file.size_bytes:
            try:
                for block in self._transfers.urls.get(self._file(name).url, received, file.size_bytes):
                    self._transfers.client.raise_if_stopped()
                    hashed.update(block)
                    sink.write(block)
                    received += len(block)
                    attempts.progressed()
            except (Denied, Unavailable) as error:
                attempts.wait_after(error)
                self._files = self._list()
            except NotFound as error:
                raise self._lost(name, "is listed but missing", "PART_MISSING") from error
        if hashed.hexdigest() != file.sha256:
            problem = f"was written with SHA-256 {file.sha256} but now has {hashed.hexdigest()}"
            raise self._lost(name, problem, "DIGEST_MISMATCH")

    def _lost(self, name: str, problem: str, reason: str) -> FaceFoundryError:
        message = f"The file {name} of {self.uri} {problem}. Delete the result's prefix and repeat the request."
        return DataLoss(message, reason=reason, resource=self.uri)

    def _file(self, name: str) -> files_pb2.StoredFile:
        try:
            return self._files[name]
        except KeyError:
            message = f"{self.uri} has no file {name!r}. It has {', '.join(self._files)}."
            raise NotFound(message, reason="NO_SUCH_PART", resource=self.uri) from None

    def _list(self) -> dict[str, files_pb2.StoredFile]:
        """Ask for the files and for new URLs. A name that could lead out of a folder is left out."""
        listed = self._transfers.client.list_files(self.uri)
        return {file.name: file for file in listed if _NAME.fullmatch(file.name)}


def matches(path: Path, size: int, sha256: str) -> bool:
    """Return whether there is a file with this size, in bytes, and this SHA-256."""
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256
