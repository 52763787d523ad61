"""Backends of other packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.trainer.backends import GROUP


@pytest.fixture
def install_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution `other-backend` with a module of the given text and functions of it as backends."""
    site = tmp_path / "site"
    facts = site / "other_backend-1.0.dist-info"

    def install(module: str, **functions: str) -> None:
        facts.mkdir(parents=True)
        (site / "other_backend.py").write_text(module)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: other-backend\nVersion: 1.0\n")
        lines = [f"{name} = other_backend:{function}" for name, function in functions.items()]
        (facts / "entry_points.txt").write_text("\n".join([f"[{GROUP.name}]", *lines, ""]))
        monkeypatch.syspath_prepend(site)

    yield install
    sys.modules.pop("other_backend", None)
