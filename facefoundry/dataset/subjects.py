"""Reads who the subject of a clip is, as the option `--subject` says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from facefoundry.dataset.plan import Clip
from facefoundry.errors import InvalidInput
from facefoundry.v1 import extractor_pb2

__all__ = ["with_subjects"]

_RULES = ("largest", "moving", "centre")
_POINT = re.compile(r"(\d{1,4}(?:\.\d+)?),(\d{1,4}(?:\.\d+)?)(?:@(\d{1,9}))?")
_PICTURE_BYTES = 768 << 10


def with_subjects(clips: Mapping[str, Clip], assignments: Iterable[str]) -> dict[str, Clip]:
    """Return the clips with their subjects.

    Args:
        clips: The clips by id.
        assignments: `ID=WHO`, where WHO is a rule (`largest`, `moving`, `centre`), a point `X,Y` or `X,Y@FRAME` in the
            subject's face, or the path of a picture of the subject.

    Raises:
        InvalidInput: there is no such clip, or WHO is none of these (SUBJECT).
    """
    chosen = dict(clips)
    for assignment in assignments:
        name, equals, who = assignment.partition("=")
        if not equals or not who:
            raise _wrong(assignment, "it has no ID=WHO")
        if name not in clips:
            raise _wrong(assignment, f"there is no clip {name!r}, only {', '.join(sorted(clips))[:200]}")
        chosen[name] = replace(clips[name], subject=_subject(assignment, who))
    return chosen


def _subject(assignment: str, who: str) -> extractor_pb2.Subject:
    if who in _RULES:
        return extractor_pb2.Subject(rule=who)
    if point := _POINT.fullmatch(who):
        x, y, frame = point.groups()
        return extractor_pb2.Subject(point=extractor_pb2.FramePoint(frame=int(frame or 0), x=float(x), y=float(y)))
    try:
        data = Path(who).read_bytes()
    except OSError as error:
        raise _wrong(assignment, f"{who} cannot be read: {error.strerror}") from error
    if not 1 <= len(data) <= _PICTURE_BYTES:
        raise _wrong(assignment, f"{who} has {len(data)} bytes; a picture may have 1 to {_PICTURE_BYTES}")
    return extractor_pb2.Subject(picture=data)


def _wrong(assignment: str, why: str) -> InvalidInput:
    return InvalidInput(
        "Expected --subject ID=WHO, where WHO is largest, moving, centre, a point X,Y or X,Y@FRAME in the face, or a "
        f"picture of the person. Received --subject {assignment}: {why}.",
        reason="SUBJECT",
    )
