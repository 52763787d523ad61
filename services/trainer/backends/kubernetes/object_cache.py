"""The objects of one kind in a namespace, such as pods: kept up to date by a watch, and indexed by their Job.

The Kubernetes client's `SharedInformer` lists the objects and then watches them: the API server sends every change.
This module makes up for three properties of the informer: it retries a failed watch at once and for ever, it never ends
a watch whose server has become silent, and it does not know how old its objects are. A working server may be silent for
hours: it sends no bookmarks for Events, and few for other objects that do not change. So every watch asks the server to
end it before its silence counts as a failure, and is opened again where it ended.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Generic, TypeAlias, TypeVar

from kubernetes.client.exceptions import ApiException
from kubernetes.informer import ADDED, DELETED, ERROR, MODIFIED, SharedInformer

from facefoundry.telemetry import logger
from services.trainer.backends.kubernetes.template import Object

__all__ = ["REQUEST_TIMEOUT", "CacheTimes", "ObjectCache", "error_text", "retry_delay"]

REQUEST_TIMEOUT = (5.0, 30.0)
"""Longest times to connect to the API server and to wait for its response, seconds."""

_CONNECT_SECONDS = 5.0
_RESYNC_SECONDS = 300
_MAX_RETRY_SECONDS = 15.0
_CLOSE_SECONDS = 2.0
_log = logger(__name__)

T = TypeVar("T")
Response: TypeAlias = Any  # the client's methods have no types


@dataclass(frozen=True)
class CacheTimes:
    """Times of a cache, seconds.

    Attributes:
        watch: Time after which the server ends a watch.
        silence: Time without a message after which a watch has failed; longer than `watch`.
        tolerated: Time after the failure of a watch during which the objects still count as up to date, so that a
            restart of the API server does no harm.
    """

    watch: int = 60
    silence: float = 90.0
    tolerated: float = 5.0


def retry_delay(failures: int) -> float:
    """Return the seconds to wait after the given number of consecutive failures: 1, 2, 4, 8, 15, 15, ..."""
    return min(2.0 ** (failures - 1), _MAX_RETRY_SECONDS)


class ObjectCache(Generic[T]):
    """Keeps the objects of one kind up to date, and finds them by their Job.

    Attributes:
        kind: Kind of the objects, for messages.
        error: Why the watch failed; empty while the watch works.

    Args:
        kind: Kind of the objects in the plural, such as "pods", for messages.
        call: Method of the Kubernetes client that lists these objects.
        parse: Converts an object from its JSON form.
        job_of: Returns the name of the Job that an object belongs to.
        drop: Fields that are removed to save memory, as pairs such as ("spec", "template").
        times: Times of the cache; by default the default values of `CacheTimes`.
        selectors: Keyword arguments of `call`, such as the namespace, that restrict the list.
    """

    def __init__(
        self,
        kind: str,
        call: Callable[..., Response],
        parse: Callable[[Object], T],
        job_of: Callable[[T], str],
        drop: Sequence[tuple[str, str]] = (),
        times: CacheTimes | None = None,
        **selectors: str,
    ) -> None:
        self.kind = kind
        self.error = ""
        self._call = call
        self._parse = parse
        self._job_of = job_of
        self._drop = (("metadata", "managedFields"), *drop)
        self._times = times or CacheTimes()
        self._objects: dict[str, dict[str, T]] = defaultdict(dict)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._listed = threading.Event()
        self._failed_at: float | None = None
        self._failures = 0
        self._informer = SharedInformer(self._fetch, resync_period=_RESYNC_SECONDS, **selectors)
        for event, handler in ((ADDED, self._put), (MODIFIED, self._put), (DELETED, self._remove), (ERROR, self._fail)):
            self._informer.add_event_handler(event, handler)
        self._informer.start()

    def of(self, job: str) -> list[T]:
        """Return the objects that belong to a Job."""
        with self._changed:
            return list(self._objects.get(job, {}).values())

    def all(self) -> list[T]:
        """Return the objects of all Jobs."""
        with self._changed:
            return [item for items in self._objects.values() for item in items.values()]

    def wait_for(self, job: str, seconds: float) -> None:
        """Wait until an object of a Job is known, at most the given number of seconds."""
        with self._changed:
            self._changed.wait_for(lambda: job in self._objects, seconds)

    def is_current(self, seconds: float) -> bool:
        """Return whether the objects are up to date; wait at most the given number of seconds for the first list."""
        if not self._listed.wait(seconds):
            return False
        failed_at = self._failed_at
        return failed_at is None or time.monotonic() - failed_at < self._times.tolerated

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()
        # A watch that is just being opened cannot be stopped; its thread ends with the process.
        stopping = threading.Thread(target=self._informer.stop, daemon=True)
        stopping.start()
        stopping.join(_CLOSE_SECONDS)

    def _fetch(self, **arguments: object) -> Response:
        """List or watch the objects, when the informer or its watch calls.

        The Kubernetes client reads the next line of this docstring. Because of it, the client returns plain
        dictionaries with resource versions.

        :rtype: object
        """
        if self._closing.is_set():
            raise ApiException(status=0, reason="closing")
        if arguments.get("watch"):
            timeout = (_CONNECT_SECONDS, self._times.silence)
            asked = {**arguments, "timeout_seconds": self._times.watch, "allow_watch_bookmarks": True}
            response = self._call(**asked, _request_timeout=timeout)
            self._recover()
            return response
        response = self._call(**arguments, _preload_content=False, _request_timeout=REQUEST_TIMEOUT)
        page = json.loads(response.data)
        version = page["metadata"]["resourceVersion"]
        return SimpleNamespace(items=page["items"], metadata=SimpleNamespace(resource_version=version))

    def _put(self, item: Object) -> None:
        for part, field in self._drop:
            item.get(part, {}).pop(field, None)
        parsed = self._parse(item)
        with self._changed:
            self._objects[self._job_of(parsed)][item["metadata"]["name"]] = parsed
            self._changed.notify_all()

    def _remove(self, item: Object) -> None:
        job = self._job_of(self._parse(item))
        with self._changed:
            self._objects[job].pop(item["metadata"]["name"], None)
            if not self._objects[job]:
                del self._objects[job]
            self._changed.notify_all()

    def _recover(self) -> None:
        if self._failed_at is not None:
            _log.event("watch_recovered", kind=self.kind, seconds=round(time.monotonic() - self._failed_at, 1))
        self._failed_at, self._failures, self.error = None, 0, ""
        self._listed.set()

    def _fail(self, error: object) -> None:
        """Record a failed watch, and wait before the informer retries, because it does not wait itself."""
        if self._closing.is_set():
            return
        if isinstance(error, ApiException) and error.status == HTTPStatus.GONE:
            # The server has forgotten where the last watch ended. The informer lists the objects again.
            self._closing.wait(retry_delay(1))
            return
        self._failures += 1
        self.error = error_text(error)
        if self._failed_at is None:
            self._failed_at = time.monotonic()
            _log.warning("watch_failed", kind=self.kind, detail=self.error)
        self._closing.wait(retry_delay(self._failures))


def error_text(error: object) -> str:
    """Return an error of the Kubernetes client as one line: the API server's own message if it sent one."""
    if isinstance(error, ApiException):
        try:
            return str(json.loads(error.body or "")["message"])
        except (ValueError, KeyError, TypeError):
            return str(error.reason)
    return " ".join(str(error).split())[:500]
