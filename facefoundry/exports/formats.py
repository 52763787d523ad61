"""The formats of exports that can be used here.

A package adds one with an entry point of the group `facefoundry.exports`: its name is the format's name, and it refers
to an instance of a subclass of `Export`.

    [project.entry-points."facefoundry.exports"]
    my_format = "my_package.format:MyExport"
"""

from __future__ import annotations

from typing import Any, Final

from facefoundry.entry_points import EntryPointGroup
from facefoundry.exports.caddm import CaddmExport
from facefoundry.exports.croissant import CroissantExport
from facefoundry.exports.deepfakebench import DeepfakeBenchExport
from facefoundry.exports.dfdc import DfdcExport
from facefoundry.exports.export import Export
from facefoundry.exports.ffpp import FfppExport
from facefoundry.exports.lipforensics import LipForensicsExport
from facefoundry.exports.parquet import ParquetExport
from facefoundry.exports.realforensics import RealForensicsExport
from facefoundry.exports.sbi import SbiExport
from facefoundry.exports.webdataset import WebdatasetExport

__all__ = ["GROUP", "AnyExport"]

AnyExport = type[Export[Any]]
"""The class of a format, with whatever options it has."""

_OWN: Final[tuple[AnyExport, ...]] = (
    FfppExport,
    DeepfakeBenchExport,
    DfdcExport,
    SbiExport,
    CaddmExport,
    LipForensicsExport,
    RealForensicsExport,
    ParquetExport,
    CroissantExport,
    WebdatasetExport,
)

GROUP: Final = EntryPointGroup[AnyExport](
    name="facefoundry.exports",
    kind="export",
    field="format",
    own={export.name: export for export in _OWN},
    expected="a subclass of Export with this name",
    accepts=lambda name, found: isinstance(found, type) and issubclass(found, Export) and found.name == name,
)
"""This project's formats, and the entry points with which other packages add formats."""
