"""The structural dissimilarity of the loss, against TensorFlow's SSIM."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from services.trainer.worker.dissimilarity import dissimilarity


def noise(seed: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (2, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [64, 128])
def test_it_is_that_of_the_ssim_of_tensorflow(size: int) -> None:
    real = noise(0, size)
    made = 0.7 * real + 0.3 * noise(1, size)
    expected = (1 - tf.reduce_mean(tf.image.ssim(made, real, 1.0, filter_size=7, filter_sigma=1.5))) / 2
    assert float(dissimilarity(made, real)) == pytest.approx(float(expected), abs=1e-5)
    assert float(dissimilarity(real, real)) == pytest.approx(0, abs=1e-6)


def test_a_blurred_picture_costs_more_than_a_moderately_wrong_one() -> None:
    real = noise(0)
    grey = np.full_like(real, 0.5)
    assert float(dissimilarity(grey, real)) > 3 * float(dissimilarity(0.5 + 0.7 * (real - 0.5), real))


def test_weights_say_where_a_difference_costs() -> None:
    real, made = noise(0), noise(0)
    made[:, :20] = noise(1)[:, :20]
    assert float(dissimilarity(made, real, np.ones((64, 64), np.float32))) == pytest.approx(
        float(dissimilarity(made, real)), abs=1e-6
    )
    below = np.zeros((64, 64), np.float32)
    below[30:] = 1
    assert float(dissimilarity(made, real, below)) == pytest.approx(0, abs=1e-6)
    assert float(dissimilarity(made, real, 1 - below)) > float(dissimilarity(made, real))
