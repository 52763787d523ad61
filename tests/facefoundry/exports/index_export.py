"""An export as docs/extending.md describes one: each fake's videos, their mean colours, and an index of the labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.plan import Copied, Item, Made, Plan, Written


@dataclass(frozen=True)
class IndexOptions:
    """The options of `index`."""

    colours: bool = option(False, "Also write the mean colour of each frame.")


class IndexExport(Export[IndexOptions]):
    """Copies the fakes, and lists their labels."""

    name = "index"
    summary = "fakes with a JSON index of their labels"
    options = IndexOptions
    modules = ("tests.facefoundry.exports.",)

    def plan(self, dataset: Dataset, request: Request[IndexOptions]) -> Plan:
        """Plan the copies, the colours and the index."""
        items = list[Item]()
        for fake in dataset.fakes.values():
            for level in request.levels:
                video = dataset.layout.fake_video(level, fake.id)
                dataset.require([video])
                items.append(Copied(f"{level}/{fake.id}.mp4", video))
                if request.options.colours:
                    name = f"{level}/{fake.id}.json"
                    items.append(Made(name, f"{__name__}:colours", (name,), {"video": video}, {"path": name}, 1 << 10))
        index = {id_: {"split": dataset.split_of(id_), "swapped": f.labels.swapped} for id_, f in dataset.fakes.items()}
        items.append(Written("index.json", json.dumps(index).encode()))
        return Plan(tuple(items), left_out=dataset.left_out, remarks=dataset.remarks)


def colours(folder: str, video: str, path: str) -> Iterator[int]:
    """Write the mean colours of a video's frames, and yield the number of each."""
    from facefoundry.media.read import open_source  # the plan needs no library

    means = []
    with open_source(video) as source:
        for number, frame in enumerate(source.frames()):
            means.append(frame.mean(axis=(0, 1)).tolist())
            yield number
    (Path(folder) / path).write_text(json.dumps(means))
