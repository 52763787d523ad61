"""Pairs the clips of one split. No function pairs two related clips. Pure functions."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from facefoundry.dataset.plan import Pair

__all__ = ["nearest", "round_robin", "shuffle"]


def shuffle(groups: Mapping[str, int], seed: str) -> list[Pair]:
    """Pair as many clips as possible at random, each once.

    Args:
        groups: Number of the group of each clip; clips of equal numbers are related.
        seed: Seed of the order.
    """
    members: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for place, clip in enumerate(_in_random_order(groups, seed)):
        members[groups[clip]].append((place, clip))
    # From the largest group and the next one each time: this leaves as few clips over as is possible.
    queue = [(-len(clips), clips[0][0], number) for number, clips in members.items()]
    heapq.heapify(queue)
    pairs: list[Pair] = []
    while len(queue) > 1:
        taken = [heapq.heappop(queue)[2] for _ in range(2)]
        a, b = (members[number].pop(0)[1] for number in taken)
        pairs.append(Pair(a, b))
        for number in taken:
            if left := members[number]:
                heapq.heappush(queue, (-len(left), left[0][0], number))
    return pairs


def round_robin(groups: Mapping[str, int], partners: int, seed: str) -> list[Pair]:
    """Put the clips on a circle at random, and pair each with those that follow it, until it has its partners.

    Args:
        groups: As in `shuffle`.
        partners: Number of pairs that a clip is in, at most.
        seed: Seed of the order.
    """
    order = _in_random_order(groups, seed)
    count = len(order)
    rows = (
        (order[start], order[(start + step) % count]) for step in range(1, count // 2 + 1) for start in range(count)
    )
    return _taken(rows, groups, partners)


def nearest(groups: Mapping[str, int], features: Mapping[str, Sequence[float]], partners: int) -> list[Pair]:
    """Pair clips whose features are alike, the most similar first. Clips without features are in no pair.

    Args:
        groups: As in `shuffle`.
        features: Numbers that describe the face in a clip. Each is divided by its standard deviation over the clips.
        partners: Number of pairs that a clip is in, at most.
    """
    clips = sorted(clip for clip in groups if clip in features)
    if len(clips) < 2:
        return []
    values = np.array([features[clip] for clip in clips], dtype=np.float64)
    deviation = values.std(axis=0)
    values = values / np.where(deviation > 0, deviation, 1.0)
    first, second = np.triu_indices(len(clips), 1)
    distances = np.square(values[first] - values[second]).sum(axis=1)
    order = np.argsort(distances, kind="stable")
    return _taken(((clips[first[index]], clips[second[index]]) for index in order), groups, partners)


def _in_random_order(clips: Iterable[str], seed: str) -> list[str]:
    order = sorted(clips)
    random.Random(seed).shuffle(order)
    return order


def _taken(rows: Iterable[tuple[str, str]], groups: Mapping[str, int], partners: int) -> list[Pair]:
    """Return the first pairs of unrelated clips, up to `partners` for each clip."""
    free = dict.fromkeys(groups, partners)
    pairs: dict[frozenset[str], Pair] = {}
    for a, b in rows:
        both = frozenset((a, b))
        if groups[a] != groups[b] and free[a] and free[b] and both not in pairs:
            pairs[both] = Pair(a, b)
            free[a] -= 1
            free[b] -= 1
    return list(pairs.values())
