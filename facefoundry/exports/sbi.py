"""What SelfBlendedImages reads: whole frames of real videos at the level raw, with 81 points and boxes."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.codec import JsonObject
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.ffpp import conversion_dict, split_files
from facefoundry.exports.frames import Frames
from facefoundry.exports.numbering import three_digits
from facefoundry.exports.plan import Made, Plan

__all__ = ["SbiExport", "SbiOptions"]

_ROOT = "data/FaceForensics++"
_MAKERS = "facefoundry.exports.makers.frames"
_POINT_BYTES = 1700


@dataclass(frozen=True)
class SbiOptions:
    """The options of `sbi`."""

    frames: int = option(32, "Frames of each video, evenly spread; 0 for all.")


class SbiExport(Export[SbiOptions]):
    """Writes the frames of the real videos; the loader makes its own fakes of them."""

    name = "sbi"
    summary = "SelfBlendedImages: frames of the real videos with 81 points and boxes"
    options = SbiOptions
    revision = 2
    one_level = ("raw",)

    def plan(self, dataset: Dataset, request: Request[SbiOptions]) -> Plan:
        """Plan the frames and the points of each real video.

        Raises:
            InvalidInput: another level than raw was chosen, which the loader does not look for (LEVEL).
        """
        if request.levels != ("raw",):
            message = "Expected the level raw, as SelfBlendedImages looks for no other. "
            raise InvalidInput(f"{message}Received {', '.join(request.levels)}.", reason="LEVEL")
        numbers, frames, items = three_digits(dataset.sequences, request.numbers), Frames(dataset), list[Made]()
        left_out = list(dataset.left_out)
        for id_ in dataset.sequences:
            chosen, folder = frames.of(id_).evenly(request.options.frames), f"{_ROOT}/original_sequences/youtube/raw"
            if not chosen.places:
                left_out.append(f"{id_}: none of its frames shows a face.")
                continue
            pictures, points, boxes = (f"{folder}/{kind}/{numbers[id_]}/" for kind in ("frames", "landmarks", "retina"))
            common: JsonObject = {"frames": [[*pair] for pair in chosen.pairs]}
            video, count = dataset.video("raw", id_), len(chosen.places)
            items += [
                Made(
                    f"frames/{numbers[id_]}",
                    f"{_MAKERS}:pictures",
                    (pictures,),
                    {"video": video},
                    {**common, "pictures_to": pictures, "name": "{:03d}.png"},
                    count * frames.picture_bytes(id_),
                ),
                Made(
                    f"points/{numbers[id_]}",
                    f"{_MAKERS}:self_blended",
                    (points, boxes),
                    {"alignments": frames.path(id_)},
                    {**common, "landmarks_to": points, "boxes_to": boxes, "name": "{:03d}.npy"},
                    count * _POINT_BYTES,
                ),
            ]
        dataset.require(path for item in items for path in item.sources.values())
        documents = (*split_files(dataset, numbers, f"{_ROOT}/"), conversion_dict(numbers))
        return Plan((*items, *documents), numbers, tuple(left_out), dataset.remarks)
