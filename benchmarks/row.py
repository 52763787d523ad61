"""The rows of the bench: how they are measured, judged and printed.

A row compares the cost of one stage in this project ("ours") with the cost of the same work in its reference, which is
mostly FF++'s algorithm. Each module of `benchmarks.rows` has a function `run` that returns a list of `Row`; `command`
makes the module a command. A process is pinned to a number of CPU cores while it measures.
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

__all__ = ["CHECK_SHARE", "Row", "Timing", "command", "cpu_seconds", "interleaved", "pin", "restart_pinned", "table"]

CHECK_SHARE = 2 / 3
"""Share of its bar that a row must reach in a check, because the machine may be doing other work."""

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
    """The measurement of one stage.

    Attributes:
        stage: The work that is measured, and its input.
        unit: Unit of `reference` and `ours`: seconds (`s`) or bytes (`B`), mostly per item, as in `s/frame`.
        reference: Cost of the reference, or a limit that is not measured; None if `ours` is None.
        ours: Cost of this project; None if it cannot be measured here, which `how` explains.
        bar: The ratio `reference / ours` that the row should reach.
        fidelity: Result of comparing the outputs of both, as text.
        faithful: Whether the outputs agree as required.
        how: What the reference is, and how it was measured.
        first_call: Seconds of our first call, which includes preparation and compilation; other figures exclude it.
        reached: Best ratio that was ever measured, if `bar` was never reached; a check then uses it instead of `bar`.
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
        """The cost of the reference (time, memory or stored bytes) divided by this project's; None if not measured."""
        return self.reference / self.ours if self.reference is not None and self.ours else None

    def least(self, share: float = 1.0) -> float:
        """Return the ratio that the row must reach: a share of `bar`, or of `reached` if the bar was never reached."""
        return self.bar if share == 1 else share * min(self.bar, self.reached or self.bar)

    def holds(self, share: float = 1.0) -> bool:
        """Return whether the outputs agree and the ratio is at least `least(share)`; true if nothing was measured."""
        return self.faithful and (self.ratio is None or self.ratio >= self.least(share))

    def to_record(self) -> dict[str, Any]:
        """Return the row as JSON values, with its ratio and whether it holds."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Row:
        """Make a row from the JSON values that `to_record` returned."""
        return cls(**{name: value for name, value in record.items() if name not in ("ratio", "holds")})


@dataclass(frozen=True)
class Timing:
    """Durations of two functions that were called alternately, seconds.

    Attributes:
        reference: Shortest call of the reference, the first call excluded.
        ours: Shortest call of ours, the first call excluded.
        first_reference: First call of the reference.
        first_ours: First call of ours.
    """

    reference: float
    ours: float
    first_reference: float
    first_ours: float


def cpu_seconds() -> float:
    """Return the CPU time of this process, its threads and its ended children.

    On one core it is the time that would pass on a machine that does nothing else.
    """
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def interleaved(
    reference: Callable[[], object],
    ours: Callable[[], object],
    rounds: int = 7,
    clock: Callable[[], float] = cpu_seconds,
) -> Timing:
    """Time two functions. They are called alternately, so that a slow period of the machine affects both.

    Args:
        reference: Does the reference's work once.
        ours: Does our work once.
        rounds: Number of calls of each after its first call.
        clock: Returns seconds: `cpu_seconds`, or `time.perf_counter` for work on several cores or a GPU.
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
    """Bind this process and its future children to the last of the CPU cores that it may use.

    Args:
        cores: Number of cores.

    Returns:
        Environment variables that limit the libraries of a process to `cores` threads. Start the measuring process with
        them: a library reads them when it is loaded, so they have no effect on this process.
    """
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[-cores:])
    return {
        **os.environ,
        **library_variables(cores),
        _PINNED: str(cores),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def restart_pinned(cores: int = 1) -> None:
    """Start this command again, with the same arguments, on a limited number of cores and threads, unless it is so."""
    if os.environ.get(_PINNED) != str(cores):
        os.execve(sys.executable, sys.orig_argv, pin(cores))


def command(run: Callable[[], Sequence[Row]], cores: int = 1) -> None:
    """Run a module of `benchmarks.rows` as a command: measure, print the table, and exit 1 if a row does not hold.

    The process is started again with a limited number of threads before it measures.

    Args:
        run: Measures the rows.
        cores: Number of CPU cores to measure on.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    restart_pinned(cores)
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
    """Return rows as a Markdown table.

    Args:
        rows: The rows.
        share: Share of its bar that each row must reach.
    """
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
    """Return the properties of the machine and the versions of packages on which the figures depend."""
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
