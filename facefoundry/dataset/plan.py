"""Finds the clips in a folder and pairs them by their names, without reading the clips."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from facefoundry.dataset.rights import UNSTATED
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.media.frames import FRAME_SUFFIXES, is_frame
from facefoundry.storage import keys
from facefoundry.v1 import extractor_pb2, recipe_pb2

__all__ = [
    "CLIP_SUFFIXES",
    "Clip",
    "Pair",
    "check_pairs",
    "find_clips",
    "is_frame_folder",
    "left_out",
    "pair_up",
    "parse_filelist",
    "read_filelist",
    "require_clips",
]

# fmt: off
CLIP_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".m2t", ".mpg", ".mpeg",
    ".vob", ".m1v", ".m2v", ".flv", ".ogv", ".ogg", ".wmv", ".asf", ".h264", ".264", ".hevc", ".265", ".ivf", ".nut",
    ".gif", ".apng", ".tar",
})
# fmt: on
"""Suffixes of clips that are files, in lower case: those of the containers that are read, and tars of frames."""

_MANY = 20


@dataclass(frozen=True)
class Clip:
    """A clip on disk, a video file or a folder of numbered frames; or an object of a bucket.

    Attributes:
        id: Id of the sequence, the name of the clip without the suffix.
        path: The file or folder; of an object, the path that ends its URI.
        subject: Who the subject is; None for the recipe's rule.
        excluded_frames: Frames that are neither trained on nor swapped.
        object_uri: URI of the object; empty for a clip on disk.
        rights: SHA-256 of the record of the rights to the clip; or `unstated`.
    """

    id: str
    path: Path
    subject: extractor_pb2.Subject | None = field(default=None, compare=False)
    excluded_frames: tuple[recipe_pb2.FrameRange, ...] = field(default=(), compare=False)
    object_uri: str = ""
    rights: str = UNSTATED


class Pair(NamedTuple):
    """The ids of two sequences, A and B."""

    a: str
    b: str

    @property
    def id(self) -> str:
        """`<A>_<B>`, which is also the id of the fake with A as target."""
        return f"{self.a}_{self.b}"

    @property
    def mirrored(self) -> str:
        """`<B>_<A>`, which is the id of the fake with B as target."""
        return f"{self.b}_{self.a}"


def is_frame_folder(path: Path) -> bool:
    """Return whether a path is a folder of frames. True also if the folder cannot be read: its upload reports why."""
    try:
        return path.is_dir() and any(is_frame(entry.name) for entry in path.iterdir())
    except OSError:
        return True


def find_clips(folder: Path) -> dict[str, Clip]:
    """Find the clips in a folder: video files and folders of frames. Subfolders are not searched.

    Returns:
        The clips by id, which is the name without the suffix.

    Raises:
        InvalidInput: the folder cannot be read, contains no clip, or contains two clips with the same id.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InvalidInput(
            f"Cannot read the folder {folder}: {error.strerror}. Check its path and permissions.", reason="INPUT_FOLDER"
        ) from error
    clips: dict[str, Clip] = {}
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if is_frame_folder(entry):
            name = entry.name
        elif entry.suffix.lower() in CLIP_SUFFIXES and not entry.is_dir():
            name = entry.stem  # also a broken link or a pipe: its upload reports what is wrong
        else:
            continue
        if name in clips:
            raise InvalidInput(
                f"{clips[name].path.name} and {entry.name} in {folder} would both have the sequence id {name!r}. "
                "Rename one of them.",
                reason="DUPLICATE_SEQUENCE",
            )
        clips[name] = Clip(name, entry)
    if not clips:
        raise InvalidInput(
            f"{folder} holds no clips: expected video files ({', '.join(sorted(CLIP_SUFFIXES))}) "
            f"or folders of frames ({', '.join(sorted(FRAME_SUFFIXES))}) directly in it.",
            reason="NO_SEQUENCES",
        )
    return clips


