"""Divides clips into train, val and test, so that nobody and nothing is in two of them. Pure functions."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence

from facefoundry.dataset.identities import Identities, bridging_pairs, components
from facefoundry.dataset.plan import Pair
from facefoundry.errors import InvalidInput

__all__ = ["quotas", "split"]

_NAMED = 10


def quotas(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return the number of clips of each split, by largest remainders: even numbers, of 2 at least.

    Args:
        count: Number of clips. If it is odd, the last one goes to the largest split.
        shares: Share of each split; they add up to 1. A split with the share 0 gets none.

    Raises:
        InvalidInput: there are not two clips for each split (SPLIT_TOO_FEW).
    """
    wanted = {name: share for name, share in shares.items() if share > 0}
    couples = count // 2
    if couples < len(wanted):
        raise InvalidInput(
            f"Expected at least {2 * len(wanted)} clips for the splits {', '.join(wanted)}, two for each. "
            f"Received {count}. Add clips, or set the share of a split to 0.",
            reason="SPLIT_TOO_FEW",
        )
    made = {name: max(1, math.floor(share * couples)) for name, share in wanted.items()}
    while sum(made.values()) > couples:
        above = [name for name in made if made[name] > 1]
        made[max(above, key=lambda name: made[name] - wanted[name] * couples)] -= 1
    while sum(made.values()) < couples:
        made[max(made, key=lambda name: wanted[name] * couples - made[name])] += 1
    found = {name: 2 * made.get(name, 0) for name in shares}
    found[max(found, key=lambda name: found[name])] += count % 2
    return found


def split(identities: Identities, pairs: Sequence[Pair], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Divide clips into splits. Each connected component of subjects, source videos and pairs is in one split.

    The components are placed from the largest to the smallest, each where most room is left. The seed orders those of
    one size. Equal arguments give equal splits on every machine.

    Args:
        identities: The keys of the clips.
        pairs: Pairs that were made before; empty if pairs are made inside the splits afterwards.
        shares: Share of each split; they add up to 1.
        seed: Seed of the order.

    Returns:
        The split of each clip.

    Raises:
        InvalidInput: there are too few clips (SPLIT_TOO_FEW), a component is larger than every quota that is left for
            it (SPLIT_COMPONENT), or no component is left for a split (SPLIT_EMPTY).
    """
    found = components(identities, pairs)
    random.Random(seed).shuffle(found)
    found.sort(key=len, reverse=True)
    quota = quotas(len(identities), shares)
    room = dict(quota)
    split_of: dict[str, str] = {}
    for component in found:
        fitting = [name for name in quota if quota[name] >= len(component)]
        if not fitting:
            raise _too_large(component, identities, pairs, quota)
        chosen = max(fitting, key=lambda name: room[name])
        room[chosen] -= len(component)
        split_of.update(dict.fromkeys(component, chosen))
    empty = [name for name, clips in quota.items() if clips and name not in split_of.values()]
    if empty:
        raise _empty(empty, found, identities, pairs)
    return split_of


def _too_large(
    component: Sequence[str], identities: Identities, pairs: Iterable[Pair], quota: Mapping[str, int]
) -> InvalidInput:
    numbers = ", ".join(f"{name} {clips}" for name, clips in quota.items() if clips)
    return InvalidInput(
        f"Expected groups of clips that fit into the splits ({numbers} clips). Received {len(component)} clips that "
        f"belong together, {_listed(component)}: they share subjects, source videos or pairs. "
        f"{_remedy(component, identities, pairs)}",
        reason="SPLIT_COMPONENT",
    )


def _empty(
    names: Sequence[str], found: Sequence[Sequence[str]], identities: Identities, pairs: Iterable[Pair]
) -> InvalidInput:
    return InvalidInput(
        f"Expected clips for every split. None are left for {', '.join(names)}: there are {len(found)} groups of clips "
        f"that belong together, the largest of {len(found[0])}. {_remedy(found[0], identities, pairs)}",
        reason="SPLIT_EMPTY",
    )


def _remedy(component: Sequence[str], identities: Identities, pairs: Iterable[Pair]) -> str:
    inside = [pair for pair in pairs if pair.a in component]
    bridges = bridging_pairs(component, identities, inside)
    if bridges:
        return f"Leave out a pair that joins them, such as {_listed([pair.id for pair in bridges])}."
    if inside:
        return (
            "No single pair joins them; several of their pairs must be left out, such as those of "
            f"{_listed(_busiest(inside))}. Or change the shares."
        )
    return "Exclude some of these clips, or change the shares."


def _busiest(pairs: Sequence[Pair]) -> list[str]:
    """Return the clips in more than one pair, those in most pairs first."""
    counts: dict[str, int] = {}
    for pair in pairs:
        for clip in pair:
            counts[clip] = counts.get(clip, 0) + 1
    return sorted((clip for clip in counts if counts[clip] > 1), key=lambda clip: (-counts[clip], clip))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
