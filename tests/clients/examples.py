"""The clients in other languages of examples/clients: their commands, as the page shows them, and their length."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.house import files

FOLDER = files.ROOT / "examples" / "clients"
PAGE = FOLDER / "README.md"
MAX_LINES = 80

_SECTION = re.compile(r"^## (\w+)\n\nNeeds (.*?)\n\n```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SOURCES = (".py", ".go", ".sh", ".ts", ".java", ".rs")
_NO_CODE = re.compile(r"\s*(?:$|//|#|/?\*)")
_MADE = shutil.ignore_patterns("bin", "gen", "node_modules", "target")


@dataclass(frozen=True)
class Example:
    """A client in another language.

    Attributes:
        name: Name of its folder.
        needs: Programs that must be installed.
        build: Shell commands that build it, in its folder.
        run: Shell command that runs it there on the clips 033.mp4 and 097.mp4.
    """

    name: str
    needs: tuple[str, ...]
    build: str
    run: str

    @property
    def lines(self) -> int:
        """Its length without generated code, blank lines and comments."""
        sources = files.tracked(*_SOURCES, below=[f"{files.name_of(FOLDER)}/{self.name}/"])
        return sum(not _NO_CODE.match(line) for path in sources for line in path.read_text().splitlines())


def examples() -> list[Example]:
    """Return the clients in the order of the page."""
    found = []
    for title, needs, commands in _SECTION.findall(PAGE.read_text()):
        *build, run = commands.splitlines()
        found.append(Example(title.lower(), tuple(re.findall(r"`([\w-]+)`", needs)), "\n".join(build), run))
    return found


def copy(folder: Path) -> Path:
    """Copy the examples and the protos below a folder, and return the copy of the clients' folder.

    What an earlier build made there stays, so that the next one takes less time.
    """
    for name in ("protos", "examples"):
        shutil.copytree(files.ROOT / name, folder / name, ignore=_MADE, dirs_exist_ok=True)
    return folder / FOLDER.relative_to(files.ROOT)
