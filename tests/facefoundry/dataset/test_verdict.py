"""What is said of fakes that are not good enough to judge by, from figures made by hand."""

import pytest

from facefoundry.dataset import verdict
from facefoundry.dataset.record import FakeRecord, IdentityDistances, PairRecord

GOOD = {
    "identity": IdentityDistances(32, 0.50, 0.55, 0.62, 0.45),
    "mouth_correlation": 0.6,
    "mouth_motion": 0.02,
    "quality": {"sharpness": 0.5, "seam": 1.3},
}


def fake(**changes):
    return FakeRecord("a_b", "a", "b", frames=100, **{**GOOD, **changes})


def test_a_fake_that_just_reaches_every_bar_has_no_fault():
    assert verdict.faults(fake()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"identity": IdentityDistances(32, 0.60, 0.55, 0.80, 0.4)}, "looks more like the target than like the source"),
        (
            {"identity": IdentityDistances(32, 0.60, 0.64, 0.80, 0.4)},
            "looks as much like the target as like the source",
        ),
        ({"identity": IdentityDistances(32, 0.60, 0.71, 0.62, 0.4)}, "0.02 nearer than the control, not 0.12"),
        ({"identity": IdentityDistances(32, 0.60, 0.71, 0.58, 0.4)}, "0.00 nearer than the control, not 0.12"),
        ({"mouth_correlation": 0.08}, "does not follow the target's (correlation 0.08, not 0.60)"),
        ({"mouth_correlation": -0.19}, "does not follow the target's (correlation -0.19, not 0.60)"),
        ({"quality": {"sharpness": 0.31, "seam": 1.0}}, "is blurred (31% of the target's sharpness, not 50%)"),
        ({"quality": {"sharpness": 0.8, "seam": 1.74}}, "has a seam (1.7 times the target's gradient"),
    ],
)
def test_each_figure_below_its_bar_is_a_fault_in_words(changes, words):
    (fault,) = verdict.faults(fake(**changes))
    assert words in fault


def test_the_mouth_of_a_target_that_hardly_moves_its_mouth_is_not_judged():
    assert verdict.faults(fake(mouth_correlation=0.1, mouth_motion=0.019)) == []


def test_what_was_not_measured_is_not_judged():
    assert verdict.faults(FakeRecord("a_b", "a", "b", frames=100)) == []
    assert verdict.faults(fake(identity=IdentityDistances(0), mouth_correlation=None, quality={})) == []


def test_the_summary_names_the_first_fakes_with_faults_and_counts_all():
    pairs = [PairRecord(str(index), "a", "b", fakes=[fake(), fake()]) for index in range(3)]
    assert verdict.summary(pairs) == ""
    pairs[0].fakes[0].faults = ["is blurred", "has a seam"]
    assert verdict.summary(pairs) == "1 of 6 fakes is not good enough to judge by: a_b is blurred, has a seam. "
    for pair in pairs:
        for each in pair.fakes:
            each.faults = ["is blurred"]
    assert verdict.summary(pairs).startswith("6 of 6 fakes are not good enough to judge by: a_b is blurred; ")
    assert verdict.summary(pairs).endswith("; and 3 more. ")
