"""The report's tables of costs: what a dataset took, beside what its plan expected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facefoundry.dataset.costs import costs_of
from facefoundry.dataset.record import PairRecord, RunRecord, StageTime
from facefoundry.report.wording import duration

__all__ = ["CostRow", "StageRow", "cost_rows", "size", "stage_rows"]

_HOUR = 3600.0
_KILOWATT_HOUR = 3.6e6
_UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True)
class CostRow:
    """A row of the table: what it is about, what the plan expected, and what it took, in words."""

    what: str
    expected: str
    took: str


@dataclass(frozen=True)
class StageRow:
    """How long a stage took, and what its result took, in words."""

    stage: str
    time: str
    cpu: str
    gpu: str
    energy: str
    stored: str
    retries: str


def cost_rows(run: RunRecord, pairs: Sequence[PairRecord]) -> list[CostRow]:
    """Return the rows of a run; empty if nothing is known of what it took."""
    took, expected = costs_of(pairs), run.estimate
    if not (took.stored_bytes or took.video_bytes):
        return []
    plan = expected.training_hours if expected else None
    on_gpu = took.gpu_seconds > 0
    seconds = took.gpu_seconds if on_gpu else sum(pair.training.seconds for pair in pairs)
    rows = [
        CostRow(f"Trainings, {'on GPUs' if on_gpu else 'without a GPU'}", _in(plan, _hours), duration(seconds)),
        CostRow("Trainings, CPU", _UNKNOWN, duration(took.training_cpu_seconds)),
        CostRow("Other work, CPU", _in(expected.cpu_hours if expected else None, _hours), duration(took.cpu_seconds)),
        CostRow(
            "Energy of the GPUs",
            _UNKNOWN,
            "not measured" if took.energy_joules is None else f"{took.energy_joules / _KILOWATT_HOUR:.3g} kWh",
        ),
        CostRow(
            "In the bucket, without clips and videos",
            _in(expected.stored_bytes - expected.clip_bytes if expected else None, size),
            size(took.stored_bytes),
        ),
        CostRow("Videos and masks", _in(expected.video_bytes if expected else None, size), size(took.video_bytes)),
        CostRow("Repeated calls, transfers and attempts", _UNKNOWN, f"{took.retries:,}"),
    ]
    if took.unknown:
        rows.append(CostRow("Results of which only the size is known", _UNKNOWN, f"{took.unknown:,}"))
    return rows


def stage_rows(stages: Sequence[StageTime]) -> list[StageRow]:
    """Return the rows of the stages of a pair."""
    return [_stage_row(stage) for stage in stages]


def size(count: float) -> str:
    """Format a number of bytes, such as `1.5 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _stage_row(stage: StageTime) -> StageRow:
    usage, stored = stage.usage, stage.stored_bytes + stage.video_bytes
    return StageRow(
        stage.stage,
        duration(stage.seconds),
        f"{usage.cpu_seconds:.1f} s" if usage else _UNKNOWN,
        f"{usage.gpu_seconds:.1f} s" if usage and usage.gpu_seconds else _UNKNOWN,
        f"{usage.energy_joules / 1000:.1f} kJ" if usage and usage.energy_joules is not None else _UNKNOWN,
        size(stored) if stored else _UNKNOWN,
        f"{stage.retries:,}",
    )


def _hours(hours: float) -> str:
    return duration(hours * _HOUR)


def _in(value: float | None, write: Callable[[float], str]) -> str:
    return _UNKNOWN if value is None else write(value)
