"""The files that the house rules hold for: everything in the working tree that git does not ignore."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

_NOT_WRITTEN = ("facefoundry/v1/", "locks/", "k8s/facefoundry.yaml", "protos/third_party/", "docs/openapi.yaml")
GENERATED_PAGES = ("docs/recipes.md", "docs/settings.md")
_TEXT = {".py", ".md", ".proto", ".yaml", ".yml", ".tpl", ".txt", ".html", ".css", ".toml", ".sh", ".svg", ".json", ""}


def tracked(*suffixes: str, below: Sequence[str] = ("",)) -> Iterator[Path]:
    """Yield the files with one of the suffixes below one of the folders, generated and third-party ones left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in sorted(set(listed.split("\0")) - {""}):
        path = ROOT / name
        if name.startswith(_NOT_WRITTEN) or path.suffix not in suffixes or not path.is_file():
            continue
        if any(name.startswith(folder) for folder in below):
            yield path


def texts() -> Iterator[Path]:
    """Yield every text file that people write."""
    return tracked(*_TEXT)


def name_of(path: Path) -> str:
    """Return a file's name relative to the root."""
    return path.relative_to(ROOT).as_posix()
