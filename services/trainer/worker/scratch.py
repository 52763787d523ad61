"""Notices that a worker fills its scratch folder, before Kubernetes evicts its pod for that.

An eviction for a full volume counts as a failure, so the Job would start workers that fill it again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["used_bytes", "watch"]


def used_bytes(folder: Path) -> int:
    """Return the bytes on disk of all files below a folder. Files that vanish meanwhile are left out."""
    used = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                used += (Path(parent) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return used


def watch(folder: Path, limit: int, on_full: Callable[[int], object], every_seconds: float = 2.0) -> None:
    """Call `on_full` with the bytes used once a folder has more than `limit` bytes; return afterwards."""
    while (used := used_bytes(folder)) <= limit:
        time.sleep(every_seconds)
    on_full(used)
