"""The laws of the random choices."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from services.trainer.worker.draws import Sampler
from tests.services.trainer.worker.crops import options


def test_draws_are_those_of_the_philox_that_salmon_and_others_published() -> None:
    """The cipher's known answers for a counter and key of zeros; NumPy encrypts the counter after it has counted."""
    words = np.random.Philox(key=0, counter=2**256 - 1).random_raw(4)
    assert [hex(word) for word in words.tolist()] == [
        "0x16554d9eca36314c",
        "0xdb20fe9d672d0fdc",
        "0xd7e772cee186176b",
        "0x7e68b68aec7ba23b",
    ]


def test_draws_are_the_same_in_every_version_of_numpy() -> None:
    """Another digest means that trainings give other weights: raise ALGORITHM_VERSION of the worker's protocol."""
    batches = [Sampler(options(4, seed=7), "a", faces).draw(3) for faces in (2, 9)]
    assert [draw.dtype.name for draw in batches[0]] == ["int32", "float32", "float32", "float32", "bool", "float32"]
    digest = hashlib.sha256(b"".join(draw.tobytes() for batch in batches for draw in batch)).hexdigest()
    assert digest[:16] == "f3bd155ef185db03"


def test_draws_are_a_function_of_seed_side_and_iteration_only() -> None:
    def drawn(seed: int, side: str, iteration: int) -> list[list[float]]:
        draws = Sampler(options(4, seed=seed), side, 9).draw(iteration)
        return [np.ravel(values).tolist() for values in draws]

    assert drawn(1, "a", 5) == drawn(1, "a", 5)
    for other in (drawn(2, "a", 5), drawn(1, "b", 5), drawn(1, "a", 6)):
        assert drawn(1, "a", 5)[5] != other[5]
        assert drawn(1, "a", 5)[1] != other[1]


def test_draws_have_the_recipes_distributions() -> None:
    sampler = Sampler(options(1000), "a", 2000)
    draws = [sampler.draw(iteration) for iteration in range(8)]
    rotation, scale, shift, flip, jitter = (
        np.concatenate([getattr(draw, name) for draw in draws])
        for name in ("rotation", "scale", "shift", "flip", "jitter")
    )
    for values, low, high in ((rotation, -10, 10), (scale, 0.95, 1.05), (shift, -12.8, 12.8)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.02 * (high - low)
        assert abs(values.std() - (high - low) / np.sqrt(12)) < 0.02 * (high - low)
    assert abs(flip.mean() - 0.4) < 0.02
    assert abs(jitter.mean()) < 0.05
    assert abs(jitter.std() - 5) < 0.05
    assert abs((np.abs(jitter) < 5).mean() - 0.6827) < 0.005
    assert np.abs(np.corrcoef(jitter.reshape(len(jitter), -1).T) - np.eye(50)).max() < 0.06


@pytest.mark.parametrize(("faces", "batch"), [(11, 4), (12, 4), (7, 7), (65, 64)])
def test_an_epoch_shows_no_face_twice_and_drops_the_tail(faces: int, batch: int) -> None:
    sampler = Sampler(options(batch), "b", faces)
    batches = faces // batch
    epochs = []
    for epoch in range(4):
        seen = np.concatenate([sampler.draw(epoch * batches + index).faces for index in range(batches)])
        assert len(set(seen.tolist())) == batches * batch
        assert 0 <= seen.min() <= seen.max() < faces
        epochs.append(seen.tolist())
    assert len({tuple(epoch) for epoch in epochs}) == 4
