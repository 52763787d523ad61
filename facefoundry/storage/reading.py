"""Reads the bytes of objects: whole objects, checked by their sizes, or block by block."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from functools import partial

import urllib3

from facefoundry.errors import DataLoss, Unavailable
from facefoundry.storage.requests import Requests

__all__ = ["blocks", "read"]

_BLOCK = 1 << 20


def read(
    requests: Requests, key: str, sink: io.BufferedIOBase, size: int | None, max_size: int | None = None
) -> tuple[str, Mapping[str, str]]:
    """Read an object into a file. An interrupted transfer starts again.

    Args:
        requests: Sends the requests.
        key: Key of the object.
        sink: The file; what it contains is replaced.
        size: Size that the object must have, in bytes; None for any size.
        max_size: Largest size in bytes; None for any size.

    Returns:
        The SHA-256 of the object, 64 hex digits, and the headers of the response.

    Raises:
        NotFound: there is no such object.
        DataLoss: the object has another size, which is found before its bytes are read (WRONG_SIZE), or fewer bytes
            arrived than the store announced, at every attempt (TRUNCATED_OBJECT).
    """
    return requests.send(key, lambda: _read(requests, key, sink, size, max_size))


def blocks(requests: Requests, key: str, size: int, offset: int = 0) -> Iterator[bytes]:
    """Yield the first bytes of an object, from an offset on. An interrupted transfer continues where it stopped.

    Args:
        requests: Sends the requests.
        key: Key of the object.
        size: Offset of the end. If the object has fewer bytes, all of them are read.
        offset: Offset of the first byte to read.

    Raises:
        NotFound: there is no such object.
        Unavailable: several transfers in a row were interrupted before any byte arrived.
    """
    cuts = 0
    while offset < size:
        before = offset
        response = requests.send(key, partial(_get, requests, key, offset, size - offset))
        try:
            with requests.converting(key):
                for block in response.stream(_BLOCK):
                    offset += len(block)
                    requests.received()
                    yield block
            return
        except Unavailable:
            cuts = 1 if offset > before else cuts + 1
            if cuts == requests.settings.attempts:
                raise
        finally:
            response.close()
            response.release_conn()


def _read(
    requests: Requests, key: str, sink: io.BufferedIOBase, size: int | None, max_size: int | None
) -> tuple[str, Mapping[str, str]]:
    for attempt in range(requests.settings.attempts):
        sink.seek(0)
        sink.truncate()
        hashed = hashlib.sha256()
        received = 0
        response = requests.client.get_object(bucket_name=requests.bucket, object_name=key)
        try:
            announced = int(response.headers.get("Content-Length", "-1"))
            expected = announced if size is None else size
            if announced not in (-1, expected):
                raise DataLoss(
                    f"Expected {expected} bytes of the object {key!r}. The store has {announced}. Delete its "
                    "prefix and repeat the request.",
                    reason="WRONG_SIZE",
                    resource=key,
                )
            if max_size is not None and not 0 <= expected <= max_size:
                raise DataLoss(
                    f"Expected at most {max_size} bytes of the object {key!r}. The store has "
                    f"{expected if expected >= 0 else 'an unknown number of'} bytes.",
                    reason="WRONG_SIZE",
                    resource=key,
                )
            for block in response.stream(_BLOCK):
                hashed.update(block)
                sink.write(block)
                received += len(block)
                requests.received()
        except (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError):
            if attempt + 1 == requests.settings.attempts:
                raise
            continue
        finally:
            response.close()
            response.release_conn()
        if expected in (-1, received):
            return hashed.hexdigest(), response.headers
    raise DataLoss(
        f"Expected {expected} bytes of the object {key!r}. Received {received}.",
        reason="TRUNCATED_OBJECT",
        resource=key,
    )


def _get(requests: Requests, key: str, offset: int, length: int) -> urllib3.BaseHTTPResponse:
    return requests.client.get_object(bucket_name=requests.bucket, object_name=key, offset=offset, length=length)
