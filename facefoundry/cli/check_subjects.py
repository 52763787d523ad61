"""The option `--subjects` of the checks of a dataset: a list of who is shown in each clip."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

import click

from facefoundry.checks.videos import find_fakes, levels_of
from facefoundry.dataset.layout import Layout
from facefoundry.errors import InvalidInput
from facefoundry.planning.ids import assign_ids

__all__ = ["match_subjects", "read_subjects", "subjects_of", "subjects_option"]

_MAX_NAMED = 5

subjects_option = click.option(
    "--subjects",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="CSV list with the columns `subject` and `clip` or `id`, such as the one that `plan` took.  "
    "[default: every clip shows another person]",
)


def subjects_of(path: Path | None, layout: Layout, levels: Sequence[str] = ()) -> tuple[dict[str, str], str]:
    """Read who is shown in the sequences of a dataset.

    Returns:
        The subjects by id of the sequence, and a sentence on the clips that are not in the dataset, or an empty one.

    Raises:
        InvalidInput: the file cannot be used (SUBJECTS), or there are no fakes (NO_FAKES).
    """
    if path is None:
        return {}, ""
    fakes = find_fakes(layout, levels or levels_of(layout)).fakes
    return match_subjects(read_subjects(path), {name for fake in fakes for name in (fake.target, fake.source)}, path)


def read_subjects(path: Path) -> dict[str, str]:
    """Read who is shown in each sequence from a CSV list with the columns `subject` and `id` or `clip`.

    Names of clips become ids as `plan` makes them: `id0_0000.mp4` is the sequence `id0-0000`.

    Raises:
        InvalidInput: the file cannot be read, has no such columns, or gives one clip two subjects (SUBJECTS).
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [
                {name: value.strip() for name, value in row.items() if isinstance(name, str) and isinstance(value, str)}
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"Cannot read the list {path}: {error}.", reason="SUBJECTS") from error
    stems = list(dict.fromkeys(Path(row["clip"]).stem for row in rows if row.get("clip")))
    ids = dict(zip(stems, assign_ids([(0, stem) for stem in stems]), strict=True))
    subjects = dict[str, str]()
    for row in rows:
        name = row.get("id") or ids.get(Path(row.get("clip") or "").stem)
        subject = row.get("subject")
        if name and subject and subjects.setdefault(name, subject) != subject:
            message = f"{path} gives {name} two subjects, {subjects[name]} and {subject}. Remove one of the rows."
            raise InvalidInput(message, reason="SUBJECTS")
    if not subjects:
        message = f"Expected the columns `subject` and `id` or `clip` in {path}. Received no row with both."
        raise InvalidInput(message, reason="SUBJECTS")
    return subjects


def match_subjects(subjects: dict[str, str], sequences: Collection[str], path: Path) -> tuple[dict[str, str], str]:
    """Take the subjects of a dataset's sequences, and say which ones of the list are not in the dataset.

    Raises:
        InvalidInput: none is in the dataset (SUBJECTS).
    """
    found = {name: subject for name, subject in subjects.items() if name in sequences}
    others = [name for name in subjects if name not in found]
    if not found:
        message = (
            f"Expected clips of the dataset in {path}, such as {min(sequences, default='none')}. Received others, such "
            f"as {others[0]}. Give the ids of the dataset in a column `id`."
        )
        raise InvalidInput(message, reason="SUBJECTS")
    if not others:
        return found, ""
    more = ", ..." if len(others) > _MAX_NAMED else ""
    return found, (
        f"{len(others)} of {len(subjects)} clips in {path} are not in the dataset: "
        f"{', '.join(others[:_MAX_NAMED])}{more}. If one of them should be, give its id in a column `id`."
    )
