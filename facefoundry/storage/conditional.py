"""Conditional writes: an object is written only if it is still the one that its writer has read.

Some stores ignore the condition, and others refuse such a request with one of the reasons `REFUSALS`. Writers need
another way for both. `ConditionalWrites` tells which stores have them.
"""

from __future__ import annotations

import hashlib
import time

from minio import Minio
from minio.error import InvalidResponseError, S3Error

from facefoundry.errors import Conflict, Denied
from facefoundry.storage.store import Store

__all__ = ["REFUSALS", "ConditionalWrites", "put_if_absent", "put_if_unchanged"]

REFUSALS = frozenset({"STORE_UNSUPPORTED", "STORE_REFUSED"})
"""Reasons with which a store refuses a condition that it does not know."""

_PRECONDITION_FAILED, _AGAIN = 412, 409
_WAIT_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""Waits before a request is sent again that met another one on the same key; AWS answers 409 to it."""


def put_if_absent(store: Store, key: str, data: bytes) -> str:
    """Write a document with its digest unless there is an object with this key; return the entity tag.

    Raises:
        Conflict: there is one (OBJECT_EXISTS).
        Denied: the store does not have such requests (`REFUSALS`).
        Unavailable: the store does not answer, or others write the object at every attempt.
    """
    return _put(store, key, data, {"If-None-Match": "*"}, "OBJECT_EXISTS")


def put_if_unchanged(store: Store, key: str, data: bytes, etag: str) -> str:
    """Write a document with its digest if the object still has an entity tag; return the new one.

    Raises:
        Conflict: the object has another entity tag, or is gone (OBJECT_CHANGED).
        Denied: the store does not have such requests (`REFUSALS`).
        Unavailable: the store does not answer, or others write the object at every attempt.
    """
    return _put(store, key, data, {"If-Match": f'"{etag}"'}, "OBJECT_CHANGED")


class ConditionalWrites:
    """Finds out once whether a store has conditional writes.

    Args:
        store: The object store.
        key: Key of an object that this process may write; nothing reads it.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store, self._key = store, key
        self._honoured: bool | None = None

    def honoured(self) -> bool:
        """Return whether the store refuses to write an object that exists, where that is the condition.

        Raises:
            Unavailable: the store does not answer. The next call asks again.
        """
        if self._honoured is None:
            self._honoured = self._is_refused() or self._is_refused()
        return self._honoured

    def _is_refused(self) -> bool:
        try:
            put_if_absent(self._store, self._key, b"{}")
        except Conflict:
            return True
        except Denied:
            pass
        return False


def _put(store: Store, key: str, data: bytes, condition: dict[str, str], reason: str) -> str:
    headers: dict[str, str | list[str] | tuple[str]] = {
        "Content-Type": "application/json",
        "x-amz-meta-sha256": hashlib.sha256(data).hexdigest(),
        **condition,
    }

    def put(client: Minio) -> str:
        # The public method has no parameter for conditions.
        return client._put_object(store.bucket, key, data, headers=headers).etag or ""

    def send(client: Minio) -> str:
        waits = iter(_WAIT_SECONDS)
        while True:
            try:
                return put(client)
            except (S3Error, InvalidResponseError) as error:
                status = _status(error)
                if status == _PRECONDITION_FAILED:
                    raise Conflict(
                        f"Expected {key} as it was when it was read. Another process has written it.",
                        reason=reason,
                        resource=key,
                    ) from error
                wait = next(waits, None)
                if status != _AGAIN or wait is None:
                    raise
            time.sleep(wait)

    return store.request(key, send)


def _status(error: S3Error | InvalidResponseError) -> int:
    """Return the HTTP status of a response with an error."""
    if isinstance(error, S3Error):
        return _PRECONDITION_FAILED if error.code == "PreconditionFailed" else error.response.status
    return error._code  # a response without XML; the library has no public name for its status
