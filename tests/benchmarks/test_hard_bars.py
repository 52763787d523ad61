"""The bars of the hard cases, on made results in which it is known who was taken."""

import numpy as np
import pytest

from benchmarks.extraction import Extracted, Plain
from benchmarks.hard_bars import judge
from benchmarks.hard_cases import OTHER, SUBJECT, Case

FACE = np.random.default_rng(0).uniform(0, 100, (68, 2))
FACE[36:42], FACE[42:48] = (30, 40), (70, 40)
PLACES = {"s": 0.0, "o": 300.0, "n": 900.0}


def points(taken):
    """Landmarks of a clip: in each frame those of the subject (s), the other (o), nobody (n), or none (-)."""
    return np.stack([FACE + np.array([PLACES.get(who, np.nan), 0]) for who in taken])


CASE = Case([], people={SUBJECT: points("ssss--"), OTHER: points("oooooo")}, hidden={SUBJECT: points("----s-")})
EXPECTED = Plain(points("sssooo"), milliseconds=20)


def judged(taken, warned=(), by_identity=True, missing="NO_FACE"):
    labels = [missing if who == "-" else "FOUND" for who in taken]
    return judge(Extracted(points(taken), labels, 0, warned, 4.0), EXPECTED, CASE, by_identity=by_identity)


def test_a_chosen_subject_in_all_its_frames_reaches_the_bars():
    good = judged("ssss--", ("OTHER_PEOPLE",), missing="OTHER_PERSON")
    assert list(good.failures()) == []
    assert good.row("exit", "dlib") == "| exit | dlib | chosen | 4 | 6 | 4 | 0 | 0 | 0 | 0.000, 0.000 | OTHER_PEOPLE |"


@pytest.mark.parametrize(
    ("taken", "warned", "by_identity", "missing", "sentence"),
    [
        ("ssso--", ("OTHER_PEOPLE",), True, "OTHER_PERSON", "another person's face is taken in 1 frame (3)"),
        ("s-ss--", ("OTHER_PEOPLE",), True, "OTHER_PERSON", "plain dlib finds a face in 1 frame (1)"),
        ("ssss--", (), True, "OTHER_PERSON", "no warning tells of the frames with the label OTHER_PERSON"),
        ("sssnoo", ("PEOPLE_MIXED",), False, "NO_FACE", "the landmarks are nobody's in 1 frame (3)"),
        ("ssssoo", (), False, "NO_FACE", "no warning tells that another person's face is taken in 2 frames (4 to 5)"),
        ("ssss--", ("GAPS",), False, "NO_FACE", "plain dlib finds a face in 2 frames (4 to 5)"),
    ],
)
def test_what_is_wrong_is_named_with_its_frames(taken, warned, by_identity, missing, sentence):
    (failure,) = judged(taken, warned, by_identity, missing).failures()
    assert sentence in failure


@pytest.mark.parametrize(("taken", "warning"), [("ssssoo", "PEOPLE_MIXED"), ("oooooo", "SEVERAL_FACES")])
def test_as_in_ffpp_another_person_may_be_taken_with_a_warning(taken, warning):
    assert list(judged(taken, (warning,), by_identity=False).failures()) == []
    assert len(list(judged(taken, ("GAPS",), by_identity=False).failures())) == 1


def test_a_face_that_is_mostly_hidden_is_still_that_of_its_person():
    hidden = judged("sssss-", ("OTHER_PEOPLE",), missing="OTHER_PERSON")
    assert hidden.subject.sum() == 5 and hidden.shown.sum() == 4 and not hidden.nobody.any()
    assert list(hidden.failures()) == []
