"""The versions of stored formats. The name of a format ends with its version, such as `facefoundry.manifest/3`."""

from __future__ import annotations

import re

from facefoundry import __version__
from facefoundry.errors import Unusable

__all__ = ["refuse_newer"]

_NAME = re.compile(r"(?P<name>[a-z.]+)/(?P<version>[0-9]{1,9})")


def refuse_newer(found: object, expected: str, resource: str = "", writer: object = None) -> None:
    """Raise an error if something was stored in a newer version of the expected format. Other formats are passed.

    Args:
        found: Name of the format that was found.
        expected: Name of the format that this version reads.
        resource: Key of the object, for the message.
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
