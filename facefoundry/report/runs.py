"""The page that lists the runs of a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from facefoundry.dataset.record import RunRecord
from facefoundry.report.render import REFRESH_SECONDS, render

__all__ = ["ListedRun", "runs_page"]


@dataclass(frozen=True)
class ListedRun:
    """A run in the list.

    Attributes:
        name: Its name.
        record: Its record; None if it cannot be read.
        saved: When the record was written, seconds since 1970.
        failure: Why the record cannot be read; may be empty.
    """

    name: str
    record: RunRecord | None
    saved: float
    failure: str = ""

    @property
    def left(self) -> int:
        """Number of pairs that have not ended."""
        return len(self.record.pairs) - self.record.done - len(self.record.failures) if self.record else 0

    @property
    def written(self) -> str:
        """When the record was written, ISO 8601."""
        return datetime.fromtimestamp(self.saved, timezone.utc).isoformat(timespec="seconds")


def runs_page(runs: Sequence[ListedRun]) -> str:
    """Return the page that lists runs. Its links lead to `runs/<name>/`."""
    return render(
        "runs.html",
        runs=runs,
        links={"style": "style.css", "script": "script.js"},
        style=None,
        script=None,
        style_source="'self' 'unsafe-inline'",
        script_source="'self'",
        refresh=REFRESH_SECONDS,
    )
