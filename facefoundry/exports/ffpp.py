"""FF++'s own tree with its own names: sequences 000 to 999, the three split files, and `conversion_dict.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.splits import SPLITS
from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.numbering import numbered, three_digits
from facefoundry.exports.plan import Copied, Plan, Written
from facefoundry.storage.parts import MASKS

__all__ = ["FfppExport", "FfppOptions", "conversion_dict", "level_folder", "split_files"]


@dataclass(frozen=True)
class FfppOptions:
    """The options of `ffpp`."""

    c0: bool = option(False, "Name the folder of the level raw c0, as FF++'s download script does.")


class FfppExport(Export[FfppOptions]):
    """Copies the videos, masks and labels of a dataset to FF++'s tree."""

    name = "ffpp"
    summary = "FaceForensics++: sequences 000 to 999, split files, conversion_dict.json"
    options = FfppOptions

    def plan(self, dataset: Dataset, request: Request[FfppOptions]) -> Plan:
        """Plan a copy of each file, the split files and the names."""
        dataset = dataset.paired_both_ways()
        numbers = three_digits(dataset.sequences, request.numbers)
        out, layout = FfppLayout(Path()), dataset.layout
        copies = list[Copied]()

        def copy(source: Path, path: Path) -> None:
            copies.append(Copied(path.as_posix(), source))

        folders = {level: level_folder(level, c0=request.options.c0) for level in request.levels}
        for level, folder in folders.items():
            for id_ in dataset.sequences:
                copy(layout.real_video(level, id_), out.real_video(folder, numbers[id_]))
        for fake in dataset.fakes.values():
            name = numbered(fake.id, numbers)
            for level, folder in folders.items():
                copy(layout.fake_video(level, fake.id), out.fake_video(folder, name))
            for kind in _masks_of(layout, list(dataset.fakes)):
                copy(layout.mask_video(kind, fake.id), out.mask_video(kind, name))
            copy(layout.labels(fake.id), out.labels(name))
        dataset.require(copy.source for copy in copies)
        documents = (*split_files(dataset, numbers), conversion_dict(numbers))
        return Plan((*copies, *documents), numbers, dataset.left_out, dataset.remarks)


def level_folder(level: str, *, c0: bool) -> str:
    """Return the folder of a level: `c0` for `raw` if asked for."""
    return "c0" if c0 and level == "raw" else level


def split_files(dataset: Dataset, numbers: Mapping[str, str], folder: str = "") -> tuple[Written, ...]:
    """Return `train.json`, `val.json` and `test.json`: pairs of names, each pair once.

    Args:
        dataset: The dataset.
        numbers: The names of the sequences, by id.
        folder: Folder of the files in the export, with `/` at its end, or empty.
    """
    lists = {name: [[numbers[pair.a], numbers[pair.b]] for pair in dataset.splits.get(name, ())] for name in SPLITS}
    return tuple(Written(f"{folder}{name}.json", json.dumps(pairs).encode()) for name, pairs in lists.items())


def conversion_dict(numbers: Mapping[str, str]) -> Written:
    """Return `conversion_dict.json`: the id in the dataset by the name in the export."""
    ids = {name: id_ for id_, name in sorted(numbers.items(), key=lambda item: item[1])}
    return Written("conversion_dict.json", json.dumps(ids, indent=1).encode())


def _masks_of(layout: Layout, fakes: Sequence[str]) -> list[str]:
    """Return the kinds of masks that the dataset has here; `fetch` may have left some out."""
    return [kind for kind in MASKS if any(layout.mask_video(kind, fake).is_file() for fake in fakes)]
