"""Applies the limits of a sandbox's run: time, memory and disk."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from facefoundry.errors import Unusable
from facefoundry.process.sandbox.isolation import Isolation
from facefoundry.process.sandbox.limits import Limits
from facefoundry.process.sandbox.run import Run

__all__ = ["Watchdog"]

_WATCH_SECONDS = 0.1
_TREE_EVERY = 5
_DISK_EVERY = 10


class Watchdog:
    """Kills a run when it exceeds a limit of time, memory or disk. It watches from a thread of its own.

    `verdict` then returns the error.
    """

    def __init__(self, run: Run, limits: Limits, isolation: Isolation | None = None) -> None:
        self._run = run
        self._limits = limits
        self._folder = isolation.folder if isolation else None
        self._waits_since: float | None = None
        self._verdict: Unusable | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sandbox-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Apply the time limit during the block, in which the parent waits for a message."""
        self._waits_since = time.monotonic()
        try:
            yield
        finally:
            self._waits_since = None

    def verdict(self) -> Unusable | None:
        """Return the error that says which limit the run exceeded; None if it exceeded none."""
        return self._verdict

    def _watch(self) -> None:
        rounds = 0
        while not self._over.wait(_WATCH_SECONDS):
            rounds += 1
            resident = self._run.resident_bytes(descendants=not rounds % _TREE_EVERY)
            since = self._waits_since
            waited = time.monotonic() - since if since is not None else 0.0
            if resident > self._limits.memory_bytes:
                self._verdict = Unusable(
                    f"Working on the media took {resident >> 20} MiB of memory, over the limit of "
                    f"{self._limits.memory_bytes >> 20} MiB, and was stopped. "
                    "Use a smaller input, or raise FACEFOUNDRY_SANDBOX_MEMORY_BYTES of the service.",
                    reason="MEDIA_MEMORY",
                )
            elif waited > self._limits.seconds:
                self._verdict = Unusable(
                    f"Working on the media showed no progress for {self._limits.seconds:g} s and was stopped. "
                    "Use a smaller input, or raise FACEFOUNDRY_SANDBOX_SECONDS of the service.",
                    reason="MEDIA_TIMEOUT",
                )
            elif self._folder and self._limits.disk_bytes is not None and not rounds % _DISK_EVERY:
                used = _bytes_below(self._folder)
                if used > self._limits.disk_bytes:
                    self._verdict = Unusable(
                        f"Working on the media took {used >> 20} MiB of disk, over the limit of "
                        f"{self._limits.disk_bytes >> 20} MiB, and was stopped. "
                        "Use a smaller input, or raise FACEFOUNDRY_SANDBOX_DISK_BYTES of the service.",
                        reason="MEDIA_DISK",
                    )
            if self._verdict is not None:
                self._run.kill()
                return


def _bytes_below(folder: Path) -> int:
    """Return how much the files below a folder occupy, in bytes. Files that are removed meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_blocks * 512
    return total
