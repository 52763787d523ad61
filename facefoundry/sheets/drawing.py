"""Draws a planned sheet in a sandbox, which reads the media of the sheet and nothing else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from facefoundry import codec
from facefoundry.checks.checking import LIMITS, require_libraries
from facefoundry.process.sandbox import Isolation, Sandbox
from facefoundry.sheets.plan import SheetPlan
from facefoundry.sheets.sheet import Sheet

__all__ = ["draw"]


def draw(plan: SheetPlan) -> Sheet:
    """Return the sheet of a plan. A picture of a dataset that cannot be read is shown as such.

    Raises:
        InvalidInput: libraries are missing (EXTRA_MISSING).
        Unusable: the clip cannot be read.
    """
    require_libraries()
    paths = {Path(cell.path).resolve() for row in plan.rows for cell in row.cells if cell.path}
    readable = tuple(sorted({path if path.is_dir() else path.parent for path in paths}))
    with TemporaryDirectory(prefix="look-") as name:
        folder = Path(name)
        isolation = Isolation(folder, writable=(folder,), temporary=folder, readable=readable)
        with Sandbox(LIMITS, allow=("facefoundry.sheets.",), isolation=isolation) as sandbox:
            made = folder / "sheet.png"
            values = codec.to_values(plan)
            for _ in sandbox.run("facefoundry.sheets.pictures:draw", plan=values, out=str(made)):
                pass
        return Sheet(plan.title, tuple(row.caption for row in plan.rows), made.read_bytes())
