"""Sends files to the services and fetches files of results. Both go by URLs, which need no keys of the object store.

A transfer is repeated where that can help: what arrived is not sent or fetched again, and a URL that was refused, for
example because it has expired, is replaced by a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from facefoundry.client import Client, OnProgress
from facefoundry.dataset.contents import Content
from facefoundry.dataset.urls import Urls
from facefoundry.errors import Denied, FaceFoundryError, Unavailable, from_record, to_record
from facefoundry.rpc.retries import Retries
from facefoundry.settings import TransferSettings, read
from facefoundry.v1 import common_pb2, files_pb2

__all__ = ["Attempts", "Transfers"]

_REFUSALS = 5
_IMPORTS = 3
# Reasons for which an import asks for the file again: a part was lost or damaged, or what it became was deleted.
_SEND_AGAIN = {"UPLOAD_INCOMPLETE", "UPLOAD_PART_SIZE", "SHA256_MISMATCH", "NO_SUCH_OBJECT"}

Result = TypeVar("Result")


class Transfers:
    """Sends files to the services, and opens the connections by which their files are fetched. Threads may share it.

    Args:
        client: The client of the services.
        settings: Certificates, timeouts and limits; by default those of the environment.
        on_wait: Called with a sentence for the user when a transfer has failed and will be repeated.

    Attributes:
        client: The client of the services.
        settings: Certificates, timeouts and limits.
        urls: The connections to the object store.
    """

    def __init__(
        self,
        client: Client,
        settings: TransferSettings | None = None,
        on_wait: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.client = client
        self.settings = settings or read(TransferSettings)
        self.urls = Urls(self.settings)
        self._on_wait = on_wait

    def attempts(self) -> Attempts:
        """Return the attempts at a new transfer."""
        return Attempts(Retries(self.settings.retry_seconds, self.client.wait), self.settings, self._on_wait)

    def import_files(
        self,
        service: str,
        contents: Sequence[Content],
        call: Callable[[list[str]], Result],
        on_progress: OnProgress,
    ) -> Result:
        """Send files, import them, and return the result. Files that were sent before are not sent again.

        Args:
            service: The service that imports them, `extractor` or `trainer`.
            contents: The files.
            call: Imports files by their URIs, which are in the order of `contents`.
            on_progress: Called with the progress of the transfer.

        Raises:
            Unusable: a file changed while it was read (INPUT_CHANGES).
            Denied: the store refused fresh URLs (URL_REFUSED).
            Unavailable: the store or the service does not answer.
            FaceFoundryError: the import failed; the message names files as they are on disk.
        """
        digests: dict[Content, str] = {}
        for attempt in range(_IMPORTS):
            for content in contents:
                sha256 = self._hash(content, on_progress)
                if digests.setdefault(content, sha256) != sha256:
                    raise content.changed()
            sent = {self._send(service, content, digests[content], on_progress): content for content in contents}
            try:
                return call(list(sent))
            except FaceFoundryError as error:
                if error.reason not in _SEND_AGAIN or attempt + 1 == _IMPORTS:
                    raise _with_paths(error, sent) from error
        raise AssertionError("unreachable")

    def _hash(self, content: Content, on_progress: OnProgress) -> str:
        hashed = hashlib.sha256()
        for block in self._counted(content.blocks(0, content.size), "hash", 0, content.size, on_progress):
            hashed.update(block)
        return hashed.hexdigest()

    def _send(self, service: str, content: Content, sha256: str, on_progress: OnProgress) -> str:
        """Send the parts of a file that are not stored yet, and return the URI of the upload."""
        request = files_pb2.CreateUploadRequest(file_name=content.name, size_bytes=content.size, sha256=sha256)
        attempts = self.attempts()
        while True:
            made = self.client.create_upload(service, request)
            done = sum(part.size_bytes for part in made.parts if part.stored)
            try:
                for part in made.parts:
                    if not part.stored:
                        blocks = content.blocks(part.offset_bytes, part.size_bytes)
                        counted = self._counted(blocks, "upload", done, content.size, on_progress)
                        self.urls.put(part.url, counted, part.size_bytes)
                        attempts.progressed()
                        done += part.size_bytes
            except FaceFoundryError as error:
                attempts.wait_after(error)
            else:
                on_progress(_progress("upload", done, content.size))
                return made.object_uri

    def _counted(
        self, blocks: Iterable[bytes], stage: str, done: int, total: int, on_progress: OnProgress
    ) -> Iterator[bytes]:
        """Yield blocks, and report how many bytes were yielded, about a hundred times in a file."""
        reported = done
        for block in blocks:
            self.client.raise_if_stopped()
            yield block
            done += len(block)
            if done - reported > total // 100:
                on_progress(_progress(stage, done, total))
                reported = done


class Attempts:
    """The attempts at one transfer.

    Args:
        retries: The retries while the store does not answer.
        settings: `retry_seconds` is used, for the message.
        on_wait: Called with a sentence for the user before the first wait.
    """

    def __init__(self, retries: Retries, settings: TransferSettings, on_wait: Callable[[str], object]) -> None:
        self._retries, self._settings, self._on_wait = retries, settings, on_wait
        self._refusals = 0
        self._reported = False

    def progressed(self) -> None:
        """Start all counts again, because bytes arrived."""
        self._refusals = 0
        self._retries.progressed()

    def wait_after(self, error: FaceFoundryError) -> None:
        """Wait before the next attempt, which needs new URLs; or raise the error if another attempt cannot help.

        Raises:
            Cancelled: the client was stopped.
            FaceFoundryError: `error` itself, if the store refused several new URLs in a row, has not answered for
                `retry_seconds`, or the error has another cause.
        """
        if isinstance(error, Denied) and error.reason == "URL_REFUSED":
            self._refusals += 1
            if self._refusals == _REFUSALS:
                raise error
            return
        if isinstance(error, Unavailable) and not self._reported and self._settings.retry_seconds:
            self._reported = True
            self._on_wait(f"{error.message} Retrying for up to {self._settings.retry_seconds:g} s.")
        self._retries.wait_after(error)


def _progress(stage: str, done: int, total: int) -> common_pb2.Progress:
    return common_pb2.Progress(stage=stage, done=done, total=total, unit="bytes")


def _with_paths(error: FaceFoundryError, sent: Mapping[str, Content]) -> FaceFoundryError:
    """Return an error about uploads as one about the files on disk."""
    record = to_record(error)
    message, resource = record.message, record.resource
    for uri, content in sent.items():
        message = message.replace(uri, str(content.path))
        resource = str(content.path) if resource.startswith(uri) else resource
    return from_record(replace(record, message=message, resource=resource))
