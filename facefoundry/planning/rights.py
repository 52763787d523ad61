"""Finds what a dataset file states about the rights to each clip, and refuses clips without rights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal, cast

import yaml
from pydantic import ValidationError

from facefoundry.dataset.rights import UNSTATED, ClipRights, Rights
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.planning.dataset_file import DatasetFile, Source, Statement
from facefoundry.planning.trees import FoundClip

__all__ = ["Stated", "Statements", "load_record", "rights_of"]

Stated = Rights | Literal["unstated"] | None
"""What is known of the rights to a clip: a record, `unstated`, or None if nothing is said."""

_SUBJECT = "subject "
_NAMED = 20
_WAY_OUT = (
    "State them in the dataset file: `rights.default`, or `rights.subjects` and `rights.clips` for single ones, with a "
    "record of rights or the word unstated (docs/datasets.md); or leave the clips out with exclude.clips."
)


class Statements:
    """What a dataset file states about rights. The most specific statement on a clip counts, with two exceptions.

    A record of the clip, its row or its subject that was revoked counts before any other. And `unstated` never takes
    the place of a record that has ended.

    Args:
        dataset: The dataset.
        base: Folder of the dataset file, which its paths are relative to.
        today: The day to judge by; by default the day of today.
    """

    def __init__(self, dataset: DatasetFile, base: Path, today: date | None = None) -> None:
        self._chosen, self._base, self._load = dataset.rights, base, cache(load_record)
        self._today = today or date.today()

    def of(self, clip_id: str, clip: FoundClip, source: Source) -> Stated:
        """Return what is stated about a clip.

        Raises:
            InvalidInput: the file of its record cannot be used (RIGHTS).
        """
        by_subject = [self._chosen.subjects.get(key.removeprefix(_SUBJECT)) for key in clip.keys if _is_subject(key)]
        row = clip.rights and (UNSTATED if clip.rights == UNSTATED else self._load(Path(clip.rights)))
        of_clip = [self._read(each) for each in (self._chosen.clips.get(clip_id), row, *by_subject) if each]
        others = [self._read(each) for each in (source.rights, self._chosen.default) if each]
        stated = [*of_clip, *others]
        revoked = [record for record in of_clip if isinstance(record, Rights) and record.is_revoked(self._today)]
        ended = [record for record in stated if isinstance(record, Rights) and record.ended(self._today)]
        if revoked:
            return revoked[0]
        if stated and stated[0] == UNSTATED and ended:
            return ended[0]
        return stated[0] if stated else None

    def check(self, clips: Iterable[str], keys: Iterable[str]) -> None:
        """Refuse statements about clips or subjects that no source has: others would count instead of them.

        Args:
            clips: The ids of all clips.
            keys: Whom and what they show, as in `SourceClip`.

        Raises:
            InvalidInput: there are some (UNKNOWN_CLIP).
        """
        subjects = {key.removeprefix(_SUBJECT) for key in keys if _is_subject(key)}
        for field, named, known in (
            ("rights.clips", self._chosen.clips, set(clips)),
            ("rights.subjects", self._chosen.subjects, subjects),
        ):
            unknown = sorted(set(named) - known)
            if unknown:
                violation = FieldViolation(field, f"names {', '.join(unknown)}, which no source has")
                message = f"{field} {violation.description}. Write ids of clips, and subjects as the sources name them."
                raise InvalidInput(message, reason="UNKNOWN_CLIP", violations=[violation])

    def _read(self, statement: Statement) -> Stated:
        if not isinstance(statement, str):
            return statement
        return cast("Stated", UNSTATED) if statement == UNSTATED else self._load(self._base / statement)


def load_record(path: Path) -> Rights:
    """Read a record of rights from a YAML file.

    Raises:
        InvalidInput: it cannot be read, is not YAML, or has a wrong field; the message names all of them (RIGHTS).
    """
    try:
        return Rights.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    except ValidationError as error:
        places = ((".".join(map(str, problem["loc"])) or "the file", problem["msg"]) for problem in error.errors())
        what = "is wrong: " + "; ".join(f"{place}: {message}" for place, message in places)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        what = f"is not YAML in UTF-8: {error}"
    raise InvalidInput(f"The record of rights {path} {what}. Correct the file, or write unstated.", reason="RIGHTS")


def rights_of(stated: Mapping[str, Stated], today: date) -> ClipRights:
    """Return the rights to the clips of a dataset.

    Args:
        stated: What is stated about each clip, by id.
        today: The day to judge by.

    Raises:
        InvalidInput: nothing is stated about a clip, or its rights have ended; the message names such clips (RIGHTS).
    """
    wrong = {clip: what for clip, record in sorted(stated.items()) if (what := _fault(record, today))}
    if wrong:
        named = "; ".join(f"{clip} {what}" for clip, what in list(wrong.items())[:_NAMED])
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InvalidInput(
            f"Expected rights to every clip. Received {len(wrong)} of {len(stated)} clips without them: {named}{more}. "
            f"{_WAY_OUT}",
            reason="RIGHTS",
            violations=[FieldViolation(f"rights.clips.{clip}", what) for clip, what in wrong.items()],
        )
    return ClipRights.of({clip: record if isinstance(record, Rights) else None for clip, record in stated.items()})


def _fault(record: Stated, today: date) -> str:
    if record is None:
        return "has no statement"
    ended = record.ended(today) if isinstance(record, Rights) else ""
    return f"has rights that {ended}" if ended else ""


def _is_subject(key: str) -> bool:
    return key.startswith(_SUBJECT)
