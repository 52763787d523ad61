"""Tars of videos for WebDataset: a sample is a video with its JSON and, of a fake, its mask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.dataset.splits import SPLITS
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import Dataset, Fake
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.plan import Made, Plan, Written
from facefoundry.storage.parts import MASKS

__all__ = ["INDEX", "WebdatasetExport", "WebdatasetOptions"]

INDEX = "parts.json"
_OVERHEAD = 4096  # of the headers and the JSON of a sample
_MAX_NAME = 100


@dataclass(frozen=True)
class WebdatasetOptions:
    """The options of `webdataset`."""

    part_mb: int = option(256, "Size at which a tar is full, MB. A tar has at least one pair.")
    masks: bool = option(False, "Put the mask of each fake into its sample, as masks.mp4.")


@dataclass(frozen=True)
class Sample:
    """A sample.

    Attributes:
        key: Its key, `<level>-<id>`.
        files: Its files by suffix.
        facts: Its JSON.
    """

    key: str
    files: dict[str, Path]
    facts: JsonObject

    @property
    def size(self) -> int:
        """Expected size in the tar, bytes."""
        return _OVERHEAD + sum(path.stat().st_size for path in self.files.values())


class WebdatasetExport(Export[WebdatasetOptions]):
    """Writes tars `<split>-<level>-<number>.tar`, and `parts.json` with their names and numbers of samples."""

    name = "webdataset"
    summary = "WebDataset: tars of videos with a JSON file each"
    options = WebdatasetOptions
    libraries: ClassVar[tuple[str, ...]] = ()

    def plan(self, dataset: Dataset, request: Request[WebdatasetOptions]) -> Plan:
        """Plan a tar for as many pairs as fit into it, by split and level."""
        if request.options.part_mb < 1:
            message = f"Expected --part-mb of at least 1. Received {request.options.part_mb}."
            raise InvalidInput(message, reason="USAGE")
        items, index = list[Made](), dict[str, list[JsonValue]]()
        for split in SPLITS:
            for level in request.levels:
                pairs = [
                    _samples(dataset, ids, level, with_masks=request.options.masks) for ids in _by_pair(dataset, split)
                ]
                for number, samples in enumerate(_full(pairs, request.options.part_mb * 1_000_000)):
                    path = f"{split}-{level}-{number:06d}.tar"
                    items.append(_tar(path, samples))
                    index.setdefault(split, []).append({"path": path, "level": level, "samples": len(samples)})
        listing = Written(INDEX, json.dumps(index, indent=1).encode())
        return Plan((*items, listing), left_out=dataset.left_out, remarks=dataset.remarks)


def _by_pair(dataset: Dataset, split: str) -> Iterator[list[str]]:
    """Yield the ids of the videos of each pair of a split; a real video of several pairs comes with the first."""
    seen = set[str]()
    for pair in next(pairs for name, pairs in dataset.splits.items() if name == split):
        ids = [id_ for id_ in (pair.a, pair.b, pair.id, pair.mirrored) if id_ not in seen]
        seen |= set(ids)
        yield [id_ for id_ in ids if "_" not in id_ or id_ in dataset.fakes]


def _samples(dataset: Dataset, ids: list[str], level: str, *, with_masks: bool) -> list[Sample]:
    """Return the samples of some videos at a level."""
    found = []
    for id_ in ids:
        fake = dataset.fakes.get(id_)
        files = {"mp4": dataset.video(level, id_)}
        if fake and with_masks:
            files["masks.mp4"] = dataset.layout.mask_video(MASKS[0], id_)
        if len(f"{level}-{id_}.masks.mp4") > _MAX_NAME:
            message = f"Expected ids with which names in a tar have at most {_MAX_NAME} letters. Received {id_}."
            raise InvalidInput(f"{message} Export another format, or rename the clips.", reason="LONG_ID")
        dataset.require(files.values())
        found.append(Sample(f"{level}-{id_}", files, _facts(dataset, id_, level, fake)))
    return found


def _facts(dataset: Dataset, id_: str, level: str, fake: Fake | None) -> JsonObject:
    """Return the JSON of a sample. `swapped` are the numbers of frames that show the other face."""
    target, _, source = id_.partition("_")
    record = dataset.record.sequences.get(target)
    rate: JsonObject = {"fps": float(Fraction(record.fps))} if record is not None and record.fps else {}
    return {
        "id": id_,
        "label": int(fake is not None),
        "split": dataset.split_of(id_),
        "compression": level,
        "target": target if fake else None,
        "source": source if fake else None,
        "swapped": [*fake.labels.swapped] if fake else [],
        **rate,
    }


def _full(pairs: list[list[Sample]], size: int) -> Iterator[list[Sample]]:
    """Yield the samples of consecutive pairs that are at most `size` bytes together, or of one pair."""
    part, used = list[Sample](), 0
    for samples in pairs:
        more = sum(sample.size for sample in samples)
        if part and used + more > size:
            yield part
            part, used = [], 0
        part, used = [*part, *samples], used + more
    if part:
        yield part


def _tar(path: str, samples: list[Sample]) -> Made:
    members: list[JsonValue] = []
    sources = dict[str, Path]()
    for sample in samples:
        text = json.dumps(sample.facts, sort_keys=True)
        members.append({"name": f"{sample.key}.json", "text": text, "source": None})
        for suffix, file in sample.files.items():
            name = f"{sample.key}.{suffix}"
            members.append({"name": name, "text": None, "source": name})
            sources[name] = file
    size = sum(sample.size for sample in samples)
    return Made(
        path, "facefoundry.exports.makers.tars:write", (path,), sources, {"path": path, "members": members}, size
    )
