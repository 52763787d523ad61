"""Every strategy pairs unrelated clips, as many as it may, and equally for equal seeds."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from facefoundry.dataset.plan import Pair
from facefoundry.planning import pairing


def random_groups(seed: int, clips: int = 60, groups: int = 40):
    draw = random.Random(seed)
    return {f"c{number:02}": draw.randrange(groups) for number in range(clips)}


def strategies(groups, seed):
    draw = random.Random(0)
    features = {clip: (draw.random(), draw.random()) for clip in sorted(groups)}
    return {
        "shuffle": pairing.shuffle(groups, seed),
        "round-robin": pairing.round_robin(groups, 4, seed),
        "nearest": pairing.nearest(groups, features, 3),
    }


@pytest.mark.parametrize("seed", range(10))
def test_no_strategy_pairs_related_clips_or_a_pair_twice(seed):
    groups = random_groups(seed)
    for name, limit in (("shuffle", 1), ("round-robin", 4), ("nearest", 3)):
        pairs = strategies(groups, str(seed))[name]
        assert pairs
        assert all(groups[a] != groups[b] for a, b in pairs)
        assert len({frozenset(pair) for pair in pairs}) == len(pairs)
        assert max(Counter(clip for pair in pairs for clip in pair).values()) <= limit


def test_equal_seeds_give_equal_pairs_whatever_the_order_of_the_clips():
    groups = random_groups(1)
    turned = dict(reversed(groups.items()))
    assert strategies(groups, "7") == strategies(turned, "7")
    assert strategies(groups, "7")["shuffle"] != strategies(groups, "8")["shuffle"]


@pytest.mark.parametrize(
    ("sizes", "pairs"), [([1] * 8, 4), ([1] * 9, 4), ([4, 1, 1, 1, 1], 4), ([3, 3, 2], 4), ([6, 1, 1], 2), ([5], 0)]
)
def test_shuffle_leaves_as_few_clips_over_as_is_possible(sizes, pairs):
    groups = {f"g{group}-{number}": group for group, size in enumerate(sizes) for number in range(size)}
    for seed in range(20):
        assert len(pairing.shuffle(groups, str(seed))) == pairs


def test_round_robin_gives_every_clip_its_partners():
    groups = {f"c{number:02}": number for number in range(20)}
    counts = Counter(clip for pair in pairing.round_robin(groups, 4, "0") for clip in pair)
    assert set(counts.values()) == {4} and len(counts) == 20


def test_nearest_pairs_what_is_alike_in_every_feature_whatever_its_unit():
    groups = dict.fromkeys("abcd", 0) | {"a": 1, "b": 2, "c": 3, "d": 4}
    features = {"a": (0.0, 1000.0), "b": (0.01, 5000.0), "c": (1.0, 1010.0), "d": (1.01, 5010.0)}
    assert {frozenset(pair) for pair in pairing.nearest(groups, {k: (v[0],) for k, v in features.items()}, 1)} == {
        frozenset("ab"),
        frozenset("cd"),
    }
    assert {frozenset(pair) for pair in pairing.nearest(groups, {k: (v[1],) for k, v in features.items()}, 1)} == {
        frozenset("ac"),
        frozenset("bd"),
    }
    assert len(pairing.nearest(groups | {"e": 5}, features, 1)) == 2, "a clip without a face is in no pair"
    assert pairing.nearest({"a": 1}, features, 1) == []


def nearest_of_all_pairs(groups, features, partners):
    """The pairs of `nearest` from the sorted list of all pairs, the plain way."""
    clips = sorted(features)
    values = np.array([features[clip] for clip in clips])
    deviation = values.std(axis=0)
    values = values / np.where(deviation > 0, deviation, 1.0)
    first, second = np.triu_indices(len(clips), 1)
    distances = np.square(values[first] - values[second]).sum(axis=1)
    free, pairs = dict.fromkeys(clips, partners), []
    for index in np.argsort(distances, kind="stable"):
        a, b = clips[first[index]], clips[second[index]]
        if groups[a] != groups[b] and free[a] and free[b]:
            pairs.append(Pair(a, b))
            free[a] -= 1
            free[b] -= 1
    return pairs


@pytest.mark.parametrize("partners", [1, 3, 100])
@pytest.mark.parametrize("steps", [2, 4, 1_000_000], ids=["equal distances", "some equal", "all different"])
def test_nearest_takes_what_the_sorted_list_of_all_pairs_gives(partners, steps):
    draw = random.Random(steps + partners)
    for clips in (2, 3, 70, 300):
        groups = {f"c{number:03}": draw.randrange(clips // 2 + 1) for number in range(clips)}
        features = {clip: tuple(float(draw.randrange(steps)) for _ in range(6)) for clip in groups}
        assert pairing.nearest(groups, features, partners) == nearest_of_all_pairs(groups, features, partners)


def test_nearest_does_not_hold_all_pairs_at_once():
    draw = random.Random(0)
    groups = {f"c{number:04}": number for number in range(1600)}
    features = {clip: tuple(draw.random() for _ in range(6)) for clip in groups}
    tracemalloc.start()
    try:
        assert len(pairing.nearest(groups, features, 1)) == 800
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    all_pairs = 1600 * 1599 // 2
    assert peak < 16 * all_pairs, f"{peak} bytes are more than two numbers for each pair of clips"
