"""Croissant 1.1 metadata with the RAI vocabulary, beside the tables and videos of the export `parquet`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from facefoundry.dataset.version import short
from facefoundry.errors import InvalidInput
from facefoundry.exports.croissant_document import Facts, document
from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.parquet import FRAMES, METADATA, table_of, video_copies
from facefoundry.exports.plan import Made, Plan
from facefoundry.provenance.datasheet import read_datasheet

__all__ = ["DOCUMENT", "CroissantExport", "CroissantOptions"]

DOCUMENT = "croissant.json"


@dataclass(frozen=True)
class CroissantOptions:
    """The options of `croissant`."""

    license: str = option("", "Licence of the dataset, as a URL or an SPDX name. Required.")
    creator: str = option("", "Who made the dataset: a name. Required.")
    url: str = option("", "Address where the dataset is described. Required.")
    description: str = option("", "What the dataset is, in a sentence or more.  [default: its counts]")
    release: str = option("1.0.0", "Number of the release, as in semantic versioning.")
    no_landmarks: bool = option(False, "Leave the landmarks null, so that no keys of the store are needed.")


class CroissantExport(Export[CroissantOptions]):
    """Writes Croissant metadata, the tables that it names, and copies of the videos."""

    name = "croissant"
    summary = "Croissant 1.1 metadata with RAI, its Parquet tables, and the videos"
    options = CroissantOptions
    libraries: ClassVar[tuple[str, ...]] = ("pyarrow",)
    install: ClassVar[str] = "'.[tables]'"

    def plan(self, dataset: Dataset, request: Request[CroissantOptions]) -> Plan:
        """Plan the metadata with its tables as one item, since it has their digests, and the copies."""
        options = request.options
        for name in ("license", "creator", "url"):
            if not getattr(options, name):
                message = (
                    f"Expected --{name}: Croissant requires it, and the run record does not have it. Received none."
                )
                raise InvalidInput(message, reason="USAGE")
        table = table_of(dataset, request.levels, landmarks=not options.no_landmarks)
        copies = video_copies(dataset, request.levels)
        folders = {Path(copy.path).parent.as_posix() for copy in copies}
        facts = Facts(
            name=dataset.name,
            description=options.description or _description(dataset, request.levels),
            license=options.license,
            creator=options.creator,
            url=options.url,
            release=options.release,
            published=dataset.record.created[:10],
            dataset_version=dataset.version,
            recipe=str(dataset.record.recipe.get("name", "")),
            datasheet=read_datasheet(dataset.layout),
            levels=request.levels,
            has_masks=any(folder.endswith("/masks/videos") for folder in folders),
        )
        made = Made(
            DOCUMENT,
            "facefoundry.exports.makers.tables:croissant",
            (METADATA, FRAMES, DOCUMENT),
            table.sources,
            {"videos": table.videos, "sequences": table.sequences, "document": document(facts)},
            table.size,
        )
        return Plan((*copies, made), left_out=dataset.left_out, remarks=dataset.remarks)


def _description(dataset: Dataset, levels: tuple[str, ...]) -> str:
    return (
        f"{len(dataset.fakes):,} face-swap videos by the DeepFakes method of FaceForensics++ and "
        f"{len(dataset.sequences):,} real videos, at the compression levels {', '.join(levels)}, with a label for each "
        f"frame. Version {short(dataset.version)}."
    )
