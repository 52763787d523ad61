"""One line of the bench: what a stage costs here and in its reference, measured side by side on pinned cores.

A row is a module of `benchmarks.rows` with a function `run`, a list of `Row`; `command` makes it a command of its own.
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
"""Part of its bar that a row must reach in a check, on a machine that does other work too."""

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
        unit: What `reference` and `ours` are an amount of: seconds (`s`), bytes (`B`) or a count, such as `s/frame`.
        reference: The reference's amount, or the most that is allowed.
        ours: Ours; None where it cannot be measured here, which `how` explains.
        bar: What `reference / ours` must reach.
        fidelity: What was compared beside the clock, and what came out.
        faithful: It came out as it has to.
        how: What the reference is, and how it was measured.
        first_call: Seconds of our first call, which prepares and compiles; it is in no other figure.
        reached: The best seen where the bar is out of reach, by docs/performance.md; a check holds this instead.
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
        """How many times as much the reference needs; None where nothing was measured."""
        return self.reference / self.ours if self.reference is not None and self.ours else None

    def least(self, share: float = 1.0) -> float:
        """The ratio that is asked for: the bar, or in a check that share of it, or of what was reached of it."""
        return self.bar if share == 1 else share * min(self.bar, self.reached or self.bar)

    def holds(self, share: float = 1.0) -> bool:
        """Say whether the row is faithful and its ratio is at least `least`; what cannot be measured here holds."""
        return self.faithful and (self.ratio is None or self.ratio >= self.least(share))

    def to_record(self) -> dict[str, Any]:
        """The row in JSON values."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Row:
        """Read what `to_record` gave."""
        return cls(**{name: value for name, value in record.items() if name not in ("ratio", "holds")})


@dataclass(frozen=True)
class Timing:
    """The least that interleaved calls took, seconds.

    Attributes:
        reference: A reference call.
        ours: One of ours.
        first_reference: The first reference call, apart.
        first_ours: Our first call, apart.
    """

    reference: float
    ours: float
    first_reference: float
    first_ours: float


def cpu_seconds() -> float:
    """Time that this process, its threads and its ended children have spent computing.

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
    """Call the two in turn, so that what slows the machine down for long slows both; what does for short only adds.

    Args:
        reference: One call of the reference.
        ours: One call of ours, doing the same work.
        rounds: Calls of each behind the first.
        clock: `cpu_seconds`, or `time.perf_counter` where more than one core, a GPU or waiting is part of the matter.
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
    """Bind this process, and what it starts, to its last cores.

    Libraries read their number of threads as they are loaded, so the environment is for a process yet to be started.

    Args:
        cores: How many.

    Returns:
        The environment of a service's child with as many threads.
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
    """Be the command of one row: measure, print the table, write JSON with `--json FILE`; exit 1 below the bar."""
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
    """Lay rows out as a Markdown table; `share` is the part of the bar that must be reached."""
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
    """What the figures depend on."""
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
