"""The file `export.json` of an export: what it was made of, so that it can be continued and updated."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.formats import refuse_newer_json

__all__ = ["FORMAT", "RECORD", "ExportRecord", "ItemRecord", "parse_record", "refuse_unsafe"]

FORMAT: Final = "facefoundry.export/1"
RECORD: Final = "export.json"
_NUMBER: Final = re.compile(r"[0-9]{3}")


@dataclass(frozen=True)
class ItemRecord:
    """An item that was made, or that is to be made or removed.

    Attributes:
        digest: SHA-256 of all that its files depend on; empty unless they are there, complete and of this version.
        outputs: Its files, and its folders with `/` at their ends.
        files: Number of its files, with those in its folders; 0 without a digest.
    """

    digest: str
    outputs: tuple[str, ...]
    files: int = 0


@dataclass(frozen=True)
class ExportRecord:
    """The record of an export.

    Attributes:
        export: Name of the format.
        dataset: Name of the run that made the dataset.
        dataset_version: Version of the dataset that was exported.
        levels: Names of the levels.
        options: The options of the format.
        complete: Whether all items of the plan were made.
        numbers: The names of sequences in the export, by their ids; empty if they keep their ids.
        items: The items, by name: also those of which files may be left from before.
        left_out: A sentence for each fake or pair that the export does not have.
        remarks: Sentences on what a reader of the export should know.
        version: Version of the export: a digest of the names and digests of its items. Empty until it is complete.
        format: `FORMAT`.
    """

    export: str
    dataset: str
    dataset_version: str
    levels: tuple[str, ...]
    options: JsonObject
    complete: bool = False
    numbers: dict[str, str] = field(default_factory=dict)
    items: dict[str, ItemRecord] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    version: str = ""
    format: Literal["facefoundry.export/1"] = FORMAT

    def completed(self) -> ExportRecord:
        """Return the record of the finished export, with its version."""
        return replace(self, complete=True, version=_version(self.export, self.items))


def parse_record(data: bytes, place: str) -> ExportRecord:
    """Read the record of an export.

    Args:
        data: The bytes of the file.
        place: Where it is, for messages.

    Raises:
        InvalidInput: it is damaged, or names a path outside the export or a number without three digits (EXPORT).
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    refuse_newer_json(data, FORMAT, place)
    try:
        record = codec.from_json(ExportRecord, data)
    except DataLoss as error:
        message = f"{place} is not the record of an export: {error.message} Choose another place, or delete this one."
        raise InvalidInput(message, reason="EXPORT") from error
    for path in (path for item in record.items.values() for path in item.outputs):
        refuse_unsafe(path, place)
        if path == RECORD:
            raise InvalidInput(f"Expected outputs in {place}. It lists itself. Choose another place.", reason="EXPORT")
    numbers = list(record.numbers.values())
    if wrong := [name for name in numbers if not _NUMBER.fullmatch(name) or numbers.count(name) > 1]:
        message = f"Expected numbers of three digits that differ in {place}. Received {wrong[0]!r}. "
        raise InvalidInput(f"{message}Choose another place.", reason="EXPORT")
    return record


def refuse_unsafe(path: str, place: str) -> None:
    """Refuse the path of an output that could lie outside its export.

    Raises:
        InvalidInput: it is such a path (EXPORT).
    """
    parts = path.removesuffix("/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\\" in path or "\0" in path:
        message = f"Expected paths of files in {place}. Received {path!r}, which may lie outside. Choose another place."
        raise InvalidInput(message, reason="EXPORT")


def _version(export: str, items: Mapping[str, ItemRecord]) -> str:
    listed = [[name, item.digest] for name, item in sorted(items.items())]
    return hashlib.sha256(json.dumps([export, listed]).encode()).hexdigest()
