"""What the check of a dataset found: one table for the terminal, and files for people and programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from jinja2 import Environment, PackageLoader, StrictUndefined

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.dataset import files
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import Estimate
from facefoundry.dataset.rights import ClipRights
from facefoundry.dataset.splits import SPLITS
from facefoundry.dataset.tables import html_table
from facefoundry.planning.check import CheckFolder
from facefoundry.planning.estimate import Rates
from facefoundry.planning.facts import ClipFacts, oddness
from facefoundry.planning.resolve import ResolvedDataset, splits_json
from facefoundry.report.wording import duration

__all__ = ["Outcome", "Row"]

_NAMED = 6


@dataclass(frozen=True)
class Row:
    """A row of the table: what was checked, the state `ok`, `look` or `fails`, and what was found."""

    what: str
    state: str
    found: str


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        name: Name of the dataset.
        resolved: Clips, splits and pairs.
        facts: What was found out about each clip, by id.
        rates: What an earlier run measured.
        estimate: What the dataset costs.
        rights: The rights to the clips.
        today: The day by which rights are judged.
    """

    name: str
    resolved: ResolvedDataset
    facts: dict[str, ClipFacts]
    rates: Rates
    estimate: Estimate
    rights: ClipRights
    today: date

    @property
    def unusable(self) -> list[str]:
        """The clips that a run would refuse."""
        return [clip for clip, facts in self.facts.items() if not facts.has_faces]

    @property
    def failing(self) -> list[Pair]:
        """The pairs that a run would fail on."""
        refused = set(self.unusable)
        return [pair for pair in self.resolved.pairs if refused.intersection(pair)]

    @property
    def doubles(self) -> list[list[str]]:
        """The clips of one content under several names. A pair of two of them is refused by a run."""
        by_source: dict[str, list[str]] = {}
        for clip, facts in self.facts.items():
            if facts.source_uri:
                by_source.setdefault(facts.source_uri, []).append(clip)
        return [sorted(clips) for clips in by_source.values() if len(clips) > 1]

    def table(self) -> list[Row]:
        """Return the rows of the table."""
        resolved, cost = self.resolved, self.estimate
        unread = self._where(lambda facts: bool(facts.reason))
        faceless = self._where(lambda facts: not facts.reason and not facts.has_faces)
        few = self._where(lambda facts: facts.has_few_faces)
        numbers, readable = f"{len(self.facts)} clips", len(self.facts) - len(unread)
        pairs = ", ".join(f"{name} {len(resolved.pairs_of(name))}" for name in SPLITS) if resolved.split_of else "none"
        findings = resolved.findings()
        warnings = self.rights.warnings(self.today)
        doubles = [" = ".join(clips) for clips in self.doubles]
        return [
            Row("readable", "fails" if unread else "ok", f"{readable} of {numbers}{_in(unread, ', not ')}"),
            Row("without a face", "fails" if faceless else "ok", f"{len(faceless)}{_in(faceless)}"),
            Row("few faces", "look" if few else "ok", f"{len(few)}{_in(few)}"),
            self._row("several faces", lambda facts: facts.crowded > 0),
            self._row("cuts", lambda facts: bool(facts.cuts)),
            Row("same clip", "look" if doubles else "ok", f"{len(doubles)}{_in(doubles)}"),
            Row("rights", "look" if warnings else "ok", self.rights.summary()),
            *(Row("", "look", warning) for warning in warnings),
            Row("ids changed", "ok", f"{len(resolved.renamed)}{', see ids.json' if resolved.renamed else ''}"),
            Row("pairs by split", "look" if findings else "ok", pairs),
            *(Row("", "look", finding) for finding in findings),
            Row(
                "pairs that can be made",
                "fails" if self.failing else "ok",
                f"{len(resolved.pairs) - len(self.failing)} of {len(resolved.pairs)}",
            ),
            Row("training", "ok", _or_unknown(cost.training_hours, self._training_time)),
            Row("other work", "ok", _time("CPU", cost.cpu_hours)),
            Row("in the bucket", "ok", f"{_size(cost.stored_bytes)}, videos apart"),
            Row("videos", "ok", _or_unknown(cost.video_bytes, _size)),
        ]

    def _repr_html_(self) -> str:
        return html_table(("check", "", "found"), ((row.what, row.state, row.found) for row in self.table()), self.name)

    def write(self, folder: CheckFolder) -> None:
        """Write ids, filelist, splits, the findings as JSON, and the page of contact sheets."""
        texts = {
            "filelist.json": json.dumps([list(pair) for pair in self.resolved.pairs]) + "\n",
            "ids.json": json.dumps(self.resolved.renamed, indent=1) + "\n",
            "check.json": json.dumps(self.to_values(), indent=1) + "\n",
            "index.html": self._page(),
            **splits_json(self.resolved),
        }
        for name, text in texts.items():
            files.write(folder.path / name, text.encode())

    def to_values(self) -> JsonObject:
        """Convert to JSON values."""
        rows: list[codec.JsonValue] = [codec.to_values(row) for row in self.table()]
        clips: JsonObject = {clip: list(found) for clip in self.facts if (found := self.facts[clip].findings())}
        return {
            "name": self.name,
            "rows": rows,
            "rates": codec.to_values(self.rates),
            "estimate": codec.to_values(self.estimate),
            "findings": clips,
        }

    def _page(self) -> str:
        """Return the page with the contact sheets: first clips that fail, then those with the most different faces."""
        environment = Environment(
            loader=PackageLoader("facefoundry.planning", ""),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        odd = {clip: max(oddness(facts.samples), default=0.0) for clip, facts in self.facts.items()}
        order = sorted(self.facts.values(), key=lambda facts: (facts.has_faces, -odd[facts.id], facts.id))
        return environment.get_template("check.html").render(
            name=self.name, rows=self.table(), clips=order, odd=odd, split_of=self.resolved.split_of
        )

    def _where(self, holds: Callable[[ClipFacts], bool]) -> list[str]:
        return [clip for clip, facts in self.facts.items() if holds(facts)]

    def _training_time(self, hours: float) -> str:
        return _time("GPU", hours) if self.rates.on_gpu else f"{duration(hours * 3600)} without a GPU"

    def _row(self, what: str, holds: Callable[[ClipFacts], bool]) -> Row:
        clips = self._where(holds)
        return Row(what, "look" if clips else "ok", f"{len(clips)}{_in(clips)}")


def _in(clips: Sequence[str], words: str = ": ") -> str:
    more = f" and {len(clips) - _NAMED} more" if len(clips) > _NAMED else ""
    return f"{words}{', '.join(clips[:_NAMED])}{more}" if clips else ""


def _or_unknown(value: float | None, write: Callable[[float], str]) -> str:
    return "unknown: --rates OUT takes the rates of an earlier run" if value is None else write(value)


def _time(device: str, hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} {device}-hours"
    return f"{hours * 60:.0f} {device}-minutes" if hours * 60 >= 1 else f"{hours * 3600:.0f} {device}-seconds"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
