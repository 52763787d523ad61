"""Forms that label whole videos: what they do with fakes in which some frames are not swapped."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import option

__all__ = ["WholeOptions", "with_whole_fakes"]


@dataclass(frozen=True)
class WholeOptions:
    """The option of forms that label whole videos."""

    partial: bool = option(False, "Keep fakes with frames that are not swapped: their label is that of the video.")


def with_whole_fakes(dataset: Dataset, options: WholeOptions) -> Dataset:
    """Return the dataset without fakes in which a frame is not swapped, unless `options.partial`."""
    if options.partial:
        return dataset
    return dataset.without(
        {
            id_: f"{len(labels.frames) - len(labels.swapped)} of its frames are not swapped, and this format labels "
            "whole videos; --partial keeps it."
            for id_, labels in ((id_, fake.labels) for id_, fake in dataset.fakes.items())
            if len(labels.swapped) < len(labels.frames)
        }
    )
