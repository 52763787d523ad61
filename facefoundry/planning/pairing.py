"""Pairs the clips of one split. No function pairs two related clips. Pure functions."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facefoundry.dataset.plan import Pair

__all__ = ["nearest", "round_robin", "shuffle"]

_CANDIDATES = 64  # kept for each clip at a time: the 180 million pairs of 19,000 clips would fill the memory


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
    group = np.array([groups[clip] for clip in clips])
    free = np.full(len(clips), partners)
    pairs: list[Pair] = []
    for _, a, b in heapq.merge(*(_by_distance(clip, values, group, free) for clip in range(len(clips)))):
        if free[a] and free[b]:
            pairs.append(Pair(clips[a], clips[b]))
            free[[a, b]] -= 1
    return pairs


def _by_distance(
    first: int, values: NDArray[np.float64], group: NDArray[np.int_], free: NDArray[np.int_]
) -> Iterator[tuple[float, int, int]]:
    """Yield a clip's unrelated pairs with the clips after it, as distance and two numbers of clips, in this order.

    Args:
        first: Number of the clip.
        values: The features of the clips, (clips, features).
        group: Number of the group of each clip.
        free: Number of partners that each clip may still get. The caller counts down while the pairs are yielded:
            pairs of a clip with 0 are left out.
    """
    distance, second = -1.0, first
    while candidates := _candidates(first, (distance, second), values, group, free):
        for distance, second in candidates:
            if free[first] and free[second]:
                yield distance, first, second


def _candidates(
    first: int,
    after: tuple[float, int],
    values: NDArray[np.float64],
    group: NDArray[np.int_],
    free: NDArray[np.int_],
) -> list[tuple[float, int]]:
    """Return distance and number of the nearest clips that a clip may be paired with, beyond those up to `after`."""
    if not free[first]:
        return []
    rest = slice(first + 1, None)
    others = first + 1 + np.flatnonzero((free[rest] > 0) & (group[rest] != group[first]))
    distances = np.square(values[first] - values[others]).sum(axis=1)
    beyond = (distances > after[0]) | ((distances == after[0]) & (others > after[1]))
    others, distances = others[beyond], distances[beyond]
    if len(others) > _CANDIDATES:
        near = distances <= np.partition(distances, _CANDIDATES - 1)[_CANDIDATES - 1]
        others, distances = others[near], distances[near]
    order = np.argsort(distances, kind="stable")[:_CANDIDATES]
    return list(zip(distances[order].tolist(), others[order].tolist(), strict=True))


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
