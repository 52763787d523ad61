"""The form of the DFDC: parts with videos and metadata, and what selimsef's training reads besides."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.dataset import identities
from facefoundry.dataset.splits import Split
from facefoundry.exports.dataset import Dataset, Sound
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.ffpp import conversion_dict
from facefoundry.exports.frames import Chosen, Frames
from facefoundry.exports.numbering import numbered, three_digits
from facefoundry.exports.plan import Copied, Item, Made, Plan, Written
from facefoundry.exports.whole import WholeOptions, with_whole_fakes

__all__ = ["DfdcExport", "DfdcOptions"]

_PARTS: Final[Mapping[Split, range]] = {"train": range(30), "val": range(30, 40), "test": range(40, 50)}
"""The parts of each split: a fold of selimsef's training is a few parts, so no fold has clips of two splits."""
_STEP: Final = 10
"""selimsef's training reads every tenth frame."""
_LONGEST: Final = 320
"""It reads no frame from this number on."""
_MAKERS: Final = "facefoundry.exports.makers.dfdc"
_CROP_BYTES: Final = 150_000


@dataclass(frozen=True)
class DfdcOptions(WholeOptions):
    """The options of `dfdc`."""

    boxes: bool = option(False, "Write boxes/, the boxes of faces, as selimsef's first step does.")
    crops: bool = option(False, "Write crops/, the faces of every tenth frame; of fakes the swapped frames alone.")
    sound: bool = option(False, "Put the sound of the target's clip into its video and fakes, as the DFDC has it.")
    diffs: bool = option(False, "Write diffs/, which pixels of the crops are changed; without them no fake is valid.")


class DfdcExport(Export[DfdcOptions]):
    """Copies the videos of one level to the parts of the DFDC."""

    name = "dfdc"
    summary = "DFDC: parts with metadata.json; boxes, crops and diffs of selimsef/dfdc_deepfake_challenge"
    options = DfdcOptions
    one_level = ("c23", "raw", "c40")

    def plan(self, dataset: Dataset, request: Request[DfdcOptions]) -> Plan:
        """Plan a copy of each video, the metadata of each part, and what the options ask for."""
        options, (level,) = request.options, request.levels
        dataset = with_whole_fakes(dataset, options)
        sounds = dataset.sounds() if options.sound else {}
        numbers = three_digits(dataset.sequences, request.numbers)
        names = {id_: numbered(id_, numbers) for id_ in dataset.ids}
        parts, items = _parts(dataset, numbers), list[Item]()
        metadata = defaultdict[str, dict[str, JsonValue]](dict)
        for id_, name in names.items():
            is_fake, target = id_ in dataset.fakes, id_.partition("_")[0]
            items.append(_video(f"{parts[target]}/{name}.mp4", dataset.video(level, id_), sounds.get(target)))
            metadata[parts[target]][f"{name}.mp4"] = {
                "label": "FAKE" if is_fake else "REAL",
                "split": dataset.split_of(id_),
                "original": f"{numbers[target]}.mp4" if is_fake else None,
            }
        dataset.require(dataset.video(level, id_) for id_ in names)
        if options.boxes or options.crops or options.diffs:
            items += _training(dataset, level, names, options)
        items += [Written(f"{part}/metadata.json", json.dumps(found).encode()) for part, found in metadata.items()]
        silent = (
            f"{id_}: its videos have no sound, as {sound.reason}."
            for id_, sound in sorted(sounds.items())
            if sound.reason
        )
        return Plan((*items, conversion_dict(numbers)), numbers, dataset.left_out, (*dataset.remarks, *silent))


def _video(path: str, source: Path, sound: Sound | None) -> Item:
    """Return a copy of a video, with a sound beside its pictures if there is one."""
    if sound is None or sound.path is None:
        return Copied(path, source)
    size = source.stat().st_size + sound.path.stat().st_size if source.is_file() else 0
    sources = {"video": source, "sound": sound.path}
    return Made(path, "facefoundry.exports.makers.sound:with_sound", (path,), sources, {"path": path}, size)


def _parts(dataset: Dataset, numbers: Mapping[str, str]) -> dict[str, str]:
    """Return the folder of the part of each sequence. All that pairs connect is in one part of its split.

    The part follows from the lowest number, so that other pairs do not move it.
    """
    clips = dict.fromkeys(dataset.sequences, ())
    pairs = [pair for found in dataset.splits.values() for pair in found]
    folders = dict[str, str]()
    for group in identities.components(clips, pairs):
        of_split = _PARTS[dataset.split_of(next(iter(group)))]
        part = of_split[min(int(numbers[id_]) for id_ in group) // 2 % len(of_split)]
        folders |= dict.fromkeys(group, f"dfdc_train_part_{part}")
    return folders


def _training(dataset: Dataset, level: str, names: Mapping[str, str], options: DfdcOptions) -> list[Item]:
    """Return boxes, crops and diffs, as the options ask for them."""
    frames, items = Frames(dataset), list[Item]()

    def chosen(id_: str) -> tuple[Chosen, list[list[int]]]:
        every = frames.of(id_).every(_STEP)
        count = sum(place < _LONGEST for place in every.places)
        found = Chosen(every.places[:count], every.rows[:count])
        return found, frames.alignments(id_.partition("_")[0]).boxes[list(found.rows)].tolist()

    for id_, name in names.items():
        is_fake = id_ in dataset.fakes
        some, boxes = chosen(id_)
        if not some.places:
            continue
        common: JsonObject = {"places": [*some.places], "boxes": [[*box] for box in boxes]}
        size = len(boxes) * _CROP_BYTES
        if options.boxes and not is_fake:
            halves = {
                str(place): [[x / 2, y / 2, (x + w) / 2, (y + h) / 2]]
                for place, (x, y, w, h) in zip(some.places, boxes, strict=True)
            }
            items.append(Written(f"boxes/{name}.json", json.dumps(halves).encode()))
        if options.crops:
            video, out = dataset.video(level, id_), f"crops/{name}/"
            arguments = {**common, "pictures_to": out}
            items.append(Made(out.rstrip("/"), f"{_MAKERS}:crops", (out,), {"video": video}, arguments, size))
        if options.diffs and is_fake:
            mask, out = dataset.layout.mask_video("masks_changed", id_), f"diffs/{name}/"
            dataset.require([mask])
            arguments = {**common, "pictures_to": out}
            items.append(Made(out.rstrip("/"), f"{_MAKERS}:diffs", (out,), {"mask": mask}, arguments, size // 50))
    return items
