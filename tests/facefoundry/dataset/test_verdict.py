"""What is said of fakes that are not good enough to judge by, from figures made by hand."""

import pytest

from facefoundry.dataset import verdict
from facefoundry.dataset.gates import DEFAULT_GATES, MEASURES, Gate
from facefoundry.dataset.record import FakeRecord, IdentityDistances, PairRecord

GOOD = {"identity": 0.05, "identity_gain": 0.12, "mouth": 0.6, "mouth_motion": 0.02, "sharpness": 0.5, "seam": 1.3}


def fake(distances=None, gates=DEFAULT_GATES, **changes):
    identity = IdentityDistances(12, *distances) if distances else None
    quality = GOOD | ({"identity": identity.nearer, "identity_gain": identity.gain} if identity else {}) | changes
    made = FakeRecord("a_b", "a", "b", frames=100, quality=quality, identity=identity)
    verdict.judge(made, gates)
    return made


def test_a_fake_that_just_reaches_every_bar_has_no_fault():
    assert fake().faults == fake().failed == []


@pytest.mark.parametrize(
    ("distances", "changes", "words"),
    [
        ((0.60, 0.55, 0.80, 0.4), {}, "looks more like the target than like the source (distances 0.55 and 0.60)"),
        ((0.60, 0.64, 0.80, 0.4), {}, "looks as much like the target as like the source"),
        ((0.60, 0.71, 0.62, 0.4), {}, "0.02 nearer than the control, not 0.12"),
        ((0.60, 0.71, 0.7151, 0.4), {}, "0.115 nearer than the control, not 0.12"),
        ((0.60, 0.71, 0.58, 0.4), {}, "0 nearer than the control, not 0.12"),
        (None, {"mouth": 0.08}, "does not follow the target's (correlation 0.08, not 0.60)"),
        (None, {"mouth": -0.19}, "does not follow the target's (correlation -0.19, not 0.60)"),
        (None, {"sharpness": 0.31}, "is blurred (31% of the target's sharpness, not 50%)"),
        (None, {"seam": 1.74}, "has a seam (1.7 times the target's gradient"),
    ],
)
def test_each_figure_below_its_bar_is_a_fault_in_words(distances, changes, words):
    (fault,) = fake(distances, **changes).faults
    assert words in fault


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_has_words_for_both_sides_of_a_bar(name):
    higher = MEASURES[name].better == "higher"
    low, high = Gate(measure=name, min=0.5), Gate(measure=name, max=0.5)
    poor = fake(gates=[low if higher else high], **{name: 0.2 if higher else 0.8}, head_motion=1)
    odd = fake(gates=[high if higher else low], **{name: 0.8 if higher else 0.2}, head_motion=1)
    assert len(poor.faults) == 1 and "unusual" not in poor.faults[0]
    assert odd.faults[0].startswith(f"has an unusual {name} (0.")
    assert (odd.failed[0].bar, odd.failed[0].action) == (0.5, "flag")


def test_a_motion_is_judged_only_where_the_target_moves():
    assert fake(mouth=0.1, mouth_motion=0.019).faults == []
    assert fake(mouth=0.1, mouth_motion=None).faults == []
    assert fake(gates=[Gate(measure="head", min=0.5)], head=0.1, head_motion=0.019).faults == []


def test_what_was_not_measured_is_not_judged():
    empty = FakeRecord("a_b", "a", "b", frames=100, quality={"mouth": None})
    verdict.judge(empty, DEFAULT_GATES)
    assert empty.faults == []


def test_what_could_not_be_measured_for_want_of_a_face_fails_with_what_its_gate_asks_for():
    gates = [
        Gate(measure="identity_gain", min=0.12, action="retrain"),
        Gate(measure="identity", min=0.05, action="drop"),
        Gate(measure="sharpness", min=0.9),
    ]
    faceless, collapsed = dict.fromkeys(("identity", "identity_gain", "mouth")), fake(gates=gates)
    collapsed.quality |= {**faceless, "face_share": 0.1, "sharpness": None}
    verdict.judge(collapsed, gates)
    failed = [(failed.measure, failed.value, failed.bar, failed.action) for failed in collapsed.failed]
    assert failed == [("face_share", 0.1, 0.5, "retrain"), ("face_share", 0.1, 0.5, "drop")]
    assert collapsed.faults == ["shows no face in many frames (one is found in 10% of those sampled, not 50%)"]
    verdict.judge(collapsed, DEFAULT_GATES)
    assert [failed.measure for failed in collapsed.failed] == ["face_share"], "it is said once"
    verdict.judge(collapsed, gates)
    passable = fake(gates=gates, identity_gain=0.1)
    assert not verdict.is_better([collapsed], [passable], gates)
    assert verdict.is_better([passable], [collapsed], gates)
    assert [failed.measure for failed in fake(gates=gates, **faceless, face_share=0.9).failed] == ["sharpness"]


def test_the_fakes_of_a_second_training_are_better_if_they_fail_fewer_gates_the_hardest_first():
    gates = [
        Gate(measure="identity", min=0.0, action="drop"),
        Gate(measure="mouth", min=0.5, action="retrain"),
        Gate(measure="sharpness", min=0.5),
    ]
    good, blurred = fake(gates=gates), fake(gates=gates, sharpness=0.1)
    silent, wrong = fake(gates=gates, mouth=0.1), fake(gates=gates, identity=-0.1)
    assert verdict.is_better([good, blurred], [good, silent], gates)
    assert verdict.is_better([silent, silent], [good, wrong], gates)
    assert verdict.is_better([silent, good], [silent, silent], gates)
    assert not verdict.is_better([good, silent], [silent, good], gates)
    assert not verdict.is_better([good, wrong], [silent, silent], gates)


@pytest.mark.parametrize("missing", [("identity", "identity_gain"), ("mouth",), ("identity", "identity_gain", "mouth")])
def test_a_fake_of_which_less_could_be_measured_is_not_better(missing):
    gates = [
        Gate(measure="identity_gain", min=0.12, action="retrain"),
        Gate(measure="mouth", min=0.5, action="retrain"),
        Gate(measure="identity", min=0.05, action="drop"),
    ]
    passable, faceless = fake(gates=gates, identity_gain=0.1), fake(gates=gates, **dict.fromkeys(missing))
    good = fake(gates=gates)
    assert faceless.failed == []
    assert not verdict.is_better([faceless, good], [passable, good], gates)
    assert verdict.is_better([good, good], [faceless, good], gates)
    assert not verdict.is_better([faceless, good], [faceless, good], gates)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"measure": "mouth"}, "needs min or max"),
        ({"measure": "mouth", "min": 1, "max": 0}, "min must not be above max"),
        ({"measure": "beauty", "min": 1}, "measure"),
        ({"measure": "mouth", "min": float("nan")}, "finite"),
        ({"measure": "mouth", "min": 0, "action": "delete"}, "action"),
        ({"measure": "mouth", "min": 0, "maximum": 1}, "maximum"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(gate, words):
    with pytest.raises(ValueError, match=words):
        Gate(**gate)


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
    pairs[2].fakes[1].dropped = True
    assert verdict.summary(pairs).endswith("; and 2 more. 1 of 6 fakes was dropped: a_b is blurred. ")
