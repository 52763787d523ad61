"""Builds the JSON-LD of Croissant 1.1. The format: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.exports.parquet import FRAMES, METADATA
from facefoundry.provenance.datasheet import Datasheet

__all__ = ["Facts", "document", "with_digests"]

# fmt: off
_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject",
    "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)
# fmt: on
_CONTEXT: JsonObject = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS},
}
_EMPTY_SHA256 = hashlib.sha256().hexdigest()  # of a folder, which has no bytes of its own
_UPKEEP = ("Maintenance", "Contact")
_SPLITS = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
_VIDEO_FIELDS = {
    "file_name": ("sc:Text", "Path of the video."),
    "video_id": ("sc:Text", "Id of the clip, or <target>_<source> of a fake."),
    "label": ("sc:Integer", "1 if the video is a fake, 0 if it is real."),
    "compression": ("sc:Text", "Compression level."),
    "method": ("sc:Text", "Deepfakes; null for a real video."),
    "target": ("sc:Text", "The clip whose frames a fake keeps."),
    "source": ("sc:Text", "The clip that gives a fake its face."),
    "split": ("sc:Text", "Split of the video."),
    "mask_path": ("sc:Text", "Path of the mask of a fake."),
    "frames": ("sc:Integer", "Number of frames."),
    "swapped_frames": ("sc:Integer", "Number of frames that show the other face."),
    "width": ("sc:Integer", "Width of the frames, pixels."),
    "height": ("sc:Integer", "Height of the frames, pixels."),
    "bytes": ("sc:Integer", "Size of the file."),
    "fps": ("sc:Float", "Frames per second."),
    "sha256": ("sc:Text", "SHA-256 of the file."),
}
_FRAME_FIELDS = {
    "video_id": ("sc:Text", "Id of the video; its frames are the same at every level."),
    "frame": ("sc:Integer", "Number of the frame in the video, from 0."),
    "swapped": ("sc:Boolean", "Whether the frame shows the other face."),
    "reason": ("sc:Text", "Why a frame of a fake does not; null otherwise."),
    "box": ("sc:Float", "Box of the mask: x, y, width, height, pixels."),
    "landmarks": ("sc:Float", "68 landmarks of the target's face, x and y, pixels; null without a face."),
}
_SHAPES = {"box": "4", "landmarks": "68,2"}


@dataclass(frozen=True)
class Facts:
    """What the metadata says of a dataset.

    Attributes:
        name: Its name.
        description: What it is.
        license: URL or SPDX name of its licence.
        creator: Name of who made it.
        url: Where it is described.
        release: Number of the release, as in semantic versioning.
        published: Date, ISO 8601.
        dataset_version: Version of the dataset, 64 hex digits.
        recipe: Name of the recipe.
        datasheet: Its datasheet, which the fields of the RAI vocabulary are made of.
        levels: Compression levels.
        has_masks: Whether there are masks.
    """

    name: str
    description: str
    license: str
    creator: str
    url: str
    release: str
    published: str
    dataset_version: str
    recipe: str
    datasheet: Datasheet
    levels: tuple[str, ...]
    has_masks: bool


def document(facts: Facts) -> JsonObject:
    """Return the metadata of a dataset; `with_digests` completes it when the tables are written."""
    real, fake = "original_sequences/youtube", "manipulated_sequences/Deepfakes"
    sets = {level: [f"{real}/{level}/videos/*.mp4", f"{fake}/{level}/videos/*.mp4"] for level in facts.levels}
    if facts.has_masks:
        sets["masks"] = [f"{fake}/masks/videos/*.mp4"]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": facts.name,
        "description": facts.description,
        "license": facts.license,
        "creator": {"@type": "sc:Organization", "name": facts.creator},
        "url": facts.url,
        "version": facts.release,
        "identifier": f"sha256:{facts.dataset_version}",
        "datePublished": facts.published,
        "citeAs": f"{facts.creator}: {facts.name}, release {facts.release}. {facts.url}",
        "keywords": ["deepfake detection", "face swap", "synthetic media", "video"],
        **_responsible(facts),
        "distribution": [
            *map(_table, (METADATA, FRAMES)),
            *(each for item in sets.items() for each in _file_set(*item)),
        ],
        "recordSet": [
            _splits(),
            _records("videos", METADATA, _VIDEO_FIELDS, "file_name"),
            _records("frames", FRAMES, _FRAME_FIELDS, None),
            *map(_files, sets),
        ],
    }


def with_digests(made: JsonObject, digests: dict[str, str]) -> JsonObject:
    """Return the metadata with the SHA-256 of the tables, by their names."""
    listed = made["distribution"]
    assert isinstance(listed, list)
    distribution: list[JsonValue] = [
        {**item, "sha256": digests[str(item["name"])]} if isinstance(item, dict) and item["name"] in digests else item
        for item in listed
    ]
    return {**made, "distribution": distribution}


def _responsible(facts: Facts) -> JsonObject:
    """Return the fields of the RAI vocabulary, from the sections of the datasheet. What nobody stated is left out."""
    sheet = facts.datasheet
    motivation, collection, rights = (sheet.section(title) for title in ("Motivation", "Collection", "Rights"))
    stated = [section for section in (collection, sheet.section("Composition")) if section.is_stated]
    upkeep = [f"{title}: {sheet.section(title).text}" for title in _UPKEEP if sheet.section(title).is_stated]
    return {
        "rai:dataCollection": " ".join([*(section.text for section in stated), f"Rights to the clips: {rights.text}"]),
        "rai:dataCollectionType": ["Others"],
        "rai:dataManipulationProtocol": (
            "Every fake keeps the frames of its target and shows the face of its source, by an autoencoder with one "
            f"decoder for each person, as the DeepFakes method of FaceForensics++ does. Recipe: {facts.recipe}. Every "
            "fake is labelled as synthetic, frame by frame; frames without a found face are not swapped."
        ),
        "rai:dataAnnotationProtocol": "Labels, boxes and masks are made with the fakes, not by annotators.",
        "rai:machineAnnotationTools": ["FaceFoundry"],
        "rai:dataUseCases": [
            "Training and testing of detectors of manipulated videos.",
            *([motivation.text] if motivation.is_stated else []),
        ],
        "rai:dataLimitations": [sheet.section("Limits").text],
        "rai:personalSensitiveInformation": ["Faces of people, real and synthetic."],
        **({"rai:dataReleaseMaintenancePlan": " ".join(upkeep)} if upkeep else {}),
    }


def _table(name: str) -> JsonObject:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": ["application/vnd.apache.parquet", "application/x-parquet"],
        "sha256": "",
    }


def _file_set(name: str, includes: Sequence[str]) -> list[JsonObject]:
    """Return the videos of a level, with a folder of their own: readers join file sets that share one."""
    folder = f"folder-{name}"
    return [
        {
            "@type": "cr:FileObject",
            "@id": folder,
            "name": folder,
            "contentUrl": ".",
            "encodingFormat": "application/x-directory",
            "sha256": _EMPTY_SHA256,
        },
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "containedIn": {"@id": folder},
            "encodingFormat": "video/mp4",
            "includes": list(includes),
        },
    ]


def _splits() -> JsonObject:
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": name, "splits/url": url} for name, url in _SPLITS.items()],
    }


def _records(name: str, table: str, fields: dict[str, tuple[str, str]], key: str | None) -> JsonObject:
    """Return the record set of a table."""

    def field(column: str, kind: str, text: str) -> JsonObject:
        made: JsonObject = {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "description": text,
            "dataType": kind,
            "source": {"fileObject": {"@id": table}, "extract": {"column": column}},
        }
        if column in _SHAPES:
            made |= {"isArray": True, "arrayShape": _SHAPES[column]}
        if column == "split":
            made["references"] = {"field": {"@id": "splits/name"}}
        return made

    keyed: JsonObject = {"key": {"@id": f"{name}/{key}"}} if key else {}
    listed: list[JsonValue] = [field(column, kind, text) for column, (kind, text) in fields.items()]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, **keyed, "field": listed}


def _files(level: str) -> JsonObject:
    """Return the record set of the files of a level: path and content."""

    def field(name: str, kind: str, source: str) -> JsonObject:
        return {
            "@type": "cr:Field",
            "@id": f"files-{level}/{name}",
            "name": name,
            "dataType": kind,
            "source": {"fileSet": {"@id": level}, "extract": {"fileProperty": source}},
        }

    listed: list[JsonValue] = [field("path", "sc:Text", "fullpath"), field("content", "sc:VideoObject", "content")]
    return {"@type": "cr:RecordSet", "@id": f"files-{level}", "name": f"files-{level}", "field": listed}
