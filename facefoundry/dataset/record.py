"""The run record: what a dataset run did, as the report reads it from `misc/report/run.json`."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from facefoundry import __version__

__all__ = ["FORMAT", "FakeRecord", "PairRecord", "RunRecord", "SequenceRecord", "TrainingRecord", "name_in"]

FORMAT = "facefoundry.run/1"


@dataclass
class SequenceRecord:
    """A sequence and its extraction. `fps` is a fraction such as `30/1`; sizes are in pixels."""

    source_uri: str = ""
    frames: int = 0
    fps: str = ""
    width: int = 0
    height: int = 0
    faces: int = 0
    missing: list[dict[str, Any]] = field(default_factory=list)
    extraction_uri: str = ""
    content_digest: str = ""
    samples: list[str] = field(default_factory=list)


@dataclass
class TrainingRecord:
    """A pair's training. `losses` has rows `[iteration, loss on A, loss on B]`."""

    uri: str = ""
    model_uri: str = ""
    iterations: int = 0
    iteration: int = 0
    seconds: float = 0.0
    iterations_per_second: float = 0.0
    attempt: int = 0
    losses: list[list[float]] = field(default_factory=list)
    previews: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class FakeRecord:
    """A manipulated sequence: the target's frames with the source's face. `reused` if it was found, not made."""

    id: str
    target: str
    source: str
    reused: bool = False
    uri: str = ""
    content_digest: str = ""
    frames: int = 0
    swapped: int = 0
    labels: list[int] = field(default_factory=list)
    reasons: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    quality: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, Any] | None = None
    mouth_correlation: float | None = None


@dataclass
class PairRecord:
    """A pair. `state` is `pending`, `running`, `done` or `failed`."""

    id: str
    a: str
    b: str
    state: str = "pending"
    failure: dict[str, str] | None = None
    training: TrainingRecord = field(default_factory=TrainingRecord)
    fakes: list[FakeRecord] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Nothing about it changes any more."""
        return self.state in ("done", "failed")

    @property
    def was_done(self) -> bool:
        """Say whether the pair is done and both manipulated sequences were found in the store, so nothing was made."""
        return self.state == "done" and bool(self.fakes) and all(fake.reused for fake in self.fakes)


@dataclass
class RunRecord:
    """A whole run; changed by many threads under `lock` and written whole."""

    name: str
    command: str
    recipe: dict[str, Any]
    seed: int | None = None
    format: str = FORMAT
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=lambda: {"facefoundry": __version__})
    rights: str = "unstated"
    sequences: dict[str, SequenceRecord] = field(default_factory=dict)
    pairs: list[PairRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._started = time.monotonic()
        self._ended: dict[str, bytes] = {}

    def end(self, pair: PairRecord, failure: dict[str, str] | None) -> None:
        """Note that a pair is done, or that it failed.

        It no longer changes then: its JSON is made once, and keeps the losses and labels, which the pair lets go of.
        """
        with self.lock:
            pair.state = "failed" if failure else "done"
            pair.failure = failure
            self._ended[pair.id] = _to_json(pair)
            pair.training.losses = []
            for fake in pair.fakes:
                fake.labels = []

    def to_json(self) -> bytes:
        """The record as JSON."""
        with self.lock:
            self.seconds = round(time.monotonic() - self._started, 1)
            rest = b", ".join(
                b'"%s": %s' % (name.encode(), _to_json(value))
                for name, value in _fields(self).items()
                if name != "pairs"
            )
            pairs = (self._ended.get(pair.id) or _to_json(pair) for pair in self.pairs)
            return b'{%s, "pairs": [%s]}' % (rest, b", ".join(pairs))

    def write(self, folder: Path) -> bytes:
        """Write `run.json` into a folder, whole or not at all, and return its bytes."""
        data = self.to_json()
        with self.lock:
            partial = folder / "run.json.partial"
            partial.write_bytes(data)
            partial.replace(folder / "run.json")
        return data


def _to_json(value: Any) -> bytes:
    return json.dumps(value, default=_fields).encode()


def _fields(record: Any) -> dict[str, Any]:
    """A dataclass as a dict of its own values: `asdict` would copy them all, of thousands of pairs hundreds of MB."""
    return {each.name: getattr(record, each.name) for each in fields(record)}


def name_in(folder: Path) -> str | None:
    """The name of the run whose record lies in a folder, so that it is kept; nothing where there is no record."""
    try:
        name = json.loads((folder / "run.json").read_bytes())["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) and name else None
