"""Events that a dataset run reports while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Event", "OnEvent"]


@dataclass(frozen=True)
class Event:
    """A change in the progress of one stage of one item.

    Attributes:
        item: Id of the pair, sequence or fake.
        stage: `upload`, `extract`, `train`, `convert`, `control`, `transcode`, `compare` or `fetch`; `pair` for a
            whole pair, `record` for saving the run record.
        state: `waiting`, `running`, `done` or `failed`.
        done: Finished units.
        total: Units of the stage in total; 0 while unknown.
        unit: `bytes`, `frames` or `iterations`.
        message: A sentence for the user, or empty.
    """

    item: str
    stage: str
    state: str
    done: int = 0
    total: int = 0
    unit: str = ""
    message: str = ""


OnEvent = Callable[[Event], None]
