"""What a child does, done in this process: the messages of a target, read as its parent reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facefoundry.work import messages
from facefoundry.work.messages import PartsReady, Progress, Result, Resumed
from facefoundry.work.workspace import Workspace


@dataclass(frozen=True)
class Done:
    """All that a target yielded.

    Attributes:
        messages: In order.
        parts: Path of every part that was made, by name.
        result: The last message.
    """

    messages: list[Any]
    parts: dict[str, Path]
    result: Result[Any]

    @property
    def progress(self) -> list[Progress]:
        return [message for message in self.messages if isinstance(message, Progress)]

    @property
    def resumed(self) -> tuple[str, ...]:
        (first,) = [message for message in self.messages if isinstance(message, Resumed)]
        assert self.messages[0] is first
        return first.parts


def do(yielded: Iterable[Any], workspace: Workspace) -> Done:
    """Collect the messages of a target; each goes through JSON, as between processes."""
    received = [_through_json(message) for message in yielded]
    names = [name for message in received if isinstance(message, PartsReady) for name in message.parts]
    assert isinstance(received[-1], Result)
    return Done(received, {name: workspace.made_part(name) for name in names}, received[-1])


def workspace(folder: Path, finished: dict[str, Path] | None = None) -> Workspace:
    """A workspace with copies of finished parts."""
    made = Workspace(folder, tuple(finished or {})).create()
    for name, path in (finished or {}).items():
        made.finished_part(name).write_bytes(path.read_bytes())
    return made


def _through_json(message: Any) -> Any:
    info = type(message.info) if isinstance(message, Result) else Progress
    received = messages.decode(json.loads(json.dumps(messages.encode(message))), info)
    assert received == message
    return received
