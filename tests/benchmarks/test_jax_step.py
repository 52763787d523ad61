"""The bench's JAX driver of the training step against the worker's TensorFlow loop."""

from __future__ import annotations

from importlib import util

import numpy as np
import pytest

from benchmarks import jax_step
from services.trainer.worker import loop

STEPS = 50


@pytest.mark.skipif(util.find_spec("jax") is None, reason="jax is not installed; pip install jax")
def test_fifty_losses_on_jax_are_those_on_tensorflow() -> None:
    faces = jax_step.crops()
    training = loop.Training(jax_step.small(), {"a": faces, "b": faces})
    expected = jax_step.losses(STEPS, training.network)
    losses = training.run(STEPS)
    assert losses[-1].mean() < losses[0].mean()
    assert np.abs(losses - expected).max() <= 1e-4
