"""Says in words what keeps a fake from being good enough to judge clips or a recipe by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facefoundry.dataset.record import FakeRecord, IdentityDistances, PairRecord

__all__ = ["CLOSER", "MARGIN", "faults", "summary"]

CLOSER = 0.05
"""How much nearer to the source than to the target a good swap is, at least: a difference of embedding distances."""
MARGIN = 0.12
"""How much nearer to the source than the control a good swap is, at least."""

_MOUTH = 0.6
# Standard deviation of the target's mouth opening, in heights of the face, above which its mouth moves enough.
_MOVES = 0.02
_SHARPNESS = 0.5
_SEAM = 1.3
_NAMED = 3


def faults(fake: FakeRecord) -> list[str]:
    """Return what is wrong with a fake, as ends of sentences that begin with its name; empty if nothing is.

    What was not measured is not judged.
    """
    return [*_identity(fake.identity), *_mouth(fake), *_look(fake)]


def summary(pairs: Sequence[PairRecord]) -> str:
    """Return a sentence on the fakes that have faults, which ends with a space; empty if none has.

    Args:
        pairs: The pairs of a run.
    """
    fakes = [fake for pair in pairs for fake in pair.fakes if fake.frames]
    poor = [fake for fake in fakes if fake.faults]
    if not poor:
        return ""
    named = "; ".join(f"{fake.id} {', '.join(fake.faults)}" for fake in poor[:_NAMED])
    more = f"; and {len(poor) - _NAMED} more" if len(poor) > _NAMED else ""
    verb = "is" if len(poor) == 1 else "are"
    return f"{len(poor)} of {len(fakes)} fakes {verb} not good enough to judge by: {named}{more}. "


def _identity(identity: IdentityDistances | None) -> Iterator[str]:
    if identity is None or identity.swap_to_source is None or identity.swap_to_target is None:
        return
    source, target, control = identity.swap_to_source, identity.swap_to_target, identity.control_to_source
    if target <= source:
        yield f"looks more like the target than like the source (distances {target:.2f} and {source:.2f})"
    elif round(target - source, 4) < CLOSER:
        yield f"looks as much like the target as like the source (distances {target:.2f} and {source:.2f})"
    if control is not None and round(control - source, 4) < MARGIN:
        gained = max(0.0, control - source)
        yield f"has gained little of the source's look (it is {gained:.2f} nearer than the control, not {MARGIN:.2f})"


def _mouth(fake: FakeRecord) -> Iterator[str]:
    correlation, motion = fake.mouth_correlation, fake.mouth_motion
    if correlation is not None and motion is not None and motion >= _MOVES and correlation < _MOUTH:
        yield f"has a mouth that does not follow the target's (correlation {correlation:.2f}, not {_MOUTH:.2f})"


def _look(fake: FakeRecord) -> Iterator[str]:
    sharpness, seam = fake.quality.get("sharpness"), fake.quality.get("seam")
    if sharpness is not None and sharpness < _SHARPNESS:
        yield f"is blurred ({sharpness:.0%} of the target's sharpness, not {_SHARPNESS:.0%})"
    if seam is not None and seam > _SEAM:
        yield f"has a seam ({seam:.1f} times the target's gradient at the mask's border)"
