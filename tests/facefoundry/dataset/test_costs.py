"""What a dataset took: sums of what its results took, each counted once."""

from __future__ import annotations

from facefoundry.dataset.costs import Costs, costs_of
from facefoundry.dataset.record import PairRecord, StageTime
from facefoundry.storage.usage import Usage


def stages(energy: float | None, gpu: float = 60.0) -> list[StageTime]:
    return [
        StageTime("upload a", 1.0, retries=1),
        StageTime("extract a", 1.0, Usage(5.0), 100),
        StageTime("train", 9.0, Usage(70.0, gpu, energy), 1000, retries=2),
        StageTime("convert", 1.0, Usage(7.0), 10, 40),
        StageTime("transcode a", 1.0, Usage(2.0), 0, 20),
        StageTime("compare swap", 1.0, retries=1),
        StageTime("fetch", 1.0),
    ]


def test_what_pairs_share_counts_once_and_all_else_for_each() -> None:
    pairs = [PairRecord("a_b", "a", "b", stages=stages(600.0)), PairRecord("a_c", "a", "c", stages=stages(400.0))]
    assert costs_of(pairs) == Costs(
        gpu_seconds=120.0,
        training_cpu_seconds=140.0,
        cpu_seconds=5.0 + 14.0 + 2.0,
        energy_joules=1000.0,
        stored_bytes=100 + 2000 + 20,
        video_bytes=80 + 20,
        retries=1 + 4 + 2,
    )


def test_both_trainings_of_a_pair_that_was_trained_again_count() -> None:
    again = [stage for stage in stages(400.0) if stage.stage in ("train", "convert", "compare swap")]
    once, twice = stages(600.0), [*stages(600.0), *again]
    first, both = (costs_of([PairRecord("a_b", "a", "b", stages=each)]) for each in (once, twice))
    assert (both.gpu_seconds, both.energy_joules) == (120.0, 1000.0)
    assert (both.cpu_seconds, both.stored_bytes) == (first.cpu_seconds + 7.0, first.stored_bytes + 1010)
    assert both.retries == first.retries + 3


def test_the_energy_is_unknown_if_that_of_a_training_is() -> None:
    pairs = [PairRecord("a_b", "a", "b", stages=stages(600.0)), PairRecord("a_c", "a", "c", stages=stages(None))]
    assert costs_of(pairs).energy_joules is None
    assert costs_of([PairRecord("a_b", "a", "b", stages=stages(None, gpu=0.0))]).energy_joules is None


def test_results_of_which_nothing_is_known_are_counted() -> None:
    known = costs_of([PairRecord("a_b", "a", "b", stages=[StageTime("train", 1.0, None, 5), StageTime("fetch", 1.0)])])
    assert known == Costs(stored_bytes=5, unknown=1)
