"""Judges fakes by gates, and says in words what keeps a fake from being good enough to judge by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from facefoundry.dataset.gates import DEFAULT_GATES, MEASURES, FailedGate, Gate
from facefoundry.dataset.record import FakeRecord, PairRecord

__all__ = ["MARGIN", "failed_gates", "faults", "held_to", "is_better", "judge", "judged", "summary"]

MARGIN = next(gate.min or 0.0 for gate in DEFAULT_GATES if gate.measure == "identity_gain")
"""How much nearer to the source than the control a good swap is, at least."""

_MIN_FACE_SHARE = next(gate.min or 0.0 for gate in DEFAULT_GATES if gate.measure == "face_share")

_NAMED = 3


def judge(fake: FakeRecord, gates: Sequence[Gate]) -> None:
    """Write into a fake's record which gates it does not pass, as `failed_gates` says."""
    fake.failed = list(dict.fromkeys(failed_gates(fake, gates)))
    fake.faults = faults(fake)


def failed_gates(fake: FakeRecord, gates: Sequence[Gate]) -> Iterator[FailedGate]:
    """Yield the gates that a fake does not pass.

    What could not be measured because hardly any frame of the fake shows a face is a failure of `face_share`, with what
    the gate asks for. Nothing else that was not measured is judged, nor is a motion where the target hardly moves.
    """
    share = fake.quality.get("face_share")
    for gate in gates:
        if not _measured(fake, gate):
            if MEASURES[gate.measure].on_faces and share is not None and share < _MIN_FACE_SHARE:
                yield FailedGate("face_share", share, _MIN_FACE_SHARE, gate.action)
            continue
        value = judged(fake, gate.measure)
        if value is not None and (bar := gate.missed(value)) is not None:
            yield FailedGate(gate.measure, value, bar, gate.action)


def held_to(gates: Sequence[Gate], fakes: Iterable[FakeRecord]) -> list[Gate]:
    """Return gates, and those of `face_share` that judged fakes without a face failed in place of others.

    Args:
        gates: The gates of a run.
        fakes: Its fakes.
    """
    bar = _MIN_FACE_SHARE
    asked = (each.action for fake in fakes for each in fake.failed if (each.measure, each.bar) == ("face_share", bar))
    known = {gate.action for gate in gates if (gate.measure, gate.min) == ("face_share", bar)}
    others = (action for action in dict.fromkeys(asked) if action not in known)
    return [*gates, *(Gate(measure="face_share", min=bar, action=action) for action in others)]


def judged(fake: FakeRecord, name: str) -> float | None:
    """Return the value of a measure; None if it was not taken, or does not count because the target hardly moves."""
    moves = MEASURES[name].moves
    if moves and (fake.quality.get(moves[0]) or 0.0) < moves[1]:
        return None
    return fake.quality.get(name)


def faults(fake: FakeRecord) -> list[str]:
    """Return what the failed gates of a fake say, as ends of sentences that begin with its name."""
    return list(dict.fromkeys(_sentence(fake, failed) for failed in fake.failed))


def is_better(second: Sequence[FakeRecord], first: Sequence[FakeRecord], gates: Sequence[Gate]) -> bool:
    """Return whether the fakes of a second training should replace those of the first, after both were judged.

    They should if they fail fewer gates: fewer of those that drop a fake, else fewer of those that ask for another
    training, else fewer of those that flag. What was measured of one of two fakes only is a failure of the other one: a
    fake without a face has no figures of it, and is not better for that.

    Args:
        second: The fakes of the second training.
        first: The same fakes of the first one, in the same order.
        gates: The gates by which they were judged.
    """
    return _failures(second, first, gates) < _failures(first, second, gates)


def _failures(fakes: Sequence[FakeRecord], others: Sequence[FakeRecord], gates: Sequence[Gate]) -> tuple[int, ...]:
    """Return how many gates that drop, retrain and flag the fakes fail, beside the same fakes of another training."""
    found = [failed.action for fake in fakes for failed in fake.failed]
    for fake, other in zip(fakes, others, strict=True):
        found += [gate.action for gate in gates if not _measured(fake, gate) and _measured(other, gate)]
    return tuple(found.count(action) for action in ("drop", "retrain", "flag"))


def _measured(fake: FakeRecord, gate: Gate) -> bool:
    return fake.quality.get(gate.measure) is not None


def summary(pairs: Sequence[PairRecord]) -> str:
    """Return sentences on the fakes that have faults or were dropped, each ending with a space; empty if none has.

    Args:
        pairs: The pairs of a run.
    """
    fakes = [fake for pair in pairs for fake in pair.fakes if fake.frames]
    kept = [fake for fake in fakes if fake.faults and not fake.dropped]
    dropped = [fake for fake in fakes if fake.dropped]
    verb = "is" if len(kept) == 1 else "are"
    return _named(kept, f"{len(kept)} of {len(fakes)} fakes {verb} not good enough to judge by") + _named(
        dropped, f"{len(dropped)} of {len(fakes)} fakes {'was' if len(dropped) == 1 else 'were'} dropped"
    )


def _named(fakes: Sequence[FakeRecord], what: str) -> str:
    if not fakes:
        return ""
    named = "; ".join(f"{fake.id} {', '.join(fake.faults)}" for fake in fakes[:_NAMED])
    more = f"; and {len(fakes) - _NAMED} more" if len(fakes) > _NAMED else ""
    return f"{what}: {named}{more}. "


def _sentence(fake: FakeRecord, failed: FailedGate) -> str:
    measure, value, bar = MEASURES[failed.measure], failed.value, failed.bar
    if (measure.better == "lower") != (value > bar):  # a bar on the side that is better
        return f"has an unusual {failed.measure} ({value:.4g}, not {bar:.4g})"
    identity = fake.identity
    return measure.fault.format(
        value=value,
        bar=bar,
        positive=max(0.0, value),
        like="more like the target than like the source"
        if value <= 0
        else "as much like the target as like the source",
        source=identity.swap_to_source if identity and identity.swap_to_source is not None else 0.0,
        target=identity.swap_to_target if identity and identity.swap_to_target is not None else 0.0,
    )
