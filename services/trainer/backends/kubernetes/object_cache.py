"""One kind of object of a namespace, kept current by a watch, and found by the Job it belongs to.

`SharedInformer` has three traits that this module lives with: it retries a failed watch at once and for ever, it never
ends a watch whose peer has gone silent, and its cache says nothing of its age.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from kubernetes.client.exceptions import ApiException
from kubernetes.informer import ADDED, DELETED, ERROR, MODIFIED, SharedInformer

from facefoundry.telemetry import logger
from services.trainer.backends.kubernetes.template import Object

__all__ = ["REQUEST_TIMEOUT", "ObjectCache", "said"]

# Seconds to connect and of silence.
REQUEST_TIMEOUT = (5.0, 30.0)
# The API server sends a bookmark a minute; a watch that is silent for longer has lost its peer.
_WATCH_TIMEOUT = (5.0, 90.0)
_RESYNC_SECONDS = 300
# Restarts of an API server are shorter than this and make no stir.
_TOLERATED_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 15.0
_log = logger(__name__)


class ObjectCache:
    """Objects in their JSON form, by Job.

    Attributes:
        kind: What they are, for people.
        why: What the API server said when it was lost.

    Args:
        kind: What they are.
        call: Lists them, as a method of the official client.
        job_of: Name of the Job that an object belongs to.
        drop: Fields that nobody reads, as (part, field); they are let go, to save memory.
        selectors: Keyword arguments that narrow the list down.
    """

    def __init__(
        self,
        kind: str,
        call: Callable[..., Any],
        job_of: Callable[[Object], str],
        drop: Sequence[tuple[str, str]] = (),
        **selectors: str,
    ) -> None:
        self.kind = kind
        self.why = ""
        self._call = call
        self._job_of = job_of
        self._drop = (("metadata", "managedFields"), *drop)
        self._objects: dict[str, dict[str, Object]] = defaultdict(dict)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._listed = threading.Event()
        self._lost: float | None = None
        self._failures = 0
        self._informer = SharedInformer(self._fetch, resync_period=_RESYNC_SECONDS, **selectors)
        for event, handler in ((ADDED, self._put), (MODIFIED, self._put), (DELETED, self._remove), (ERROR, self._fail)):
            self._informer.add_event_handler(event, handler)
        self._informer.start()

    def of(self, job: str) -> list[Object]:
        """Those that belong to a Job; they are not to be changed."""
        with self._changed:
            return list(self._objects.get(job, {}).values())

    def wait_for(self, job: str, seconds: float) -> None:
        """Wait until something of a Job is known, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: job in self._objects, seconds)

    def current(self, seconds: float) -> bool:
        """Whether what is known is what the API server says; a first list is waited for so long."""
        if not self._listed.wait(seconds):
            return False
        lost = self._lost
        return lost is None or time.monotonic() - lost < _TOLERATED_SECONDS

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()
        # A watch that is just being opened cannot be stopped; its thread dies with the process.
        stopping = threading.Thread(target=self._informer.stop, daemon=True)
        stopping.start()
        stopping.join(2.0)

    def _fetch(self, **arguments: Any) -> Any:
        """List or watch; the informer and its watch call it.

        The next line has the client hand out plain dictionaries and still follow their resource versions.

        :rtype: object
        """
        if self._closing.is_set():
            raise ApiException(status=0, reason="closing")
        if arguments.get("watch"):
            answer = self._call(**arguments, allow_watch_bookmarks=True, _request_timeout=_WATCH_TIMEOUT)
            self._found()
            return answer
        answer = self._call(**arguments, _preload_content=False, _request_timeout=REQUEST_TIMEOUT)
        page = json.loads(answer.data)
        version = page["metadata"]["resourceVersion"]
        return SimpleNamespace(items=page["items"], metadata=SimpleNamespace(resource_version=version))

    def _put(self, item: Object) -> None:
        for part, field in self._drop:
            item.get(part, {}).pop(field, None)
        with self._changed:
            self._objects[self._job_of(item)][item["metadata"]["name"]] = item
            self._changed.notify_all()

    def _remove(self, item: Object) -> None:
        job = self._job_of(item)
        with self._changed:
            self._objects[job].pop(item["metadata"]["name"], None)
            if not self._objects[job]:
                del self._objects[job]
            self._changed.notify_all()

    def _found(self) -> None:
        if self._lost is not None:
            _log.event("watch_found", kind=self.kind, seconds=round(time.monotonic() - self._lost, 1))
        self._lost, self._failures, self.why = None, 0, ""
        self._listed.set()

    def _fail(self, error: object) -> None:
        """Note a lost watch, and wait: the informer itself would try again at once."""
        if self._closing.is_set():
            return
        self._failures += 1
        self.why = said(error)
        if self._lost is None:
            self._lost = time.monotonic()
            _log.warning("watch_lost", kind=self.kind, detail=self.why)
        self._closing.wait(min(2.0 ** (self._failures - 1), _LONGEST_WAIT_SECONDS))


def said(error: object) -> str:
    """What the API server said, or what was wrong with reaching it, in one line."""
    if isinstance(error, ApiException):
        try:
            return str(json.loads(error.body or "")["message"])
        except (ValueError, KeyError, TypeError):
            return str(error.reason)
    return " ".join(str(error).split())[:500]
