"""Scratch folders after a call: those of warm sandboxes stay, and are empty."""

from __future__ import annotations

from pathlib import Path

__all__ = ["files_in"]


def files_in(scratch: Path) -> list[Path]:
    """All that is in the folders of a scratch folder's sandboxes, at any depth, without the folders themselves."""
    return sorted(path for path in scratch.rglob("*") if not path.is_dir() or len(path.relative_to(scratch).parts) > 2)
