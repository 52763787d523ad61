"""kill -9 at commit points: asked again, the work ends as if nothing had happened."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.faults.kills import Tally, run_matrix, sample
from tests.faults.victims import Converter, Extractor, Importer, Orchestrator, StoreItself, Worker, put_training

LANES = 2


@pytest.fixture(scope="module")
def tallies(request, whole, summarize):
    """Results by victim; summarized at the end of the module."""
    found: dict[str, Tally] = {}
    yield found
    kills = sum(tally.kills for tally in found.values())
    equal = sum(tally.equal for tally in found.values())
    halves = sum("is not what" in text or "not there" in text for tally in found.values() for text in tally.complaints)
    each = ", ".join(f"{name} {tally.kills}" for name, tally in found.items())
    word = "crash-test" if whole else "crash-test (sample)"
    summarize(f"{word}: {kills} kills ({each}), {equal} ended equal to the unbroken run, {halves} half-visible")


@pytest.fixture
def matrix(whole, tallies):
    """Runs the matrix, whole or a sample, with the victims that a function makes, and asserts that nothing is wrong."""

    def run(make, few: int, *, chain: bool = False, known=None) -> None:
        with ExitStack() as stack:
            victims = [make() for _ in range(LANES if whole else 1)]
            for victim in victims:
                stack.callback(victim.close)
            tally = Tally()
            run_matrix(victims, tally, list if whole else sample(few, seed=few), chain=chain, known=known)
        total = tallies.setdefault(victims[0].name, Tally())
        total.kills += tally.kills
        total.equal += tally.equal
        total.complaints += tally.complaints
        assert tally.complaints == []
        assert tally.equal == tally.kills > 0
        # Writes that depend on the clock may come less often when one is killed again and again.
        assert len(tally.missed) <= (tally.kills // 3 if chain else 0), tally.missed

    return run


pytestmark = pytest.mark.timeout(3600)


@pytest.mark.parametrize("chain", [False, True], ids=["once", "again and again"])
def test_an_extractor_killed_at_any_write_goes_on(matrix, new_proxied_store, prepared, whole, chain):
    if chain and not whole:
        pytest.skip("part of make crash-test")
    matrix(lambda: Extractor(new_proxied_store(), prepared.inputs["source_c"]), few=2, chain=chain)


@pytest.mark.parametrize("chain", [False, True], ids=["once", "again and again"])
def test_an_extractor_killed_at_any_write_of_an_import_leaves_nothing_half_made(
    matrix, new_proxied_store, prepared, whole, chain
):
    if not whole:
        pytest.skip("part of make crash-test")
    clip = (prepared.clips / "a.mp4").read_bytes()
    matrix(lambda: Importer(new_proxied_store(empty=True), clip), few=1, chain=chain)


@pytest.mark.parametrize("chain", [False, True], ids=["once", "again and again"])
def test_a_converter_killed_at_any_write_of_a_conversion_goes_on(matrix, new_proxied_store, prepared, whole, chain):
    if chain and not whole:
        pytest.skip("part of make crash-test")
    matrix(lambda: Converter(new_proxied_store(), prepared.inputs), few=1, chain=chain)


def test_a_converter_killed_at_any_write_of_a_real_video_goes_on(matrix, new_proxied_store, prepared, whole):
    if not whole:
        pytest.skip("part of make crash-test")
    matrix(lambda: Converter(new_proxied_store(), prepared.inputs, transcode=True), few=1)


def test_a_worker_killed_again_and_again_goes_on_from_its_newest_checkpoint(matrix, new_proxied_store, prepared):
    def make():
        return Worker(new_proxied_store(without="models/"), prepared.training)

    matrix(make, few=1, chain=True, known=(prepared.written, prepared.content))


def test_a_run_killed_again_and_again_goes_on_when_the_same_command_is_given(
    matrix, new_proxied_store, prepared, whole
):
    if not whole:
        pytest.skip("part of make crash-test; make test has it in tests/journeys/test_one_machine.py")
    matrix(lambda: Orchestrator(new_proxied_store(empty=True), prepared.clips), few=2, chain=True)


def _store(proxied, prepared, extraction_only):
    """Return the store as a victim; its training has the sides swapped."""
    swapped = {"a": "extraction_b", "b": "extraction_a"}
    inputs = {**prepared.inputs, **{f"extraction_{side}": prepared.inputs[name] for side, name in swapped.items()}}
    uri = put_training(proxied, inputs)
    proxied.keep()
    return StoreItself(proxied, prepared.inputs, uri, extraction_only=extraction_only)


def test_a_store_killed_again_and_again_delays_work_only_until_it_is_back(matrix, new_proxied_store, prepared, whole):
    matrix(lambda: _store(new_proxied_store(), prepared, extraction_only=not whole), few=2, chain=True)
