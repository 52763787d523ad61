"""One row of the bench: what a stage costs here and in its reference, measured side by side on pinned cores.

A row is a module of `benchmarks.rows` whose function `run` returns a list of `Row`; `command` makes it a command.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from facefoundry.process.sandbox import library_variables

__all__ = ["CHECK_SHARE", "Row", "Timing", "command", "cpu_seconds", "interleaved", "pin", "table"]

CHECK_SHARE = 2 / 3
"""Share of its bar that a row must reach in a check, as the machine may do other work too."""

_PINNED = "FACEFOUNDRY_BENCH_CORES"
_PACKAGES = (
    "av",
    "dlib-bin",
    "face-alignment",
    "jax",
    "keras",
    "numpy",
    "opencv-python-headless",
    "tensorflow-cpu",
    "torch",
)


@dataclass(frozen=True)
class Row:
    """What was measured of one stage.

    Attributes:
        stage: What is done, and on what.
        unit: Unit of `reference` and `ours`: seconds (`s`), bytes (`B`) or a count, as in `s/frame`.
        reference: The reference's amount, or the limit.
        ours: Ours; None where it cannot be measured here, which `how` explains.
        bar: What `reference / ours` must reach.
        fidelity: What was compared besides the cost, and the result.
        faithful: Whether that result is as required.
        how: What the reference is, and how it was measured.
        first_call: Seconds of our first call, which prepares and compiles; no other figure includes it.
        reached: The best ratio in docs/performance.md where the bar is out of reach; a check uses it instead.
    """

    stage: str
    unit: str
    reference: float | None
    ours: float | None
    bar: float
    fidelity: str
    faithful: bool
    how: str
    first_call: float | None = None
    reached: float | None = None

    @property
    def ratio(self) -> float | None:
        """The amount (time or memory) that the reference needs, divided by FaceFoundry's; None if not measured."""
        return self.reference / self.ours if self.reference is not None and self.ours else None

    def least(self, share: float = 1.0) -> float:
        """Return the required ratio: `bar`, or for a check a share of `bar` or of the best ratio reached."""
        return self.bar if share == 1 else share * min(self.bar, self.reached or self.bar)

    def holds(self, share: float = 1.0) -> bool:
        """Return whether the row is faithful and its ratio is at least `least`; an unmeasured row holds."""
        return self.faithful and (self.ratio is None or self.ratio >= self.least(share))

    def to_record(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Row:
        """Return the row of a record that `to_record` made."""
        return cls(**{name: value for name, value in record.items() if name not in ("ratio", "holds")})


@dataclass(frozen=True)
class Timing:
    """The shortest of interleaved calls, seconds.

    Attributes:
        reference: A reference call.
        ours: One of ours.
        first_reference: The first reference call, which is not among the others.
        first_ours: Our first call, likewise.
    """

    reference: float
    ours: float
    first_reference: float
    first_ours: float


def cpu_seconds() -> float:
    """Return the CPU time of this process, its threads and its ended children.

    On one core this is what a clock would show if the machine did nothing else.
    """
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def interleaved(
    reference: Callable[[], object],
    ours: Callable[[], object],
    rounds: int = 7,
    clock: Callable[[], float] = cpu_seconds,
) -> Timing:
    """Call the two in turn, so that a machine that is slow for long slows both, and keep the shortest of each.

    Args:
        reference: One call of the reference.
        ours: One call of ours, doing the same work.
        rounds: Calls of each after the first.
        clock: `cpu_seconds`, or `time.perf_counter` where several cores, a GPU or waiting are measured.
    """

    def timed(call: Callable[[], object]) -> float:
        start = clock()
        call()
        return clock() - start

    first = timed(reference), timed(ours)
    pairs = [(timed(reference), timed(ours)) for _ in range(rounds)]
    least = [min(column) for column in zip(*pairs, strict=True)]
    return Timing(least[0], least[1], *first)


def pin(cores: int) -> dict[str, str]:
    """Bind this process and its children to the last of its cores.

    Libraries read their number of threads when they are loaded, so the environment is for a process yet to be started.

    Args:
        cores: How many.

    Returns:
        The environment of a sandbox with as many threads.
    """
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[-cores:])
    return {
        **os.environ,
        **library_variables(cores),
        _PINNED: str(cores),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def command(run: Callable[[], Sequence[Row]], cores: int = 1) -> None:
    """Run one row as a command: measure, print the table, write JSON with `--json FILE`; exit 1 below the bar."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    if os.environ.get(_PINNED) != str(cores):
        os.execve(sys.executable, sys.orig_argv, pin(cores))
    start = time.perf_counter()
    rows = run()
    if arguments.json:
        record = {
            "rows": [row.to_record() for row in rows],
            "seconds": round(time.perf_counter() - start, 1),
            "cores": cores,
            "machine": _machine(),
        }
        arguments.json.write_text(json.dumps(record, indent=1))
    print(table(rows))
    sys.exit(not all(row.holds() for row in rows))


def table(rows: Sequence[Row], share: float = 1.0) -> str:
    """Return rows as a Markdown table; `share` is the share of the bar that they must reach."""
    lines = ["| stage | reference | ours | ratio | bar | | fidelity | how |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        verdict = "not here" if row.ratio is None else "ok" if row.holds(share) else "BELOW"
        first = "" if row.first_call is None else f"; first call {_amount(row.first_call, 's')}"
        cells = (
            row.stage,
            _amount(row.reference, row.unit),
            _amount(row.ours, row.unit),
            ratio,
            f"{row.least(share):.2f}",
            verdict,
            row.fidelity,
            row.how + first,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    kind, _, per = unit.partition("/")
    per = f"/{per}" if per else ""
    if kind == "s":
        for factor, name in ((1.0, "s"), (1e3, "ms")):
            if value * factor >= 1:
                return f"{value * factor:.3g} {name}{per}"
        return f"{value * 1e6:.3g} us{per}"
    if kind == "B" and value >= 1000:
        return f"{value / 1000:,.0f} kB{per}"
    return f"{value:.6g} {unit}"


def _machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    model = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": model[0] if model else platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