def left_out(folder: Path, clips: Mapping[str, Clip]) -> list[str]:
    """Return a sentence that names what a folder holds beside its clips; empty if there is nothing else.

    Hidden files are not named.

    Raises:
        InvalidInput: the folder cannot be read.
    """
    taken = {clip.path.name for clip in clips.values()}
    try:
        others = sorted(path.name for path in folder.iterdir() if path.name not in taken)
    except OSError as error:
        raise InvalidInput(f"Cannot read the folder {folder}: {error.strerror}.", reason="INPUT_FOLDER") from error
    named = [name for name in others if not name.startswith(".")]
    listed = ", ".join(named[:_MANY]) + (f" and {len(named) - _MANY} more" if len(named) > _MANY else "")
    return [f"Left out of {folder}, because they have no suffix of a clip: {listed}."] if named else []


def read_filelist(path: Path, *, may_be_empty: bool = False) -> list[Pair]:
    """Read the pairs of a JSON filelist, `[["033", "097"], ...]`.

    Args:
        path: The file.
        may_be_empty: Whether a list without pairs is accepted, as for a split without any.

    Raises:
        InvalidInput: the file cannot be read, an id is not valid, an id is paired with itself, or a pair is repeated.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"Cannot read the filelist {path}: {error.strerror}. Check its path and permissions.", reason="FILELIST"
        ) from error
    pairs = parse_filelist(data, str(path))
    if not (pairs or may_be_empty):
        raise _no_pairs(str(path))
    return pairs


def parse_filelist(data: bytes, where: str) -> list[Pair]:
    """Read the pairs of the text of a filelist; `where` names it in messages. It raises the errors of `read_filelist`.

    An empty list is accepted.
    """
    try:
        record = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"The filelist {where} is not JSON: {error}. Correct the file.", reason="FILELIST"
        ) from error
    if not isinstance(record, list) or not all(
        isinstance(row, list) and len(row) == 2 and all(isinstance(name, str) for name in row) for row in record
    ):
        raise _no_pairs(where)
    return check_pairs(((a, b) for a, b in record), where)


def _no_pairs(where: str) -> InvalidInput:
    message = f'The filelist {where} must be a list of pairs such as [["033", "097"]].'
    return InvalidInput(message, reason="FILELIST")


def check_pairs(rows: Iterable[tuple[str, str]], where: str) -> list[Pair]:
    """Check pairs of sequence ids, and return them.

    Args:
        rows: The two ids of each pair.
        where: Where the pairs were given, such as the name of a file, for the message.

    Raises:
        InvalidInput: some pairs are wrong; the message names all of them.
    """
    pairs: list[Pair] = []
    violations: list[FieldViolation] = []
    seen: set[frozenset[str]] = set()
    for index, (a, b) in enumerate(rows):
        field = f"{where}[{index}]"
        for name in (a, b):
            try:
                keys.sequence_id(name, field)
            except InvalidInput as error:
                violations.append(FieldViolation(field, error.message))
        if a == b:
            violations.append(FieldViolation(field, f"pairs {a!r} with itself"))
        elif frozenset((a, b)) in seen:
            violations.append(
                FieldViolation(field, f"repeats the pair {a!r}, {b!r}; a pair needs one row for both directions")
            )
        seen.add(frozenset((a, b)))
        pairs.append(Pair(a, b))
    if violations:
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidInput(f"These pairs cannot be used: {listed}", reason="FILELIST", violations=violations)
    return pairs


def pair_up(ids: Sequence[str], seed: int) -> tuple[list[Pair], str | None]:
    """Pair all sequence ids at random. Equal ids and seeds give equal pairs on every machine.

    Returns:
        (pairs, left over): left over is the id without a partner if the number of ids is odd, else None.
    """
    shuffled = sorted(ids)
    random.Random(seed).shuffle(shuffled)
    left_over = shuffled.pop() if len(shuffled) % 2 else None
    rows = zip(shuffled[::2], shuffled[1::2], strict=True)
    return check_pairs(rows, where="pairing"), left_over


def require_clips(pairs: Iterable[Pair], clips: Mapping[str, Clip], folder: Path) -> None:
    """Check that a clip exists for every id of every pair.

    Raises:
        InvalidInput: some clips are missing; the message names all of them.
    """
    missing = sorted({name for pair in pairs for name in pair if name not in clips})
    if missing:
        raise InvalidInput(
            f"Expected the clips {', '.join(missing)} in {folder}. It contains only {', '.join(sorted(clips))[:500]}. "
            "Add the clips, or leave their pairs out.",
            reason="MISSING_SEQUENCE",
            violations=[FieldViolation("filelist", f"{name} is not in {folder}") for name in missing],
        )
