"""Uploads: files that clients put to presigned URLs, in parts, before a service imports them.

Each part is an object of its own, so an upload needs no multipart calls of S3: `uploads/<id>/<file name>` if there is
one part, else `uploads/<id>/<file name>.part-00001-of-00031` and so on. The document `uploads/<id>.json` has what was
announced, and later what the file became. A bucket rule deletes all of `uploads/` after a week.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace

from facefoundry.errors import Unusable
from facefoundry.storage import document, keys
from facefoundry.storage.presign import UrlSigner
from facefoundry.storage.revocation import refuse_revoked
from facefoundry.storage.store import Store, StoredObject
from facefoundry.telemetry import logger
from facefoundry.v1 import files_pb2

__all__ = ["PART_BYTES", "Upload", "UploadRecord", "Uploads"]

PART_BYTES = 64 << 20
"""Size of each part of an upload but the last."""

# The URLs of all parts must fit in one gRPC message.
_MAX_PARTS = 500
_log = logger(__name__)
_KEY = re.compile(r"uploads/([0-9a-f]{40})/([^/]+)")


@dataclass(frozen=True)
class UploadRecord:
    """What was announced of an upload, and what it became.

    Attributes:
        file_name: Name of the file.
        size_bytes: Size of the file.
        sha256: SHA-256 of the file, 64 hex digits; empty if it was not announced.
        part_bytes: Size of each part but the last.
        result: URI of what the file became; empty before it is imported.
    """

    file_name: str
    size_bytes: int
    sha256: str
    part_bytes: int
    result: str = ""


@dataclass(frozen=True)
class Upload:
    """An upload, with its parts stored or not.

    Attributes:
        id: 40 hex digits.
        record: What was announced, and what it became.
    """

    id: str
    record: UploadRecord

    @property
    def prefix(self) -> str:
        """The prefix of the parts."""
        return keys.upload(self.id)

    @property
    def document(self) -> str:
        """The key of the document."""
        return f"{self.prefix}.json"

    @property
    def is_announced(self) -> bool:
        """Whether the record can be that of this upload: the id is a digest of what was announced, where it is one."""
        file = self.record
        fits = file.size_bytes > 0 and file.part_bytes > 0 and -(-file.size_bytes // file.part_bytes) <= _MAX_PARTS
        return fits and (not file.sha256 or self.id == _id_of(file.file_name, file.size_bytes, file.sha256))

    def parts(self) -> Iterator[tuple[str, int, int]]:
        """Yield the key, the offset and the size of each part, in order."""
        file, step = self.record, self.record.part_bytes
        count = -(-file.size_bytes // step)
        for number in range(count):
            suffix = f".part-{number + 1:05d}-of-{count:05d}" if count > 1 else ""
            offset = number * step
            yield f"{self.prefix}/{file.file_name}{suffix}", offset, min(step, file.size_bytes - offset)


class Uploads:
    """Makes and finds uploads. Services that import files serve CreateUpload with `create`.

    Args:
        store: The object store.
        max_bytes: Size of the largest file that is accepted.
        part_bytes: Size of each part but the last; larger for files that would have more than 500 parts.
    """

    def __init__(self, store: Store, max_bytes: int, part_bytes: int = PART_BYTES) -> None:
        self._store, self._max_bytes, self._part_bytes = store, max_bytes, part_bytes
        self._signer = UrlSigner(store.settings)

    def through(self, store: Store) -> Uploads:
        """Return the same uploads, found through another `Store` of their bucket."""
        other = copy(self)
        other._store = store
        return other

    def create(self, request: files_pb2.CreateUploadRequest) -> files_pb2.CreateUploadResponse:
        """Make an upload, or find the one with the same name, size and SHA-256; return URLs for what is not stored.

        Raises:
            Unusable: the file is too large (TOO_LARGE), or one with this SHA-256 was revoked (REVOKED).
        """
        refuse_revoked(self._store, request.sha256)
        upload, is_new = self._upload(request)
        imported = bool(upload.record.result)
        stored = {} if is_new else {item.key: item.size for item in self._store.objects(upload.prefix + "/")}
        response = files_pb2.CreateUploadResponse(
            object_uri=self._store.uri(f"{upload.prefix}/{upload.record.file_name}")
        )
        for key, offset, size in upload.parts():
            signed = self._signer.put(key)
            is_stored = imported or stored.get(key) == size
            response.parts.add(
                offset_bytes=offset, size_bytes=size, url="" if is_stored else signed.url, stored=is_stored
            )
            response.expire_time.FromDatetime(signed.expires)
        return response

    def find(self, key: str) -> Upload | None:
        """Return the upload of which a key is the file; None if there is none."""
        match = _KEY.fullmatch(key)
        upload = self._load(match[1]) if match else None
        return upload if upload and match and upload.record.file_name == match[2] else None

    def stored(self, upload: Upload) -> tuple[StoredObject, ...]:
        """Return the parts of an upload, in order.

        Raises:
            Unusable: a part is missing (UPLOAD_INCOMPLETE), or has another size than was announced (UPLOAD_PART_SIZE).
        """
        found = {item.key: item for item in self._store.objects(upload.prefix + "/")}
        parts = list(upload.parts())
        for number, (key, _, size) in enumerate(parts, 1):
            uri, which = self._store.uri(key), f"part {number} of {len(parts)}"
            if key not in found:
                message = f"{uri} is missing, {which}. Put it, then repeat the call."
                raise Unusable(message, reason="UPLOAD_INCOMPLETE", metadata={"part": str(number)}, resource=uri)
            if found[key].size != size:
                message = (
                    f"Expected {size} bytes in {uri}, {which}. Received {found[key].size}. Put it again, then repeat "
                    "the call."
                )
                raise Unusable(message, reason="UPLOAD_PART_SIZE", metadata={"part": str(number)}, resource=uri)
        return tuple(found[key] for key, _, _ in parts)

    def finish(self, upload: Upload, result: str) -> None:
        """Record what a file became, and delete its parts. Repeating this does no harm.

        Args:
            upload: The upload.
            result: URI of what it became. Equal uploads, and repeated imports, then find it.
        """
        if upload.record.result != result:
            done = replace(upload.record, result=result)
            document.put(self._store, upload.document, document.encode(done))
        self._store.delete(key for key, _, _ in upload.parts())

    def forget(self, upload: Upload) -> None:
        """Delete an upload: its parts, and the record of what it became."""
        self._store.delete([upload.document, *self._store.list(upload.prefix + "/")])

    def _upload(self, request: files_pb2.CreateUploadRequest) -> tuple[Upload, bool]:
        """Return the upload of a request, and whether it is a new one."""
        name, size, sha256 = request.file_name, request.size_bytes, request.sha256
        if size > self._max_bytes:
            message = f"{name} has {size} bytes; at most {self._max_bytes} are accepted."
            raise Unusable(message, reason="TOO_LARGE", resource=name)
        part_bytes = max(self._part_bytes, -(-size // _MAX_PARTS))
        new = UploadRecord(file_name=name, size_bytes=size, sha256=sha256, part_bytes=part_bytes)
        upload = Upload(_id_of(name, size, sha256) if sha256 else secrets.token_hex(20), new)
        found = self._load(upload.id) if sha256 else None
        if found is not None and (not found.record.result or self._exists(found.record.result)):
            return found, False
        document.put(self._store, upload.document, document.encode(new))
        return upload, found is None

    def _load(self, upload_id: str) -> Upload | None:
        record = document.find(self._store, f"{keys.upload(upload_id)}.json", UploadRecord)
        if record is None:
            return None
        upload = Upload(upload_id, record)
        if upload.is_announced:
            return upload
        _log.warning("upload_foreign", key=upload.document)
        return None

    def _exists(self, result: str) -> bool:
        prefix = result.removeprefix(self._store.uri(""))
        return self._store.exists(f"{prefix}/manifest.json")


def _id_of(file_name: str, size_bytes: int, sha256: str) -> str:
    return keys.digest_of({"file_name": file_name, "size_bytes": size_bytes, "sha256": sha256})
