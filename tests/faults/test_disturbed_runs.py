"""Datasets over a store that fails every twentieth request, killed at random moments, with unusable clips."""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.disturbed import FACELESS, SPOILT, Pairs, Runs, digests, write_clips, write_dataset
from tests.faults.proxied_store import ProxiedStore, content, half_visible
from tests.faults.proxy import now_and_then


def mixed(right: Pairs, wrong: Pairs) -> Pairs:
    """The right pairs, with a wrong one now and then among them."""
    step = max(1, len(right) // len(wrong))
    groups = itertools.zip_longest((right[at : at + step] for at in range(0, len(right), step)), wrong)
    return [pair for some, bad in groups for pair in (*(some or ()), *((bad,) if bad else ()))]


def check(folder: Path, right: Pairs, wrong: Pairs, kills: int, summarize: Callable[[str], None]) -> None:
    """Make the right pairs undisturbed, then all of them disturbed, and compare."""
    reasons, seed = SPOILT | FACELESS, secrets.randbelow(10**6)
    undisturbed = write_dataset(folder, "undisturbed", right)
    disturbed = write_dataset(folder, "disturbed", mixed(right, wrong))
    (folder / "served").mkdir()
    proxied = ProxiedStore(folder / "served")
    runs = Runs(proxied)
    try:
        expected = runs.run(undisturbed)
        same = content(proxied.store)
        proxied.clear()
        proxied.proxy.rule = now_and_then(0.05, seed)
        found = runs.run(disturbed, kills, random.Random(seed))
        proxied.proxy.rule = None
        what = f"seed {seed}, killed with {', '.join(runs.kills)}"
        failed = {name: (pair.failure.stage, pair.failure.reason) for name, pair in found.items() if pair.failure}
        assert failed == {f"{a}_{b}": ("extract", reasons.get(a) or reasons[b]) for a, b in wrong}, what
        assert len(digests(expected)) == len(right)
        assert all(len(fakes) == 2 for fakes in digests(expected).values())
        assert digests(found) == digests(expected), what
        assert half_visible(proxied.store) == [], what
        assert same.items() <= content(proxied.store).items(), what
        faults = proxied.proxy.faults
    finally:
        runs.close()
        proxied.close()
    summarize(
        f"disturbed runs: {len(right) + len(wrong)} pairs over {faults} refused or cut requests, {what}: "
        f"{len(failed)} failed with their reasons, {len(expected)} ended equal to an undisturbed run"
    )


@pytest.mark.timeout(900)
def test_of_six_pairs_exactly_those_with_unusable_clips_fail(tmp_path: Path, summarize: Callable[[str], None]) -> None:
    a, b, c, _ = write_clips(tmp_path / "clips", 2, ("cut", "wall"))
    right = [(a, b), (b, c)]
    wrong = [("cut", a), (b, "wall"), ("wall", c), (c, "cut")]
    check(tmp_path, right, wrong, kills=1, summarize=summarize)


@pytest.mark.timeout(7200)
def test_of_forty_pairs_exactly_those_with_unusable_clips_fail(
    tmp_path: Path, whole: bool, summarize: Callable[[str], None]
) -> None:
    if not whole:
        pytest.skip("part of make crash-test")
    names = [*SPOILT, *FACELESS]
    good = write_clips(tmp_path / "clips", 5, names)
    right = list(itertools.combinations(good, 2))[: 40 - len(names)]
    wrong = [(name, good[index]) for index, name in enumerate(names)]
    check(tmp_path, right, wrong, kills=5, summarize=summarize)
