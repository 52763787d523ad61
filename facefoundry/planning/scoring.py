"""Reads the scores of a detector, and computes its AUC by frame and by video, for each level and split of a dataset."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.splits import SPLITS
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import Dataset

__all__ = ["AucRow", "Score", "auc", "read_scores", "rows_of"]

_SCORE, _VIDEO, _FRAME, _LEVEL = "score", "video", "frame", "level"
_NAMED = 3
_VIDEOS = (".mp4", ".avi")
_FOLDERS = 2  # a format has its level in one of the last folders of a path, such as c23/videos/000.mp4
_RAW, _C0 = "raw", "c0"  # FF++'s download script and some formats name the level raw so


@dataclass(frozen=True)
class Score:
    """What a detector says of a video or of one frame.

    Attributes:
        id: Id of the video.
        level: Its compression level; empty if the file names none.
        frame: Number of the frame in the video; None for a score of the whole video.
        score: The score; a higher one means fake.
    """

    id: str
    level: str
    frame: int | None
    score: float


@dataclass(frozen=True)
class AucRow:
    """The AUC of a detector on the videos of one level and split.

    Attributes:
        level: The compression level; empty if the scores name none.
        split: The split, or `all`.
        recipe: Name of the recipe of the dataset.
        real: Number of real videos with a score.
        fakes: Number of fakes with a score.
        by_video: AUC over videos, whose score is the mean of their frames' if only frames have scores; None unless
            there are real videos and fakes.
        frames: Number of frames that count. Those of fakes that are not swapped do not.
        by_frame: AUC over these frames; None if frames have no scores.
        missing: Number of videos without a score.
    """

    level: str
    split: str
    recipe: str
    real: int
    fakes: int
    by_video: float | None
    frames: int
    by_frame: float | None
    missing: int


def auc(fakes: Sequence[float], real: Sequence[float]) -> float | None:
    """Return the area under the ROC curve: how often a fake's score is higher than a real one's. Ties count half.

    Returns:
        0 to 1; None if either has no score.
    """
    if not (fakes and real):
        return None
    scores: NDArray[np.float64] = np.array([*fakes, *real], np.float64)
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    wins = ranks[: len(fakes)].sum() - len(fakes) * (len(fakes) + 1) / 2
    return float(wins / (len(fakes) * len(real)))


def read_scores(path: Path, dataset: Dataset, names: Mapping[str, str] | None = None) -> list[Score]:
    """Read a CSV file of scores.

    It has the columns `video` and `score`, and may have `frame` and `level`. A video is named by its id, by its path in
    the dataset or in an export, or by its key in a webdataset, `<level>-<id>`. A path says the level too if one of its
    last two folders has the level's name. Videos that the dataset leaves out, such as fakes of which no frame is
    swapped, are read too; `rows_of` does not count them.

    Args:
        path: The file.
        dataset: The dataset that was scored.
        names: The ids of sequences by their names in an export that numbers them.

    Raises:
        InvalidInput: the file or one of its lines is wrong; the message names the line (SCORES).
    """
    called = _levels(dataset)
    paths = _paths(dataset, called, names or {})
    counts = {id_: len(dataset.frame_numbers(id_)) for id_ in dataset.ids}
    found: dict[tuple[str, str, int | None], Score] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="")
            if missing := [name for name in (_VIDEO, _SCORE) if name not in (reader.fieldnames or ())]:
                raise _wrong(path, 1, f"the columns video and score, and maybe frame and level. It lacks {missing[0]}")
            for row in reader:
                score = _score(row, paths, called, counts, dataset, f"{path}", reader.line_num)
                if found.setdefault((score.id, score.level, score.frame), score) is not score:
                    raise _wrong(path, reader.line_num, f"each video and frame once. Received {row[_VIDEO]!r} again")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"Cannot read the scores in {path}: {error}. Check the file.", reason="SCORES") from error
    if not found:
        raise _wrong(path, 2, "at least one score. Received none")
    if len({score.frame is None for score in found.values()}) > 1:
        raise InvalidInput(f"Expected a frame in every line of {path}, or in none.", reason="SCORES")
    return list(found.values())


def rows_of(scores: Sequence[Score], dataset: Dataset) -> Iterator[AucRow]:
    """Yield the AUC of each level on each split that has videos, and on all of them."""
    recipe = str(dataset.record.recipe.get("name", ""))
    ids = dict.fromkeys(dataset.ids)
    for level in dict.fromkeys(score.level for score in scores if score.id in ids):
        of_level: dict[str, list[Score]] = {}
        for score in scores:
            if score.level == level:
                of_level.setdefault(score.id, []).append(score)
        for split in (*SPLITS, "all"):
            chosen = [id_ for id_ in ids if split in ("all", dataset.split_of(id_))]
            if chosen:
                yield _row(level, split, recipe, chosen, of_level, dataset)


def _row(
    level: str, split: str, recipe: str, ids: Sequence[str], scores: Mapping[str, Sequence[Score]], dataset: Dataset
) -> AucRow:
    videos: dict[bool, list[float]] = {True: [], False: []}
    frames: dict[bool, list[float]] = {True: [], False: []}
    for id_ in ids:
        fake, own = dataset.fakes.get(id_), scores.get(id_, ())
        if own:
            videos[fake is not None].append(math.fsum(each.score for each in own) / len(own))
        swapped = set(fake.labels.swapped) if fake else set()
        frames[fake is not None] += [
            each.score for each in own if each.frame is not None and (fake is None or each.frame in swapped)
        ]
    return AucRow(
        level,
        split,
        recipe,
        len(videos[False]),
        len(videos[True]),
        auc(videos[True], videos[False]),
        len(frames[True]) + len(frames[False]),
        auc(frames[True], frames[False]),
        len(ids) - len(videos[True]) - len(videos[False]),
    )


def _levels(dataset: Dataset) -> dict[str, str]:
    """Return the levels by the names of their folders."""
    called = {level: level for level in dataset.levels}
    return called | ({_C0: _RAW} if _RAW in called and _C0 not in called else {})


def _paths(dataset: Dataset, called: Mapping[str, str], names: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return level and id of each video by its id, its relative path and its key; an id alone has no level."""
    shown = {id_: name for name, id_ in names.items()}
    pairs = (Pair(*id_.split("_")) for id_ in dataset.record.pairs)
    ids = [*dataset.record.sequences, *(id_ for pair in pairs for id_ in (pair.id, pair.mirrored))]
    named = {"_".join(shown.get(part, part) for part in id_.split("_")): id_ for id_ in ids}
    found = {name: ("", id_) for name, id_ in named.items()}
    for layout in (FfppLayout(Path()),) if names else (FfppLayout(Path()), dataset.layout):
        for folder, level in called.items():
            for name, id_ in named.items():
                path = layout.fake_video(folder, name) if "_" in id_ else layout.real_video(folder, name)
                found.setdefault(path.relative_to(layout.root).as_posix(), (level, id_))
                found.setdefault(f"{folder}-{name}", (level, id_))
    return found


