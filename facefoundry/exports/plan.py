"""What an export consists of: items, each with the files that it makes and what they depend on.

Nothing here reads or writes. An export plans its items; `facefoundry.exports.run` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from facefoundry.codec import JsonObject

__all__ = ["Copied", "Item", "Made", "Plan", "Written"]


@dataclass(frozen=True)
class Written:
    """A small file whose bytes are known when the export is planned.

    Attributes:
        path: Its path in the export; `/` separates folders.
        data: Its bytes.
    """

    path: str
    data: bytes


@dataclass(frozen=True)
class Copied:
    """A copy of a file of the dataset.

    Attributes:
        path: Its path in the export.
        source: The file.
    """

    path: str
    source: Path


@dataclass(frozen=True)
class Made:
    """Files that a function makes together, such as the face crops of one video.

    The function is a module-level generator that runs in a sandbox. It gets the argument `folder`, an empty folder as
    text, and writes the outputs there under their paths in the export. It yields any JSON value from time to time, and
    nothing that it yields is used; a run without one for 15 minutes is killed.

    Attributes:
        name: Unique name of the item, such as `c23/000_003`.
        function: The function, as `package.module:function`.
        outputs: What it makes: paths of files, and of folders, which end with `/`. A folder belongs to this item alone.
        sources: The files that it reads, by the name of the argument that gets the path.
        arguments: Its further arguments.
        size: Expected size of the outputs, bytes.
    """

    name: str
    function: str
    outputs: tuple[str, ...]
    sources: Mapping[str, Path]
    arguments: JsonObject
    size: int


Item: TypeAlias = Written | Copied | Made


@dataclass(frozen=True)
class Plan:
    """All items of an export.

    Attributes:
        items: The items; no two have an output in common.
        numbers: The names that the export gives to sequences, by their ids; empty if they keep their ids.
        left_out: A sentence for each fake, real video or pair that the export does not have.
        remarks: Sentences on what a reader of the export should know.
    """

    items: tuple[Item, ...]
    numbers: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
