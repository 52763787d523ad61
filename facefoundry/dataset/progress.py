"""The events by which a dataset run reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Event", "OnEvent"]


@dataclass(frozen=True)
class Event:
    """A change in the progress of a stage.

    Attributes:
        item: Id of the pair, sequence or fake that the stage works on.
        stage: `upload`, `extract`, `train`, `fetch`, `convert`, `transcode`, `compare swap` or `compare control`;
            `pair` for a whole pair, `record` for saving the run record.
        state: `waiting`, `running`, `done` or `failed`; `doubt` for a sentence on a clip or a training that
            a person should look at.
        done: Number of finished units.
        total: Total number of units; 0 while unknown.
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
