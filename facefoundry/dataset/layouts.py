"""The layouts that can be used here, and which of them a dataset has.

A package adds a layout with an entry point of the group `facefoundry.layouts`: its name is the layout's name, and it
refers to a subclass of `Layout`.

    [project.entry-points."facefoundry.layouts"]
    flat = "my_package.layout:FlatLayout"
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.entry_points import EntryPointGroup
from facefoundry.errors import InvalidInput

__all__ = ["GROUP", "layout_of"]

GROUP: Final = EntryPointGroup[type[Layout]](
    name="facefoundry.layouts",
    kind="layout",
    field="layout",
    own={layout.name: layout for layout in (FfppLayout,)},
    expected="a subclass of Layout with this name",
    accepts=lambda name, found: isinstance(found, type) and issubclass(found, Layout) and found.name == name,
)
"""This project's layouts, and the entry points with which other packages add layouts."""


def layout_of(folder: Path, name: str | None = None) -> Layout:
    """Return the layout of a dataset's folder. Every command gets its layout here.

    Args:
        folder: Folder of the whole dataset, which need not exist yet.
        name: The layout to use. None selects the one that the run record in the folder names, or FF++'s without
            a record.

    Raises:
        InvalidInput: the layout is not installed (LAYOUT_UNKNOWN) or broken (LAYOUT_BROKEN), or the folder
            contains a run in another layout (LAYOUT).
    """
    used = _recorded(folder)
    if name and used and used.name != name:
        raise InvalidInput(
            f"Expected the layout {used.name}, in which {folder} was written. Received {name!r}. "
            "Choose another output folder.",
            reason="LAYOUT",
        )
    return used or GROUP.find(name or FfppLayout.name)(folder)


def _recorded(folder: Path) -> Layout | None:
    """Return the layout whose run folder has a run record that names this layout; None if there is no such record."""
    for name in GROUP.names():
        with suppress(InvalidInput):  # a broken package matters only to who names its layout
            layout = GROUP.find(name)(folder)
            if RunFolder(layout.run_folder()).layout_name() == name:
                return layout
    return None
