"""What a run tells its watcher while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Event", "OnEvent"]


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        item: Id of the pair, sequence or fake.
        stage: `upload`, `extract`, `train`, `convert`, `transcode`, `compare` or `fetch`; `pair` for all of a pair.
        state: `waiting`, `running`, `done` or `failed`.
        done: Units done.
        total: Units in all; 0 while unknown.
        unit: `bytes`, `frames` or `iterations`.
        message: A sentence, when there is something to say.
    """

    item: str
    stage: str
    state: str
    done: int = 0
    total: int = 0
    unit: str = ""
    message: str = ""


OnEvent = Callable[[Event], None]
