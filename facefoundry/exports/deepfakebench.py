"""What DeepfakeBench's own preprocessing would leave: crops, landmarks, masks, and a JSON file of each label set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

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
_MASKS = f"{_ROOT}/{_FAKE}/c23/masks"
"""The folder of the masks of all levels."""
_MAX_FRAMES = 1000
_CROP_BYTES, _LANDMARK_BYTES, _MASK_BYTES = 90_000, 1424, 800
_MAKERS = "facefoundry.exports.makers.crops"


@dataclass(frozen=True)
class DeepfakeBenchOptions:
    """The options of `deepfakebench`."""

    frames: int = option(32, "Frames of each video, evenly spread, as many as its frame_num; 0 for all.")
    root: str = option("./datasets", "The folder OUT as seen from where training starts.")


class DeepfakeBenchExport(Export[DeepfakeBenchOptions]):
    """Cuts crops of 256 pixels, with landmarks and masks."""

    name = "deepfakebench"
    summary = "DeepfakeBench: crops, landmarks, masks and FF-DF.json, without its preprocessing"
    options = DeepfakeBenchOptions

    def plan(self, dataset: Dataset, request: Request[DeepfakeBenchOptions]) -> Plan:
        """Plan a folder of crops for each video and level, one of masks for each fake, and the label sets.

        Raises:
            InvalidInput: the path of the pictures would have the word frames twice (ROOT), or a video is too long
                (TOO_MANY_FRAMES).
        """
        root = request.options.root.rstrip("/")
        _check_root(root)
        numbers, frames = three_digits(dataset.sequences, request.numbers), Frames(dataset)
        names = {id_: numbered(id_, numbers) for id_ in dataset.ids}
        chosen = {id_: frames.of(id_).evenly(request.options.frames) for id_ in names}
        empty = sorted(id_ for id_, found in chosen.items() if not found.places)
        for id_, found in chosen.items():
            if found.places and found.places[-1] >= _MAX_FRAMES:
                message = f"Expected videos of at most {_MAX_FRAMES:,} frames, as pictures are called 000 to 999. "
                raise InvalidInput(f"{message}{id_} has more. Leave its pair out.", reason="TOO_MANY_FRAMES")
        items = list[Made]()
        for id_ in (id_ for id_ in names if id_ not in empty):
            is_fake, found = id_ in dataset.fakes, chosen[id_]
            common: JsonObject = {"frames": [[*pair] for pair in found.pairs]}
            for level in request.levels:
                folder = f"{_ROOT}/{_FAKE if is_fake else _REAL}/{level}"
                pictures, landmarks = f"{folder}/frames/{names[id_]}/", f"{folder}/landmarks/{names[id_]}/"
                items.append(
                    Made(
                        f"{level}/{names[id_]}",
                        f"{_MAKERS}:crops",
                        (pictures, landmarks),
                        {"video": dataset.video(level, id_), "alignments": frames.path(id_)},
                        {**common, "pictures_to": pictures, "landmarks_to": landmarks},
                        len(found.places) * (_CROP_BYTES + _LANDMARK_BYTES),
                    )
                )
            if is_fake:
                sources = {"mask": dataset.layout.mask_video("masks", id_), "alignments": frames.path(id_)}
                folder = f"{_MASKS}/{names[id_]}/"
                arguments: JsonObject = {**common, "pictures_to": folder}
                size = len(found.places) * _MASK_BYTES
                items.append(Made(f"masks/{names[id_]}", f"{_MAKERS}:masks", (folder,), sources, arguments, size))
        dataset.require(path for item in items for path in item.sources.values())
        left_out = (*dataset.left_out, *(f"{id_}: none of its frames shows a face." for id_ in empty))
        documents = (
            *_label_sets(dataset, request.levels, root, names, chosen),
            *split_files(dataset, numbers, f"{_ROOT}/"),
            conversion_dict(numbers),
        )
        return Plan((*items, *documents), numbers, left_out, dataset.remarks)


def _check_root(root: str) -> None:
    """Refuse what the loader would misread: it replaces every `frames` of a path to find masks and landmarks."""
    if "frames" in root or not root.startswith(".") or "\\" in root:
        raise InvalidInput(
            "Expected --root to begin with ./ and to have neither the word frames nor a backslash, as DeepfakeBench "
            f"replaces every `frames` of a path to find masks and landmarks. Received {root!r}.",
            reason="ROOT",
        )


def _label_sets(
    dataset: Dataset, levels: Sequence[str], root: str, names: dict[str, str], chosen: dict[str, Chosen]
) -> list[Written]:
    """Return `FF-DF.json` with all levels, and `FF-DF_c40.json`, which its loader opens for that level alone."""

    def entry(id_: str, level: str) -> JsonObject:
        is_fake = id_ in dataset.fakes
        files = [f"{place:03d}.png" for place in chosen[id_].places]
        folder = f"{root}/{_ROOT}/{_FAKE if is_fake else _REAL}/{level}/frames/{names[id_]}"
        found: JsonObject = {"label": "FF-DF" if is_fake else "FF-real", "frames": [f"{folder}/{x}" for x in files]}
        return found | ({"masks": [f"{root}/{_MASKS}/{names[id_]}/{x}" for x in files]} if is_fake else {})

    def label_set(shown: Sequence[str]) -> bytes:
        sets: dict[str, JsonValue] = {}
        for label, ids in (("FF-real", dataset.sequences), ("FF-DF", tuple(dataset.fakes))):
            sets[label] = {
                split: {
                    level: {
                        names[id_]: entry(id_, level)
                        for id_ in ids
                        if dataset.split_of(id_) == split and chosen[id_].places
                    }
                    for level in shown
                }
                for split in SPLITS
            }
        return json.dumps({"FF-DF": sets}, indent=1).encode()

    folder = "dataset_json"
    found = [Written(f"{folder}/FF-DF.json", label_set(levels))]
    return found + ([Written(f"{folder}/FF-DF_c40.json", label_set(["c40"]))] if "c40" in levels else [])
