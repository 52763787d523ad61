"""What DeepfakeBench's own preprocessing would leave: crops, landmarks, masks, and a JSON file of each label set."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.dataset.splits import SPLITS
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.ffpp import conversion_dict, split_files
from facefoundry.exports.frames import Chosen, Frames
from facefoundry.exports.numbering import numbered, three_digits
from facefoundry.exports.plan import Made, Plan, Written

__all__ = ["DeepfakeBenchExport", "DeepfakeBenchOptions"]

_ROOT = "FaceForensics++"
_REAL, _FAKE = "original_sequences/youtube", "manipulated_sequences/Deepfakes"
_LISTED_MASKS = "c23"
"""The level whose masks its lists name, for all levels. Its loader looks for the masks of a level at that level."""
_MAX_FRAMES = 1000
_CROP_BYTES, _LANDMARK_BYTES, _MASK_BYTES = 90_000, 1424, 800
_MAKERS = "facefoundry.exports.makers"
_SCANNED = (
    "original_sequences/actors",
    *(
        f"manipulated_sequences/{method}"
        for method in ("DeepFakeDetection", "Deepfakes", "Face2Face", "FaceShifter", "FaceSwap", "NeuralTextures")
    ),
)
"""Its `rearrange.py` stops unless each of these has the folder `c23/frames`, of which it reads folders and no files."""
_LMDB = f"lmdb/{_ROOT}_lmdb"
"""Where its configuration says that the LMDB is, below the folder of data sets."""


@dataclass(frozen=True)
class DeepfakeBenchOptions:
    """The options of `deepfakebench`."""

    frames: int = option(32, "Frames of each video, evenly spread, as many as its frame_num; 0 for all.")
    root: str = option("./datasets", "The folder OUT as seen from where training starts.")
    lmdb: bool = option(False, "Write an LMDB in place of pictures, masks and landmarks; it is one item.")


@dataclass(frozen=True)
class _Video:
    """What there is of a video in an export.

    Attributes:
        name: Its name in the export.
        is_fake: Whether it is a fake.
        chosen: Its frames.
        videos: The file of each level.
        mask: The mask of a fake.
        alignments: The alignments of its target.
    """

    name: str
    is_fake: bool
    chosen: Chosen
    videos: Mapping[str, Path]
    mask: Path | None
    alignments: Path

    def folder(self, level: str, kind: str) -> str:
        """Return the folder of its pictures, masks or landmarks at a level."""
        return f"{_ROOT}/{_FAKE if self.is_fake else _REAL}/{level}/{kind}/{self.name}/"

    def masks(self, levels: Sequence[str]) -> list[str]:
        """Return the folders of its masks: that which lists name, and those in which the loader looks."""
        return [self.folder(level, "masks") for level in sorted({_LISTED_MASKS, *levels})]


class DeepfakeBenchExport(Export[DeepfakeBenchOptions]):
    """Cuts crops of 256 pixels, with landmarks and masks."""

    name = "deepfakebench"
    summary = "DeepfakeBench: crops, landmarks, masks and FF-DF.json, without its preprocessing"
    options = DeepfakeBenchOptions

    def plan(self, dataset: Dataset, request: Request[DeepfakeBenchOptions]) -> Plan:
        """Plan a folder of crops for each video and level, one of masks for each fake, and the label sets.

        Raises:
            InvalidInput: the path of the pictures would have the word frames twice (ROOT), a video is too long
                (TOO_MANY_FRAMES), or the package lmdb is missing (EXTRA_MISSING).
        """
        options, root = request.options, request.options.root.rstrip("/")
        _check_root(root)
        if options.lmdb and importlib.util.find_spec("lmdb") is None:
            message = "Expected the package lmdb, which --lmdb needs. It is missing. Install it: "
            raise InvalidInput(f"{message}pip install '.[media,lmdb]'.", reason="EXTRA_MISSING")
        numbers, frames = three_digits(dataset.sequences, request.numbers), Frames(dataset)
        names = {id_: numbered(id_, numbers) for id_ in dataset.ids}
        chosen = {id_: frames.of(id_).evenly(options.frames) for id_ in names}
        empty = sorted(id_ for id_, found in chosen.items() if not found.places)
        for id_, found in chosen.items():
            if found.places and found.places[-1] >= _MAX_FRAMES:
                message = f"Expected videos of at most {_MAX_FRAMES:,} frames, as pictures are called 000 to 999. "
                raise InvalidInput(f"{message}{id_} has more. Leave its pair out.", reason="TOO_MANY_FRAMES")
        videos = {
            id_: _Video(
                name,
                id_ in dataset.fakes,
                chosen[id_],
                {level: dataset.video(level, id_) for level in request.levels},
                dataset.layout.mask_video("masks", id_) if id_ in dataset.fakes else None,
                frames.path(id_),
            )
            for id_, name in names.items()
            if id_ not in empty
        }
        made = _database(list(videos.values())) if options.lmdb else _folders(list(videos.values()))
        dataset.require(path for item in made for path in item.sources.values())
        left_out = (*dataset.left_out, *(f"{id_}: none of its frames shows a face." for id_ in empty))
        documents = (
            *_label_sets(dataset, request.levels, "" if options.lmdb else f"{root}/", videos),
            *split_files(dataset, numbers, f"{_ROOT}/"),
            conversion_dict(numbers),
            *(() if options.lmdb else (Written(f"{_ROOT}/{folder}/c23/frames/.keep", b"") for folder in _SCANNED)),
        )
        return Plan((*made, *documents), numbers, left_out, dataset.remarks)


def _folders(videos: Sequence[_Video]) -> list[Made]:
    """Return the items with folders of pictures, masks and landmarks."""
    items = list[Made]()
    for video in videos:
        common: JsonObject = {"frames": [[*pair] for pair in video.chosen.pairs]}
        for level, path in video.videos.items():
            pictures, landmarks = video.folder(level, "frames"), video.folder(level, "landmarks")
            items.append(
                Made(
                    f"{level}/{video.name}",
                    f"{_MAKERS}.crops:crops",
                    (pictures, landmarks),
                    {"video": path, "alignments": video.alignments},
                    {**common, "pictures_to": pictures, "landmarks_to": landmarks},
                    len(video.chosen.places) * (_CROP_BYTES + _LANDMARK_BYTES),
                )
            )
        if video.mask:
            folders = video.masks(list(video.videos))
            sources = {"mask": video.mask, "alignments": video.alignments}
            arguments: JsonObject = {**common, "pictures_to": [*folders]}
            size = len(video.chosen.places) * _MASK_BYTES * len(folders)
            function = f"{_MAKERS}.crops:masks"
            items.append(Made(f"masks/{video.name}", function, tuple(folders), sources, arguments, size))
    return items


def _database(videos: Sequence[_Video]) -> list[Made]:
    """Return the item with the LMDB. Its keys are paths as Windows writes them, which is what the loader takes."""
    names, size = dict[Path, str](), 0

    def argument(path: Path) -> str:
        return names.setdefault(path, f"file_{len(names)}")

    def entries() -> Iterator[JsonObject]:
        nonlocal size
        for video in videos:
            count = len(video.chosen.places)
            common: JsonObject = {"frames": [[*pair] for pair in video.chosen.pairs]}
            common["alignments"] = argument(video.alignments)
            for level, path in video.videos.items():
                landmarks = _key(video.folder(level, "landmarks"))
                pictures = _key(video.folder(level, "frames"))
                yield common | {"file": argument(path), "pictures": [pictures], "landmarks": landmarks}
                size += count * (_CROP_BYTES + _LANDMARK_BYTES)
            if video.mask:
                keys = [_key(folder) for folder in video.masks(list(video.videos))]
                yield common | {"file": argument(video.mask), "pictures": [*keys], "landmarks": ""}
                size += count * len(keys) * _MASK_BYTES

    arguments: JsonObject = {"path": _LMDB, "entries": [*entries()]}
    sources = {name: path for path, name in names.items()}
    return [Made(_LMDB, f"{_MAKERS}.bench_lmdb:database", (f"{_LMDB}/data.mdb",), sources, arguments, size)]


def _key(path: str) -> str:
    return path.replace("/", "\\")


def _check_root(root: str) -> None:
    """Refuse what the loader would misread: it replaces every `frames` of a path to find masks and landmarks."""
    if "frames" in root or not root.startswith(".") or "\\" in root:
        raise InvalidInput(
            "Expected --root to begin with ./ and to have neither the word frames nor a backslash, as DeepfakeBench "
            f"replaces every `frames` of a path to find masks and landmarks. Received {root!r}.",
            reason="ROOT",
        )


def _label_sets(dataset: Dataset, levels: Sequence[str], root: str, videos: Mapping[str, _Video]) -> list[Written]:
    """Return `FF-DF.json` with all levels, and `FF-DF_c40.json`, which its loader opens for that level alone.

    Without a root, paths are the keys of the LMDB. The loader opens another LMDB for `FF-DF_c40`, so there is none.
    """

    def paths(folder: str, video: _Video) -> list[JsonValue]:
        found = [f"{root}{folder}{place:03d}.png" for place in video.chosen.places]
        return [*found] if root else [*map(_key, found)]

    def entry(video: _Video, level: str) -> JsonObject:
        found: JsonObject = {"label": "FF-DF" if video.is_fake else "FF-real"}
        found["frames"] = paths(video.folder(level, "frames"), video)
        return found | ({"masks": paths(video.folder(_LISTED_MASKS, "masks"), video)} if video.is_fake else {})

    def label_set(shown: Sequence[str]) -> bytes:
        sets: dict[str, JsonValue] = {}
        for label, ids in (("FF-real", dataset.sequences), ("FF-DF", tuple(dataset.fakes))):
            sets[label] = {
                split: {
                    level: {
                        videos[id_].name: entry(videos[id_], level)
                        for id_ in ids
                        if dataset.split_of(id_) == split and id_ in videos
                    }
                    for level in shown
                }
                for split in SPLITS
            }
        return json.dumps({"FF-DF": sets}, indent=1).encode()

    folder = "dataset_json"
    found = [Written(f"{folder}/FF-DF.json", label_set(levels))]
    c40 = root and "c40" in levels
    return found + ([Written(f"{folder}/FF-DF_c40.json", label_set(["c40"]))] if c40 else [])
