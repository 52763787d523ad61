"""How the report says numbers, times and verdicts in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from facefoundry.report.run import Identity, ReasonFrames, Run, Training

__all__ = [
    "MARGIN",
    "Verdict",
    "duration",
    "flatten",
    "frame_rate",
    "identity_verdict",
    "label",
    "mouth_sentence",
    "moment",
    "reason",
    "run_state",
    "share",
    "time_left",
]

MARGIN = 0.05
"""A swap must be nearer to the source than the control is by at least this much, in units of the embedding."""


class Verdict(NamedTuple):
    """What the identity distances say; `passed` is None when nothing was measured."""

    passed: bool | None
    short: str
    sentence: str


def duration(seconds: float) -> str:
    """`48 s`, `3 min 05 s` or `2 h 10 min`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def moment(created: str) -> str:
    """An ISO 8601 time in UTC, to the minute; what is no such time is shown as it is."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created
    if time.tzinfo is None:
        return f"{time:%Y-%m-%d %H:%M}"
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def frame_rate(fps: str) -> str:
    """`30/1` as `30`, `30000/1001` as `29.97`."""
    numerator, _, denominator = fps.partition("/")
    try:
        return f"{float(numerator) / float(denominator or 1):.4g}"
    except (ValueError, ZeroDivisionError):
        return fps


def share(part: int, whole: int) -> str:
    """`235 of 240 (97.9 %)`."""
    return f"{part:,} of {whole:,}" + (f" ({100 * part / whole:.3g}\u00a0%)" if whole else "")


def reason(entry: ReasonFrames) -> str:
    """`7 frames: no face`."""
    words = entry.reason.replace("_", " ").lower() if entry.reason.isupper() else entry.reason
    return f"{entry.frames:,} {'frame' if entry.frames == 1 else 'frames'}: {words}"


def label(name: str) -> str:
    """A field's name as words: `iterations_per_second` becomes `Iterations per second`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested options as rows of dotted name and printed value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value):
                yield from flatten(item if isinstance(item, Mapping) else {"": item}, f"{prefix}{name}[{index}].")
        elif isinstance(value, list):
            yield prefix + name, ", ".join(_printed(item) for item in value)
        else:
            yield prefix + name, _printed(value)


def identity_verdict(identity: Identity | None) -> Verdict:
    """Judge a fake: nearer to the source than to the target, and nearer to it than the control by the margin."""
    if identity is None or identity.swap_to_source is None or identity.swap_to_target is None:
        return Verdict(None, "not measured", "Identity was not measured for this video.")
    nearer = identity.swap_to_source < identity.swap_to_target
    sentence = (
        f"The swap is {'nearer' if nearer else 'not nearer'} to the source ({identity.swap_to_source:.2f}) "
        f"than to the target ({identity.swap_to_target:.2f})."
    )
    if identity.control_to_source is None:
        return Verdict(nearer, "nearer to source" if nearer else "nearer to target", sentence + " There is no control.")
    gain = round(identity.control_to_source - identity.swap_to_source, 4)
    enough = gain >= MARGIN
    if gain > 0:
        sentence += (
            f" It is {gain:.2f} nearer to the source than the control ({identity.control_to_source:.2f}), "
            f"which {'reaches' if enough else 'is below'} the margin of {MARGIN:.2f}."
        )
    else:
        sentence += f" It is no nearer to the source than the control ({identity.control_to_source:.2f})."
    short = ("nearer to source" if nearer else "nearer to target") + (", margin met" if enough else ", margin not met")
    return Verdict(nearer and enough, short, sentence)


def mouth_sentence(correlation: float | None) -> str:
    """What the correlation of the mouth openings of swap and target is."""
    if correlation is None:
        return "Whether the mouth follows the target was not measured: too few frames, or the mouth does not move."
    return (
        f"The opening of the mouth follows the target's with a correlation of {correlation:.2f} "
        "(1 is the same movement, 0 is unrelated). It says little where the target's mouth hardly moves."
    )


def run_state(run: Run) -> tuple[str, str]:
    """State of the whole run as a machine word and as words for the heading."""
    failed = sum(pair.state == "failed" for pair in run.pairs)
    if run.unfinished:
        return "running", "Running"
    if not run.pairs:
        return "pending", "No pairs"
    if failed == len(run.pairs):
        return "failed", "Failed"
    return ("failed", f"Finished, {failed} failed") if failed else ("done", "Finished")


def time_left(training: Training) -> str | None:
    """Time until the last iteration at the present speed; None where it is unknown or over."""
    left = training.iterations - training.iteration
    if left <= 0 or training.iterations_per_second <= 0:
        return None
    return duration(left / training.iterations_per_second)


def _printed(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    return str(value)
