"""The datasheet of a finished dataset: what it is, how it was made, and what its limits are, from its records."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from facefoundry.checks import leaks as leak_test
from facefoundry.checks.leaks import LeakReport
from facefoundry.codec import JsonObject
from facefoundry.dataset import files
from facefoundry.dataset.dropped import dropped_file, read_dropped
from facefoundry.dataset.gates import Gate
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.plan import Pair, read_filelist
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord
from facefoundry.dataset.rights import RIGHTS_FILE, UNSTATED, ClipRights, read_rights
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.splits import split_files
from facefoundry.dataset.tables import html_table
from facefoundry.dataset.verdict import held_to

__all__ = ["UNSAID", "Datasheet", "Section", "datasheet_of", "read_datasheet", "write_datasheet"]

UNSAID = "Not stated."
"""The paragraph of a section of which the dataset file says nothing."""
_QUARTERS = 4


@dataclass(frozen=True)
class Section:
    """A section: its title, paragraphs, and a table, whose first row is the head; empty without one."""

    title: str
    paragraphs: tuple[str, ...]
    table: tuple[tuple[str, ...], ...] = ()

    @property
    def is_stated(self) -> bool:
        """Whether it says anything."""
        return self.paragraphs != (UNSAID,)

    @property
    def text(self) -> str:
        """Its paragraphs, and a sentence for each row of its table."""
        rows = (zip(self.table[0], row, strict=True) for row in self.table[1:])
        sentences = (", ".join(f"{head} {cell}".strip() for head, cell in row if cell) + "." for row in rows)
        return " ".join([*self.paragraphs, *sentences])


@dataclass(frozen=True)
class Datasheet:
    """The datasheet of a dataset.

    Attributes:
        name: Name of the dataset.
        sections: Its sections.
    """

    name: str
    sections: tuple[Section, ...]

    def section(self, title: str) -> Section:
        """Return the section with a title, such as `Rights`."""
        return next(section for section in self.sections if section.title == title)

    def markdown(self) -> str:
        """Return the page as Markdown."""
        blocks = [f"# Datasheet of {_plain(self.name)}"]
        for section in self.sections:
            blocks += [f"## {section.title}", *map(_plain, section.paragraphs)]
            if section.table:
                rows = [f"| {' | '.join(map(_plain, row))} |" for row in section.table]
                blocks.append("\n".join([rows[0], f"|{'---|' * len(section.table[0])}", *rows[1:]]))
        return "\n\n".join(blocks) + "\n"

    def html(self) -> str:
        """Return the page as HTML, in one file."""
        parts = [f"<h1>Datasheet of {html.escape(self.name)}</h1>"]
        for section in self.sections:
            parts.append(f"<h2>{html.escape(section.title)}</h2>")
            parts += [f"<p>{html.escape(text)}</p>" for text in section.paragraphs]
            if section.table:
                parts.append(html_table(section.table[0], section.table[1:]))
        style = "body{font-family:sans-serif;max-width:60em;margin:2em auto}td,th{padding:.2em 1em;text-align:left}"
        head = f'<meta charset="utf-8"><title>{html.escape(self.name)}</title><style>{style}</style>'
        return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def write_datasheet(layout: Layout) -> Datasheet:
    """Write `datasheet.md` and `datasheet.html` into the folder of a dataset, and return what they say.

    It raises the errors of `read_datasheet`.
    """
    made = read_datasheet(layout)
    files.write(layout.root / "datasheet.md", made.markdown().encode())
    files.write(layout.root / "datasheet.html", made.html().encode())
    return made


def read_datasheet(layout: Layout) -> Datasheet:
    """Return the datasheet of a dataset in a folder.

    Raises:
        NotFound: the folder has no run record.
        DataLoss: a record is damaged.
    """
    folder = RunFolder(layout.run_folder())
    rights = layout.filelist().parent / RIGHTS_FILE
    run = folder.load_run()
    return datasheet_of(
        run,
        list(folder.load_pairs()),
        read_rights(rights) if rights.is_file() else ClipRights.unstated(run.sequences),
        {name: read_filelist(path, may_be_empty=True) for name, path in split_files(layout).items() if path.is_file()},
        leak_test.read(layout),
        [fake.id for fake in read_dropped(dropped_file(layout))],
    )


def datasheet_of(
    run: RunRecord,
    pairs: Sequence[PairRecord],
    rights: ClipRights,
    splits: Mapping[str, Sequence[Pair]],
    leaks: LeakReport | None,
    dropped: Sequence[str],
) -> Datasheet:
    """Return the datasheet of a dataset.

    Args:
        run: The run record.
        pairs: The records of its pairs.
        rights: The rights to its clips.
        splits: The pairs of each split, by its name; empty without splits.
        leaks: What the leak test found; None if it was not made.
        dropped: Ids of the fakes that gates left out.
    """
    about, sequences = run.about, list(run.sequences.values())
    fakes = [fake for pair in pairs for fake in pair.fakes if fake.id not in dropped]
    frames, faces = sum(each.frames for each in sequences), sum(each.faces for each in sequences)
    swapped = sum(fake.swapped for fake in fakes)
    return Datasheet(
        run.name,
        (
            Section("Motivation", (about.motivation or UNSAID,)),
            Section(
                "Composition",
                (
                    f"{len(sequences)} real videos with {frames} frames, of which {faces} show the subject's face; "
                    f"{len(fakes)} fakes with {sum(fake.frames for fake in fakes)} frames, of which {swapped} are "
                    f"swapped. {run.done} of {len(run.pairs)} pairs are done.",
                ),
            ),
            Section("Collection", (about.collection or UNSAID,)),
            Section("Recipe", (f"Made by {_versions(run)} from {run.created} on.",), _recipe(run.recipe)),
            Section("Splits", () if splits else ("There are none.",), _splits(splits)),
            Section("Quality of the fakes", ("Quarters of what was measured (docs/quality.md).",), _quality(fakes)),
            Section("Gates", (f"{len(dropped)} fakes were left out.",), _gates(run, pairs)),
            _leaks(run, leaks),
            Section("Rights", (f"{rights.summary().capitalize()}.",), _rights(rights)),
            Section("Limits", tuple(_limits(run, fakes, rights, leaks, dropped))),
            Section("Maintenance", (about.maintenance or UNSAID,)),
            Section("Contact", (about.contact or UNSAID,)),
        ),
    )


def _limits(
    run: RunRecord, fakes: Sequence[FakeRecord], rights: ClipRights, leaks: LeakReport | None, dropped: Sequence[str]
) -> Iterator[str]:
    """Say what the dataset lacks: first what all datasets do, then what its records tell."""
    yield (
        "All fakes were made by one method, a shared encoder with two decoders. A detector of them need not find other "
        "manipulations. Faces show the poses and lights of these clips only."
    )
    unstated = sum(digest == UNSTATED for digest in rights.clips.values())
    if unstated:
        yield f"Rights are unstated for {unstated} of {len(rights.clips)} clips."
    if run.failures:
        reasons = Counter(failure.reason for failure in run.failures.values())
        yield f"{len(run.failures)} of {len(run.pairs)} pairs failed and are missing: {_counted(reasons)}."
    if left := len(run.pairs) - run.done - len(run.failures):
        yield f"{left} of {len(run.pairs)} pairs have not ended."
    if dropped:
        made = len(fakes) + len(dropped)
        yield f"Gates left {len(dropped)} of {made} fakes out, so what they measure is better here than the method is."
    if unswapped := sum(fake.frames - fake.swapped for fake in fakes):
        reasons = Counter[str]()
        for fake in fakes:
            reasons.update({each.reason: each.frames for each in fake.reasons})
        why = f": {_counted(reasons)}" if reasons else ""
        yield f"{unswapped} of {sum(fake.frames for fake in fakes)} frames of fakes show the target's own face{why}."
    if leaks is None:
        yield "Nobody has tested whether something else than the face tells fakes from real videos."


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _recipe(recipe: JsonObject) -> tuple[tuple[str, ...], ...]:
    rows = [("field", "value"), ("name", str(recipe.get("name", "")))]
    for group in ("extraction", "training", "conversion"):
        values = recipe.get(group)
        rows += [(f"{group}.{name}", str(value)) for name, value in values.items()] if isinstance(values, dict) else []
    compression = recipe.get("compression")
    levels = compression.get("levels") if isinstance(compression, dict) else None
    for level in levels if isinstance(levels, list) else []:
        if isinstance(level, dict):
            options = ", ".join(f"{name} {value}" for name, value in level.items() if name != "name")
            rows.append((f"compression.{level.get('name', '')}", options))
    return tuple(rows)


def _splits(splits: Mapping[str, Sequence[Pair]]) -> tuple[tuple[str, ...], ...]:
    clips = {name: {clip for pair in pairs for clip in pair} for name, pairs in splits.items()}
    rows = [(name, str(len(pairs)), str(len(clips[name]))) for name, pairs in splits.items()]
    return (("split", "pairs", "clips"), *rows) if rows else ()


def _quality(fakes: Sequence[FakeRecord]) -> tuple[tuple[str, ...], ...]:
    found: dict[str, list[float]] = {}
    for fake in fakes:
        for name, value in fake.quality.items():
            if value is not None:
                found.setdefault(name, []).append(value)
    rows = [
        (name, str(len(values)), *(f"{cut:.3g}" for cut in _cuts(values))) for name, values in sorted(found.items())
    ]
    return (("measure", "fakes", "least", "quarter", "median", "three quarters", "most"), *rows) if rows else ()


def _cuts(values: Sequence[float]) -> list[float]:
    inner = quantiles(values, n=_QUARTERS, method="inclusive") if len(values) > 1 else [values[0]] * (_QUARTERS - 1)
    return [min(values), *inner, max(values)]


def _gates(run: RunRecord, pairs: Iterable[PairRecord]) -> tuple[tuple[str, ...], ...]:
    """Return how many fakes did not reach the bar of each gate, those among them that it left out."""
    fakes = [fake for pair in pairs for fake in pair.fakes]
    rows = [
        (gate.measure, gate.bars, gate.action, str(sum(_fails(fake, gate) for fake in fakes)))
        for gate in held_to(run.gates, fakes)
    ]
    return (("measure", "bar", "action", "fakes that fail"), *rows) if rows else ()


def _fails(fake: FakeRecord, gate: Gate) -> bool:
    return any(
        (failed.measure, failed.action) == (gate.measure, gate.action) and failed.bar in (gate.min, gate.max)
        for failed in fake.failed
    )


def _leaks(run: RunRecord, leaks: LeakReport | None) -> Section:
    if leaks is None:
        return Section("Leaks", ("The leak test was not made. `facefoundry check-leaks` makes it.",))
    text = f"The leak test of {leaks.created} found {len(leaks.leaks)} leaks in {leaks.fakes} fakes; "
    text += f"{len(leaks.untested)} rows were not tested. 0.5 is chance, and intervals are in brackets."
    if leaks.is_older(run.created, run.seconds):
        text += " The run worked after this test, so it says nothing of the newest fakes."
    head = ("level", "family", "state", "AUC alone", "AUC beside its target", "what was found")
    rows = [
        (row.level, row.family, row.state, *(str(auc or "") for auc in (row.alone, row.beside)), row.sentence)
        for row in leaks.rows
    ]
    return Section("Leaks", (text,), (head, *rows))


def _rights(rights: ClipRights) -> tuple[tuple[str, ...], ...]:
    clips = Counter(rights.clips.values())
    rows = []
    for digest, count in sorted(clips.items()):
        record = rights.records.get(digest)
        facts = (record.basis, record.licence, record.terms, str(record.expires or "")) if record else ("", "", "", "")
        rows.append((digest, str(count), *facts))
    return (("record", "clips", "basis", "licence", "terms", "last day"), *rows)


def _versions(run: RunRecord) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))


_MARKUP = re.compile(r"[\\\[\]!`*_~|]")


def _plain(text: str) -> str:
    """Return a text as Markdown that shows it as it is, in one line."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
