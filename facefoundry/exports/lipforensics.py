"""What the preprocessing of LipForensics reads: runs of whole frames, landmarks, and split files."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.codec import JsonObject
from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.ffpp import conversion_dict, level_folder, split_files
from facefoundry.exports.frames import Frames
from facefoundry.exports.numbering import numbered, three_digits
from facefoundry.exports.plan import Made, Plan

__all__ = ["LipForensicsExport", "LipForensicsOptions"]

_ROOT = "data/datasets/Forensics"
_MAKERS = "facefoundry.exports.makers.frames"
_POINT_BYTES = 700


@dataclass(frozen=True)
class LipForensicsOptions:
    """The options of `lipforensics`."""

    frames: int = option(270, "Most frames of each video, from the start of its longest run.")
    clip: int = option(25, "Frames of a clip, its frames_per_clip. Pairs with a shorter video are left out.")


class LipForensicsExport(Export[LipForensicsOptions]):
    """Writes of each video the longest run of frames with a face, which in fakes are swapped frames."""

    name = "lipforensics"
    summary = "LipForensics: consecutive frames and 68 landmarks, for its crop of mouths"
    options = LipForensicsOptions

    def plan(self, dataset: Dataset, request: Request[LipForensicsOptions]) -> Plan:
        """Plan the frames of each video at each level, and the landmarks. Pairs with a short run are left out."""
        dataset, frames = dataset.paired_both_ways(), Frames(dataset)
        clip = request.options.clip
        longest = max(request.options.frames, clip)
        runs = {id_: frames.of(id_).longest_run(longest) for id_ in dataset.ids}
        short = {id_ for id_, run in runs.items() if len(run.places) < clip}
        dataset = dataset.without(
            {
                id_: f"a video of its pair has no {clip} consecutive frames with a face."
                for id_, fake in dataset.fakes.items()
                if short & {id_, fake.target, fake.source, f"{fake.source}_{fake.target}"}
            }
        )
        numbers, items = three_digits(dataset.sequences, request.numbers), list[Made]()
        for id_ in dataset.ids:
            is_fake, run, name = id_ in dataset.fakes, runs[id_], numbered(id_, numbers)
            common: JsonObject = {"frames": [[*pair] for pair in run.pairs]}
            count = len(run.places)
            for level in request.levels:
                folder = f"{_ROOT}/{'Deepfakes' if is_fake else 'RealFF'}/{level_folder(level, c0=True)}"
                pictures, points = f"{folder}/images/{name}/", f"{folder}/landmarks/{name}/"
                items += [
                    Made(
                        pictures.rstrip("/"),
                        f"{_MAKERS}:pictures",
                        (pictures,),
                        {"video": dataset.video(level, id_)},
                        {**common, "pictures_to": pictures, "name": "{:04d}.png"},
                        count * frames.picture_bytes(id_),
                    ),
                    Made(
                        points.rstrip("/"),
                        f"{_MAKERS}:landmarks",
                        (points,),
                        {"alignments": frames.path(id_)},
                        {**common, "landmarks_to": points, "name": "{:04d}.npy"},
                        count * _POINT_BYTES,
                    ),
                ]
        dataset.require(path for item in items for path in item.sources.values())
        documents = (*split_files(dataset, numbers, f"{_ROOT}/splits/"), conversion_dict(numbers))
        return Plan((*items, *documents), numbers, dataset.left_out, dataset.remarks)
