"""Writes settings of a store as a file of variables."""

from __future__ import annotations

from pathlib import Path

from facefoundry.settings import StoreSettings


def env_file(path: Path, settings: StoreSettings, *fields: str) -> Path:
    """Write some settings of a store, by default those that reach it, and return the path."""
    lines = []
    for field in fields or ("endpoint", "access_key", "secret_key", "bucket", "region"):
        value = getattr(settings, field)
        shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        lines.append(f"FACEFOUNDRY_STORE_{field.upper()}={shown}")
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["# a store", "", *lines]) + "\n")
    return path
