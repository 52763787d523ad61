"""Finds the real clips in the folders of known datasets, as these are downloaded, with whom and what each shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from facefoundry.codec import JsonValue
from facefoundry.dataset.plan import read_filelist
from facefoundry.dataset.splits import SPLITS
from facefoundry.errors import InvalidInput

__all__ = ["FoundClip", "celeb_df", "dfdc", "ffpp", "find_splits", "kind_of", "read_splits", "voxceleb"]

_CELEB_SUBJECT = re.compile(r"(id\d+)_\d+")


@dataclass(frozen=True)
class FoundClip:
    """A clip as its source has it. What the source does not say is empty; `rights` is a path or `unstated`.

    The rest is as in `SourceClip`.
    """

    name: str
    location: str
    keys: tuple[str, ...] = ()
    split: str = ""
    rights: str = ""
    given_id: str = ""
    version: str = ""


def kind_of(folder: Path) -> str:
    """Return the kind of source that a folder is, such as `ffpp`; `folder` if it is no known dataset."""
    if (folder / "original_sequences" / "youtube").is_dir():
        return "ffpp"
    if (folder / "Celeb-real").is_dir():
        return "celeb-df"
    if (folder / "metadata.json").is_file() or any(folder.glob("dfdc_train_part_*/metadata.json")):
        return "dfdc"
    if any((folder / name / "mp4").is_dir() for name in ("dev", "test", ".")):
        return "voxceleb"
    return "folder"


def ffpp(root: Path, level: str, splits: Path | None = None, dictionary: Path | None = None) -> list[FoundClip]:
    """Find the YouTube clips of FaceForensics++, with their source videos and splits where these are known.

    Args:
        root: Folder that holds `original_sequences`.
        level: Compression level to read.
        splits: Folder of `train.json`, `val.json` and `test.json`; None to look for it in `root`.
        dictionary: FF++'s `conversion_dict.json`; None to look for it in `root`.

    Raises:
        InvalidInput: there are no clips of that level, or a given file cannot be read.
    """
    folder = root / "original_sequences" / "youtube" / level / "videos"
    clips = sorted(folder.glob("*.mp4"))
    _require(clips, folder, "FF++'s videos, such as 033.mp4")
    splits = splits or find_splits(root)
    names = [root / "conversion_dict.json", root / "dataset" / "conversion_dict.json"]
    dictionary = dictionary or next((place for place in names if place.is_file()), None)
    split_of = read_splits(splits) if splits else {}
    videos = _json_object(dictionary) if dictionary else {}
    return [
        FoundClip(path.stem, str(path), _video(str(videos.get(path.stem, ""))), split_of.get(path.stem, ""))
        for path in clips
    ]


def find_splits(root: Path) -> Path | None:
    """Return the folder of FF++'s `train.json`, `val.json` and `test.json` in or below a folder; None without one."""
    places = (root / "splits", root / "dataset" / "splits", root)
    return next((place for place in places if (place / "train.json").is_file()), None)


def celeb_df(root: Path) -> list[FoundClip]:
    """Find the real videos of Celeb-DF. The celebrity is in the name; `List_of_testing_videos.txt` gives the test set.

    Raises:
        InvalidInput: there are no real videos.
    """
    clips = [path for name in ("Celeb-real", "YouTube-real") for path in sorted((root / name).glob("*.mp4"))]
    _require(clips, root, "Celeb-DF's videos, such as Celeb-real/id0_0000.mp4")
    listed = root / "List_of_testing_videos.txt"
    tests = {line.split()[-1] for line in listed.read_text().splitlines() if line.strip()} if listed.is_file() else None
    found: list[FoundClip] = []
    for path in clips:
        subject = _CELEB_SUBJECT.fullmatch(path.stem)
        keys = (f"subject celeb-df {subject[1]}",) if subject else ()
        split = "" if tests is None else "test" if f"{path.parent.name}/{path.name}" in tests else "train"
        found.append(FoundClip(path.stem, str(path), keys, split))
    return found


def dfdc(root: Path) -> list[FoundClip]:
    """Find the real videos of DFDC by the `metadata.json` of each part.

    Raises:
        InvalidInput: there are no real videos, or a `metadata.json` cannot be read.
    """
    found: list[FoundClip] = []
    for listed in sorted([*root.glob("metadata.json"), *root.glob("*/metadata.json")]):
        for name, facts in sorted(_json_object(listed).items()):
            path = listed.parent / name
            if isinstance(facts, dict) and facts.get("label") == "REAL" and path.is_file():
                split = str(facts.get("split", ""))
                found.append(FoundClip(path.stem, str(path), split=split if split in SPLITS else ""))
    _require(found, root, "DFDC's parts, such as dfdc_train_part_0/metadata.json")
    return found


def voxceleb(root: Path) -> list[FoundClip]:
    """Find the clips of VoxCeleb; its folders name the speaker and the YouTube video.

    Raises:
        InvalidInput: there are no clips.
    """
    found: list[FoundClip] = []
    for part, split in (("dev", "train"), ("test", "test"), (".", "")):
        for path in sorted((root / part / "mp4").glob("*/*/*.mp4")):
            video, speaker = path.parent.name, path.parent.parent.name
            keys = (f"subject voxceleb {speaker}", *_video(video))
            found.append(FoundClip(f"{speaker}_{video}_{path.stem}", str(path), keys, split))
    _require(found, root, "VoxCeleb's clips, such as dev/mp4/id00012/<YouTube id>/00001.mp4")
    return found


def read_splits(folder: Path) -> dict[str, str]:
    """Read FF++'s `train.json`, `val.json` and `test.json`, and return the split of each clip.

    Raises:
        InvalidInput: a file cannot be read, or a clip is in two of them (SPLITS).
    """
    split_of: dict[str, str] = {}
    for name in SPLITS:
        path = folder / f"{name}.json"
        for clip in {clip for pair in read_filelist(path, may_be_empty=True) for clip in pair}:
            if split_of.setdefault(clip, name) != name:
                message = f"{clip} is in {split_of[clip]}.json and in {path}. A clip is in one split only."
                raise InvalidInput(message, reason="SPLITS")
    return split_of


def _video(title: str) -> tuple[str, ...]:
    """Return the key of a YouTube video; FF++ writes its id and the number of the sequence in it."""
    name = title.split(" ")[0]
    return (f"source video youtube {name}",) if name else ()


def _json_object(path: Path) -> Mapping[str, JsonValue]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"Cannot read {path}: {error.strerror}.", reason="SOURCE_LIST") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}. Download it again.", reason="SOURCE_LIST") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"Expected a JSON object in {path}. Download it again.", reason="SOURCE_LIST")
    return values


def _require(found: Iterable[object], folder: Path, expected: str) -> None:
    if not any(True for _ in found):
        raise InvalidInput(f"Expected {expected}, in {folder}. Received none. Check the path.", reason="NO_SEQUENCES")
