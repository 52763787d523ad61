"""When a training is said to stagnate, from the similarities of its previews."""

import pytest

from services.trainer.stagnation import stagnation
from services.trainer.worker_protocol import Preview

ITERATIONS = (1, 40, 100, 200, 400, 700, 1000, 1300, 1600, 2000)
# The previews of the demo's pair.
SOUND = (
    (0.29, 0.17),
    (0.42, 0.18),
    (0.46, 0.23),
    (0.52, 0.34),
    (0.66, 0.50),
    (0.73, 0.62),
    (0.76, 0.67),
    (0.80, 0.69),
    (0.79, 0.72),
    (0.81, 0.75),
)


def previews(similarities):
    return [Preview(iteration, "x", pair) for iteration, pair in zip(ITERATIONS, similarities, strict=False)]


@pytest.mark.parametrize("count", range(len(SOUND) + 1))
def test_a_sound_training_never_stagnates(count):
    assert stagnation(previews(SOUND)[:count], 2000) == ""


def test_a_side_that_gains_nothing_in_a_quarter_of_the_iterations_stagnates():
    poor = [(a, min(b, 0.34)) for a, b in SOUND]
    assert stagnation(previews(poor)[:5], 2000) == ""  # 400 iterations are less than a quarter
    sentence = stagnation(previews(poor)[:6], 2000)
    assert "after 700 iterations the faces of side B are reconstructed no better than after 200" in sentence
    assert "structural similarity of 0.34" in sentence
    assert "training.learning_rate" in sentence
    assert "side A" in stagnation(previews([(b, a) for a, b in poor])[:6], 2000)


def test_a_training_that_gains_little_because_it_is_good_does_not_stagnate():
    assert stagnation(previews([(0.76, 0.75)] * 10), 2000) == ""


def test_a_training_that_recovers_does_not_stagnate():
    assert stagnation(previews([*[(0.3, 0.3)] * 6, (0.5, 0.5)]), 2000) == ""


def test_previews_without_a_measurement_say_nothing():
    assert stagnation([Preview(iteration, "x") for iteration in ITERATIONS], 2000) == ""
    assert stagnation([], 2000) == ""
