"""What CADDM reads: whole frames, and `ldm.json` with landmarks, label and original of each."""

from __future__ import annotations

import json
from dataclasses import dataclass

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.dataset.splits import SPLITS
from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.ffpp import conversion_dict
from facefoundry.exports.frames import Chosen, Frames
from facefoundry.exports.numbering import numbered, three_digits
from facefoundry.exports.plan import Made, Plan, Written

__all__ = ["CaddmExport", "CaddmOptions"]

_REAL, _FAKE = "original_sequences/youtube", "manipulated_sequences/Deepfakes"


@dataclass(frozen=True)
class CaddmOptions:
    """The options of `caddm`."""

    frames: int = option(32, "Frames of each fake, evenly spread; 0 for all. Real videos have the same frames.")


class CaddmExport(Export[CaddmOptions]):
    """Writes the frames of fakes and the same frames of their targets."""

    name = "caddm"
    summary = "CADDM: frames of each split, with ldm.json"
    options = CaddmOptions

    def plan(self, dataset: Dataset, request: Request[CaddmOptions]) -> Plan:
        """Plan a folder of frames for each video and level, and an `ldm.json` for each split."""
        numbers, frames = three_digits(dataset.sequences, request.numbers), Frames(dataset)
        chosen = {id_: frames.of(id_).evenly(request.options.frames) for id_ in dataset.fakes}
        for id_ in dataset.sequences:
            # The loader blends a frame of a fake with the same frame of its target, so that must be there.
            found = [chosen[fake.id] for fake in dataset.fakes_of(id_) if chosen[fake.id].places]
            found = found or [frames.of(id_).evenly(request.options.frames)]
            rows = dict(sorted((p, r) for some in found for p, r in zip(some.places, some.rows, strict=True)))
            chosen[id_] = Chosen(tuple(rows), tuple(rows.values()))
        items, left_out = list[Made](), list(dataset.left_out)
        entries = {split: dict[str, JsonValue]() for split in SPLITS}
        for id_, some in chosen.items():
            if not some.places:
                left_out.append(f"{id_}: none of its frames shows a face.")
                continue
            split, target = dataset.split_of(id_), id_.partition("_")[0]
            is_fake = id_ in dataset.fakes
            name = numbered(id_, numbers)
            points = frames.alignments(target).landmarks
            for level in request.levels:
                own = f"{split}_images/{_FAKE if is_fake else _REAL}/{level}/frames/{name}/"
                original = f"{split}_images/{_REAL}/{level}/frames/{numbers[target]}/"
                arguments: JsonObject = {
                    "frames": [[*pair] for pair in some.pairs],
                    "pictures_to": own,
                    "name": "frame_{}.png",
                }
                items.append(
                    Made(
                        own.rstrip("/"),
                        "facefoundry.exports.makers.frames:pictures",
                        (own,),
                        {"video": dataset.video(level, id_)},
                        arguments,
                        len(some.places) * frames.picture_bytes(id_),
                    )
                )
                for place, row in zip(some.places, some.rows, strict=True):
                    entries[split][f"./{own}frame_{place}"] = {
                        "landmark": points[row].round().astype(int).tolist(),
                        "source_path": f"./{original}frame_{place}",
                        "label": int(is_fake),
                    }
        dataset.require(path for item in items for path in item.sources.values())
        lists = (Written(f"{split}_images/ldm.json", json.dumps(found).encode()) for split, found in entries.items())
        return Plan((*items, *lists, conversion_dict(numbers)), numbers, tuple(left_out), dataset.remarks)
