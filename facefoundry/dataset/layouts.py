"""Lists the installed layouts, and finds the layout of a dataset.

A package adds a layout with an entry point of the group `facefoundry.layouts`: its name is the layout's name, and it
refers to a subclass of `Layout`.

    [project.entry-points."facefoundry.layouts"]
    flat = "my_package.layout:FlatLayout"
"""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput

__all__ = ["GROUP", "find", "layout_of", "names"]

GROUP: Final = "facefoundry.layouts"
"""The entry point group in which other packages register layouts."""

_OWN: Final[dict[str, type[Layout]]] = {layout.name: layout for layout in (FfppLayout,)}


def names() -> list[str]:
    """Return the names of the installed layouts, this project's first."""
    return [*_OWN, *(name for name in _others() if name not in _OWN)]


def find(name: str) -> type[Layout]:
    """Find a layout by its name.

    Raises:
        InvalidInput: no such layout is installed, or the package that adds it is broken (LAYOUT).
    """
    if name in _OWN:
        return _OWN[name]
    entry = _others().get(name)
    if entry is None:
        raise _refused(f"Expected a layout that is installed here: {', '.join(names())}. Received {name!r}.")
    try:
        layout = entry.load()
    except Exception as error:  # anything may go wrong in another package's module
        raise _refused(f"The layout {name!r} of the entry point {entry.value} cannot be imported: {error!r}") from error
    if not (isinstance(layout, type) and issubclass(layout, Layout) and layout.name == name):
        raise _refused(f"Expected a Layout named {name!r} at the entry point {entry.value}. Received {layout!r}.")
    return layout


def layout_of(folder: Path, name: str | None = None) -> Layout:
    """Return the layout of a dataset's folder. Every command gets its layout here.

    Args:
        folder: Folder of the whole dataset; it may not exist yet.
        name: The layout to use. None selects the one that the run record in the folder names, or FF++'s without
            a record.

    Raises:
        InvalidInput: the layout is not installed or broken, or the folder has a run in another one (LAYOUT).
    """
    used = _recorded(folder)
    if name and used and used.name != name:
        raise _refused(
            f"Expected the layout {used.name}, in which {folder} was written. Received {name!r}. "
            "Choose another output folder."
        )
    return used or find(name or FfppLayout.name)(folder)


def _recorded(folder: Path) -> Layout | None:
    """Return the layout whose run folder holds a record that names it; None if there is no such record."""
    for name in names():
        with suppress(InvalidInput):  # a broken package matters only to who names its layout
            layout = find(name)(folder)
            if RunFolder(layout.run_folder()).layout_name() == name:
                return layout
    return None


def _others() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _refused(message: str) -> InvalidInput:
    return InvalidInput(message, reason="LAYOUT")
