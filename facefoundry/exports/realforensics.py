"""What the preprocessing of RealForensics reads: videos, a track of landmarks for each, and lists of each split."""

from __future__ import annotations

from pathlib import PurePosixPath

from facefoundry.codec import JsonObject
from facefoundry.dataset.splits import SPLITS
from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, Request
from facefoundry.exports.ffpp import conversion_dict, level_folder
from facefoundry.exports.frames import Frames
from facefoundry.exports.numbering import numbered, three_digits
from facefoundry.exports.plan import Copied, Made, Plan, Written
from facefoundry.exports.whole import WholeOptions, with_whole_fakes

__all__ = ["RealForensicsExport"]

_ROOT = "data/Forensics"


class RealForensicsExport(Export[WholeOptions]):
    """Copies the videos, and writes the landmarks of all their frames."""

    name = "realforensics"
    summary = "RealForensics: videos, landmarks of all frames, and csv files"
    options = WholeOptions

    def plan(self, dataset: Dataset, request: Request[WholeOptions]) -> Plan:
        """Plan a copy and a track for each video and level, and the lists."""
        dataset = with_whole_fakes(dataset, request.options)
        numbers, frames = three_digits(dataset.sequences, request.numbers), Frames(dataset)
        names = {id_: numbered(id_, numbers) for id_ in dataset.ids}
        items = list[Copied | Made]()
        for id_, name in names.items():
            is_fake = id_ in dataset.fakes
            rows = frames.rows(id_)
            for level in request.levels:
                folder = f"{_ROOT}/{'Deepfakes' if is_fake else 'Real'}/{level_folder(level, c0=True)}"
                track = f"{folder}/landmarks/{name}.npy"
                arguments: JsonObject = {"rows": [*rows], "path": track}
                items += [
                    Copied(f"{folder}/videos/{name}.mp4", dataset.video(level, id_)),
                    Made(
                        PurePosixPath(track).with_suffix("").as_posix(),
                        "facefoundry.exports.makers.frames:landmark_track",
                        (track,),
                        {"alignments": frames.path(id_)},
                        arguments,
                        len(rows) * 68 * 2 * 4,
                    ),
                ]
        dataset.require(item.source for item in items if isinstance(item, Copied))
        lists = [
            Written(
                f"{_ROOT}/csv_files/{split}_{kind}.csv", "".join(f"{names[id_]}.avi {label}\n" for id_ in ids).encode()
            )
            for split in SPLITS
            for kind, label, all_ids in (("real", 0, dataset.sequences), ("fake", 1, tuple(dataset.fakes)))
            for ids in [[id_ for id_ in all_ids if dataset.split_of(id_) == split]]
        ]
        return Plan((*items, *lists, conversion_dict(numbers)), numbers, dataset.left_out, dataset.remarks)
