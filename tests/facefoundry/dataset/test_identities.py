"""Nobody and nothing is in two splits: components, splits, leaks and bridging pairs, on random graphs too."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from facefoundry.dataset.identities import bridging_pairs, components, groups, leaks, related
from facefoundry.dataset.plan import Pair
from facefoundry.errors import InvalidInput
from facefoundry.planning.splitting import quotas, split

SHARES = {"train": 0.72, "val": 0.14, "test": 0.14}


def random_case(seed: int, clips: int = 120, subjects: int = 90, pairs: int = 0):
    draw = random.Random(seed)
    names = [f"c{number:03}" for number in range(clips)]
    identities = {
        name: (f"subject s{draw.randrange(subjects)}", f"source video v{draw.randrange(8 * clips)}") for name in names
    }
    rows = [Pair(*draw.sample(names, 2)) for _ in range(pairs)]
    return identities, rows


def connected(identities, pairs):
    """The components by flooding, the plain way."""
    neighbours = {
        clip: {other for other in identities if set(identities[other]) & set(identities[clip])} for clip in identities
    }
    for a, b in pairs:
        neighbours[a].add(b)
        neighbours[b].add(a)
    left, found = set(identities), []
    while left:
        reached, edge = set(), {min(left)}
        while edge:
            reached |= edge
            edge = {other for clip in edge for other in neighbours[clip]} - reached
        found.append(tuple(sorted(reached)))
        left -= reached
    return found


@pytest.mark.parametrize("seed", range(5))
def test_components_are_what_is_connected(seed):
    identities, pairs = random_case(seed, pairs=20)
    assert sorted(components(identities, pairs)) == sorted(connected(identities, pairs))


@pytest.mark.parametrize("seed", range(20))
def test_no_subject_source_video_or_pair_is_in_two_splits(seed):
    identities, pairs = random_case(seed, pairs=15)
    found = split(identities, pairs, SHARES, seed)
    assert found.keys() == identities.keys()
    assert set(found.values()) == set(SHARES)
    assert leaks(identities, pairs, found) == []
    for component in connected(identities, pairs):
        assert len({found[clip] for clip in component}) == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_same_seed_gives_the_same_splits_whatever_the_order_of_the_clips(seed):
    identities, pairs = random_case(seed)
    turned = dict(reversed(identities.items()))
    assert split(identities, pairs, SHARES, seed) == split(turned, pairs, SHARES, seed)
    assert split(identities, pairs, SHARES, seed) != split(identities, pairs, SHARES, seed + 100)


def test_unrelated_clips_fill_the_quotas_to_the_clip():
    identities = {f"c{number:04}": () for number in range(1000)}
    found = split(identities, [], SHARES, 0)
    assert {name: list(found.values()).count(name) for name in SHARES} == {"train": 720, "val": 140, "test": 140}


@pytest.mark.parametrize("count", [6, 7, 8, 13, 40, 999])
@pytest.mark.parametrize(
    "shares", [SHARES, {"train": 0.98, "val": 0.01, "test": 0.01}, {"train": 1.0, "val": 0, "test": 0}]
)
def test_quotas_add_up_and_have_room_for_a_pair(count, shares):
    found = quotas(count, shares)
    assert sum(found.values()) == count
    assert all(found[name] >= 2 if share else found[name] == 0 for name, share in shares.items())


def test_too_few_clips_are_refused():
    with pytest.raises(InvalidInput, match=r"at least 6 clips for the splits train, val, test.*Received 5") as caught:
        split({f"c{number}": () for number in range(5)}, [], SHARES, 0)
    assert caught.value.reason == "SPLIT_TOO_FEW"


def test_a_planted_leak_is_found():
    identities, pairs = random_case(0, pairs=10)
    found = split(identities, pairs, SHARES, 0)
    subject, clips = next(
        (key, clips)
        for key in sorted({key for keys in identities.values() for key in keys})
        if len(clips := [clip for clip, keys in identities.items() if key in keys]) > 1
    )
    moved = "test" if found[clips[0]] != "test" else "val"
    planted = leaks(identities, [], found | {clips[0]: moved})
    assert subject in {leak.what for leak in planted}
    (leak,) = (leak for leak in planted if leak.what == subject)
    assert clips[0] in leak.splits[moved] and len(leak.splits) == 2
    assert clips[0] in leak.sentence() and moved in leak.sentence()
    pair = pairs[0]
    assert f"pair {pair.id}" in {leak.what for leak in leaks({}, pairs, found | {pair.a: "train", pair.b: "test"})}


def test_two_groups_that_one_pair_joins_are_refused_and_the_pair_is_named():
    clips = [f"c{number:02}" for number in range(20)]
    ring = [Pair(clips[at], clips[(at + 1) % 10]) for at in range(10)]
    ring += [Pair(clips[10 + at], clips[10 + (at + 1) % 10]) for at in range(10)]
    identities = dict.fromkeys(clips, ())
    bridge = Pair("c03", "c14")
    with pytest.raises(InvalidInput, match="20 clips that belong together") as caught:
        split(identities, [*ring, bridge], {"train": 0.5, "val": 0.3, "test": 0.2}, 0)
    assert caught.value.reason == "SPLIT_COMPONENT"
    assert "Leave out a pair that joins them, such as c03_c14." in caught.value.message
    assert bridging_pairs(clips, identities, [*ring, bridge]) == [bridge]
    assert bridging_pairs(clips[:10], identities, ring) == []


@pytest.mark.parametrize("seed", range(10))
def test_bridging_pairs_are_those_without_which_a_component_falls_apart(seed):
    identities, pairs = random_case(seed, clips=40, subjects=60, pairs=45)
    component = max(components(identities, pairs), key=len)
    inside = {clip: identities[clip] for clip in component}
    own = [pair for pair in pairs if pair.a in inside]
    plain = {pair for pair in own if len(components(inside, [other for other in own if other != pair])) > 1}
    assert len(own) > 5 and plain
    assert set(bridging_pairs(component, identities, pairs)) == plain


def test_a_chain_of_pairs_names_the_middle_first():
    clips = [f"c{number}" for number in range(8)]
    chain = [Pair(a, b) for a, b in pairwise(clips)]
    assert bridging_pairs(clips, dict.fromkeys(clips, ()), chain)[0] == Pair("c3", "c4")


def test_one_subject_larger_than_every_split_is_refused_without_pairs_to_leave_out():
    identities = {f"c{number}": ("subject ann",) for number in range(9)} | {"d": (), "e": (), "f": ()}
    with pytest.raises(InvalidInput, match=r"9 clips that belong together.*Exclude some of these clips") as caught:
        split(identities, [], {"train": 0.5, "val": 0.25, "test": 0.25}, 0)
    assert caught.value.reason == "SPLIT_COMPONENT"


def test_a_split_that_would_stay_empty_is_refused():
    identities = {f"c{number}": (f"subject s{number // 5}",) for number in range(10)}
    with pytest.raises(InvalidInput, match="None are left for val, test") as caught:
        split(identities, [], {"train": 0.6, "val": 0.2, "test": 0.2}, 0)
    assert caught.value.reason == "SPLIT_EMPTY"


def test_clips_are_related_through_others_and_their_pairs_are_found():
    identities = {"a": ("subject 1",), "b": ("subject 1", "source video x"), "c": ("source video x",), "d": ()}
    group = groups(identities)
    assert group["a"] == group["c"] != group["d"]
    assert related([Pair("a", "c"), Pair("a", "d")], identities) == [Pair("a", "c")]