def _video(text: str, paths: Mapping[str, tuple[str, str]], called: Mapping[str, str]) -> tuple[str, str] | None:
    """Return level and id of the video that a line names; None if there is none."""
    path = PurePosixPath(text)
    ends = ["/".join(path.parts[start:]) for start in range(len(path.parts))]
    ends += [path.stem] if path.suffix in _VIDEOS else []
    known = next((paths[end] for end in ends if end in paths), None)
    if known is None or known[0]:
        return known
    folders = [folder.name for folder in path.parents][:_FOLDERS]
    return next((called[name] for name in folders if name in called), ""), known[1]


def _score(
    row: Mapping[str, str | None],
    paths: Mapping[str, tuple[str, str]],
    called: Mapping[str, str],
    counts: Mapping[str, int],
    dataset: Dataset,
    path: str,
    line: int,
) -> Score:
    """Return the score of a line."""
    video, text = (row.get(_VIDEO) or "").strip(), (row.get(_SCORE) or "").strip()
    known = _video(video, paths, called)
    if known is None:
        listed = ", ".join(dataset.ids[:_NAMED])
        raise _wrong(
            path, line, f"the id or the path of a video of {dataset.name}, such as {listed}. Received {video!r}"
        )
    level, id_ = known
    given = (row.get(_LEVEL) or "").strip()
    given = called.get(given, given)
    if given and (given not in dataset.levels or level not in ("", given)):
        raise _wrong(path, line, f"a level of {', '.join(dataset.levels)} that its path has too. Received {given!r}")
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise _wrong(path, line, f"a number as score. Received {text!r}")
    return Score(id_, given or level, _frame(row, id_, counts.get(id_), path, line), score)


def _frame(row: Mapping[str, str | None], id_: str, count: int | None, path: str, line: int) -> int | None:
    text = (row.get(_FRAME) or "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or (count is not None and int(text) >= count):
        most = f" to {count - 1}" if count is not None else ""
        raise _wrong(path, line, f"a frame from 0{most} of {id_}. Received {text!r}")
    return int(text)


def _wrong(path: Path | str, line: int, expected: str) -> InvalidInput:
    return InvalidInput(f"{path}, line {line}: expected {expected}.", reason="SCORES")
