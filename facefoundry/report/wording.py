"""Formats the numbers, times and verdicts of the report as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import NamedTuple

from facefoundry.dataset.gates import MEASURES, Gate
from facefoundry.dataset.record import IdentityDistances, State, TrainingRecord
from facefoundry.dataset.verdict import MARGIN
from facefoundry.storage.info import ReasonCount

__all__ = [
    "Verdict",
    "bars_of",
    "correlation_interval",
    "duration",
    "flatten",
    "frame_rate",
    "identity_verdict",
    "label",
    "moment",
    "mouth_sentence",
    "printed",
    "quality_words",
    "reason",
    "run_state",
    "share",
    "time_left",
]

_QUALITY = {name: measure.words for name, measure in MEASURES.items()} | {
    "mean_change": "Mean change of a pixel that is blended, 0 to 255",
    "changed_share": "Share of a frame's pixels that are changed",
    "box_share": "Share of a frame's pixels in the box",
    "mouth_motion": "How much the target's mouth moves, in heights of the face",
    "head_motion": "How much the target's head turns, in widths of the face",
    "head_turn": "How far the target's head is turned to a side: 0 faces the camera",
    "changed_outside": "Pixels changed outside the box or on its edge, 0 as in FF++",
}


class Verdict(NamedTuple):
    """Whether a fake shows the source's face.

    Attributes:
        passed: Whether the fake shows the source's face, by the identity distances; None if they were not measured.
        short: The verdict in a few words.
        sentence: The verdict with its numbers.
    """

    passed: bool | None
    short: str
    sentence: str


def duration(seconds: float) -> str:
    """Format a time as `48 s`, `3 min 05 s` or `2 h 10 min`; one that is no number as `unknown`."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def moment(created: str) -> str:
    """Format an ISO 8601 time as UTC, without seconds. Return any other text unchanged."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created
    if time.tzinfo is None:
        return f"{time:%Y-%m-%d %H:%M}"
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def frame_rate(fps: str) -> str:
    """Format a fraction as a decimal number: `30/1` as `30`, `30000/1001` as `29.97`."""
    numerator, _, denominator = fps.partition("/")
    try:
        return f"{float(numerator) / float(denominator or 1):.4g}"
    except (ValueError, ZeroDivisionError):
        return fps


def share(part: int, whole: int) -> str:
    """Format a share of frames as `235 of 240 (97.9 %)`."""
    return f"{part:,} of {whole:,}" + (f" ({100 * part / whole:.3g}\u00a0%)" if whole else "")


def reason(entry: ReasonCount) -> str:
    """Format a count of frames as `7 frames: no face`."""
    words = entry.reason.replace("_", " ").lower() if entry.reason.isupper() else entry.reason
    return f"{entry.frames:,} {'frame' if entry.frames == 1 else 'frames'}: {words}"


def label(name: str) -> str:
    """Format the name of a field as words: `iterations_per_second` as `Iterations per second`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def quality_words(name: str) -> str:
    """Return the name of a measurement of a fake in words."""
    return _QUALITY.get(name) or label(name)


def bars_of(gates: Iterable[Gate]) -> str:
    """Return the bars of gates in words, such as `at least 0.5`; empty without gates."""
    return ", ".join(dict.fromkeys(gate.bars for gate in gates))


def flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name, such as `training.iterations`, and the formatted value of each option."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value):
                yield from flatten(item if isinstance(item, Mapping) else {"": item}, f"{prefix}{name}[{index}].")
        elif isinstance(value, list):
            yield prefix + name, ", ".join(printed(item) for item in value)
        else:
            yield prefix + name, printed(value)


def identity_verdict(identity: IdentityDistances | None) -> Verdict:
    """Return whether a fake shows the source's face.

    The fake must be nearer to the source than to the target. If there is a control, the fake must also be nearer to the
    source than the control is, by at least `MARGIN`.
    """
    if identity is None or identity.swap_to_source is None or identity.swap_to_target is None:
        return Verdict(None, "not measured", "Identity was not measured for this video.")
    nearer = identity.swap_to_source < identity.swap_to_target
    sentence = (
        f"The swap is {'nearer' if nearer else 'not nearer'} to the source ({identity.swap_to_source:.2f}) "
        f"than to the target ({identity.swap_to_target:.2f})."
    )
    if identity.control_to_source is None:
        return Verdict(
            nearer,
            "nearer to source" if nearer else "nearer to target",
            sentence + " There is no control to compare it with.",
        )
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


def mouth_sentence(correlation: float | None, frames: int) -> str:
    """Describe how well the mouth opening of a fake follows the target's.

    Args:
        correlation: Correlation of the two openings; None if it was not measured.
        frames: Number of sampled frames.
    """
    if correlation is None:
        return "Not measured: too few frames show both mouths, or a mouth does not move."
    low, high = correlation_interval(correlation, frames)
    return (
        f"The mouth opens and closes with the target's at a correlation of {correlation:.2f}, on {frames} sampled "
        f"frames; that of all frames is likely within {low:.2f} to {high:.2f}."
    )


def correlation_interval(correlation: float, frames: int) -> tuple[float, float]:
    """Return the 95 % interval of a correlation that was measured on at least 4 frames, by Fisher's transformation."""
    if abs(correlation) >= 1 or frames < 4 or math.isnan(correlation):
        return correlation, correlation
    middle, reach = math.atanh(correlation), 1.96 / math.sqrt(frames - 3)
    return math.tanh(middle - reach), math.tanh(middle + reach)


def run_state(pairs: Sequence[State]) -> tuple[State, str]:
    """Derive the state of a run from the states of its pairs.

    Returns:
        (state, words): the state determines the style of the heading, the words are its text.
    """
    failed = pairs.count("failed")
    if "pending" in pairs or "running" in pairs:
        return "running", "Running"
    if not pairs:
        return "pending", "No pairs"
    if failed == len(pairs):
        return "failed", "Failed"
    return ("failed", f"Finished, {failed} failed") if failed else ("done", "Finished")


def time_left(training: TrainingRecord) -> str | None:
    """Return the remaining time of a training in words; None if its speed is unknown or no iteration is left."""
    left = training.iterations - training.iteration
    if left <= 0 or training.iterations_per_second <= 0:
        return None
    return duration(left / training.iterations_per_second)


def printed(value: object) -> str:
    """Format the value of an option or a measurement."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    return str(value)
