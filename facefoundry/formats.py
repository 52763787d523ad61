"""The versions of stored formats. The name of a format ends with its version, such as `facefoundry.manifest/3`."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from facefoundry import __version__, codec
from facefoundry.codec import JsonValue
from facefoundry.errors import DataLoss, Unusable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["format_of", "refuse_newer", "refuse_newer_json"]

_NAME = re.compile(r"(?P<name>[a-z.]+)/(?P<version>[0-9]{1,9})")


@dataclass(frozen=True)
class _Header:
    """The fields of a JSON document that every format of it has, if any."""

    format: JsonValue = None
    versions: JsonValue = None


def format_of(kind: type[DataclassInstance]) -> str:
    """Return the name of the format that this version reads and writes of a document.

    It is the default of the document's field `format`. A document without that field has version 1 of the format with
    its name, such as `facefoundry.attempt/1`: a later version can add the field, and this one then refuses it.
    """
    stated = [field.default for field in fields(kind) if field.name == "format" and isinstance(field.default, str)]
    return stated[0] if stated else f"facefoundry.{kind.__name__.removesuffix('Record').lower()}/1"


def refuse_newer(found: object, expected: str, resource: str = "", writer: object = None) -> None:
    """Raise an error if something was stored in a newer version of the expected format. Other formats are passed.

    Args:
        found: Name of the format that was found.
        expected: Name of the format that this version reads.
        resource: Key of the object or path of the file, for the message.
        writer: Version of FaceFoundry that wrote it, if it is known.

    Raises:
        Unusable: the format is newer (NEWER_FORMAT).
    """
    known, other = _NAME.fullmatch(expected), _NAME.fullmatch(str(found))
    if known and other and known["name"] == other["name"] and int(known["version"]) < int(other["version"]):
        by = f"version {writer} of FaceFoundry" if isinstance(writer, str) else "a newer version of FaceFoundry"
        raise Unusable(
            f"{resource or 'The file'} has the format {found}, which {by} wrote. This is version {__version__}, which "
            f"reads {expected}. Update this program or service.",
            reason="NEWER_FORMAT",
            resource=resource,
        )


def refuse_newer_json(data: bytes | str, expected: str, resource: str = "") -> None:
    """Raise an error if a JSON object names a newer version of the expected format. All else is left to its reader.

    Args:
        data: The text of the object.
        expected: Name of the format that this version reads.
        resource: Key of the object or path of the file, for the message.

    Raises:
        Unusable: the format is newer (NEWER_FORMAT).
    """
    try:
        header = codec.from_json(_Header, data)
    except DataLoss:
        return
    writer = header.versions.get("facefoundry") if isinstance(header.versions, dict) else None
    refuse_newer(header.format, expected, resource, writer)
