"""What the sandbox that judges calls. It loads scikit-learn in the run itself, after the sandbox has forked.

scikit-learn loads pandas where it is installed, and pandas loads pyarrow, which starts a thread. A sandbox forks beside
no thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from facefoundry import codec
from facefoundry.checks.measured import Kept
from facefoundry.codec import JsonObject

__all__ = ["judge"]


def judge(files: dict[str, dict[str, str]], groups: dict[str, int], divided: bool) -> Iterator[JsonObject]:
    """Yield the rows of the result, one `LeakRow` each.

    Args:
        files: Paths of documents of `Kept`, by level and id of the fake.
        groups: Number of the group of each target.
        divided: Whether the two directions of a pair are in two groups.
    """
    from facefoundry.checks.judge import rows_of

    read = {
        level: {fake: codec.from_json(Kept, Path(path).read_bytes()).measured for fake, path in paths.items()}
        for level, paths in files.items()
    }
    for row in rows_of(read, groups, divided=divided):
        yield codec.to_values(row)
