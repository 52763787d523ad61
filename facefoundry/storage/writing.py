"""Writes whole objects: at once, or in parts if they are large. Readers see the old content or all of the new."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from minio import Minio
from minio.datatypes import Part

from facefoundry.errors import Cancelled
from facefoundry.storage.requests import Requests

__all__ = ["write_bytes", "write_file"]

_PART_BYTES = 64 << 20
_AT_ONCE = 3

_Read = Callable[[int, int], bytes]  # returns bytes, by offset and size


def write_bytes(requests: Requests, key: str, data: bytes, content_type: str, metadata: Mapping[str, str]) -> None:
    """Write an object.

    Args:
        requests: Sends the requests.
        key: Key of the object.
        data: Its content.
        content_type: Its media type.
        metadata: Its user metadata.
    """

    def read(start: int, size: int) -> bytes:
        return data[start : start + size]

    requests.send(key, lambda: _write(requests, key, len(data), read, _headers(content_type, metadata)))


def write_file(requests: Requests, key: str, path: Path, content_type: str, metadata: Mapping[str, str]) -> None:
    """Write an object from a local file; arguments as for `write_bytes`."""
    with path.open("rb") as file:
        number, size = file.fileno(), os.fstat(file.fileno()).st_size

        def read(start: int, size: int) -> bytes:
            requests.check_cancelled()
            return os.pread(number, size, start)

        requests.send(key, lambda: _write(requests, key, size, read, _headers(content_type, metadata)))


def _headers(content_type: str, metadata: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": content_type, **{f"x-amz-meta-{name}": value for name, value in metadata.items()}}


def _write(requests: Requests, key: str, size: int, read: _Read, headers: Mapping[str, str]) -> None:
    client, bucket = requests.client, requests.bucket
    if size <= _PART_BYTES:
        client._put_object(bucket, key, read(0, size), dict(headers))
        return
    # The public method leaves threads behind when it fails, and goes on reading when a part has failed.
    upload = client._create_multipart_upload(bucket, key, dict(headers))

    def put(number: int) -> Part:
        start = (number - 1) * _PART_BYTES
        data = read(start, min(_PART_BYTES, size - start))
        return Part(number, client._upload_part(bucket, key, data, None, upload, number))

    threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload")
    try:
        parts = list(threads.map(put, range(1, -(-size // _PART_BYTES) + 1)))
        client._complete_multipart_upload(bucket, key, upload, parts)
    except Cancelled:
        # Whoever cancelled does not wait for a store that may not answer.
        again = requests.apart().client
        threading.Thread(target=_abort, args=(again, bucket, key, upload), name="abort", daemon=True).start()
        raise
    except Exception:
        _abort(client, bucket, key, upload)
        raise
    finally:
        threads.shutdown(cancel_futures=True)


def _abort(client: Minio, bucket: str, key: str, upload: str) -> None:
    """Delete the parts of an upload. What stays is deleted by the bucket's rule for unfinished uploads."""
    with suppress(Exception):
        client._abort_multipart_upload(bucket, key, upload)
