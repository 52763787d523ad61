"""Our Adam against Keras's own, with one step count that two sides share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker import adam

SHAPES = {"kernel": (3, 4), "bias": (4,)}
OPTIONS = TrainingOptions(learning_rate=1e-3, beta1=0.5, beta2=0.999, epsilon=1e-7)


def variables(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {name: keras.Variable(random.normal(size=shape), dtype="float32") for name, shape in SHAPES.items()}


def gradients(step: int) -> list[Any]:
    """Gradients of very different magnitudes, some of them zero."""
    random = np.random.default_rng(100 + step)
    scale = 10.0 ** random.integers(-6, 2)
    return [ops.convert_to_tensor((random.normal(size=shape) * scale).astype(np.float32)) for shape in SHAPES.values()]


def keras_adam() -> Any:
    return keras.optimizers.Adam(
        OPTIONS.learning_rate, beta_1=OPTIONS.beta1, beta_2=OPTIONS.beta2, epsilon=OPTIONS.epsilon
    )


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in SHAPES:
        np.testing.assert_allclose(
            ops.convert_to_numpy(found[name].value), ops.convert_to_numpy(expected[name].value), rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize("fused", [True, False], ids=["TensorFlow's operation", "operations of Keras"])
@pytest.mark.parametrize("sides", [1, 2], ids=["one side", "two sides that count together"])
def test_variables_move_as_with_the_adam_of_keras(sides: int, fused: bool) -> None:
    ours, theirs = [[variables(side) for side in range(sides)] for _ in range(2)]
    moments = [adam.make_moments(own) for own in ours]
    optimizers = [keras_adam() for _ in range(sides)]
    for step in range(30):
        side = step % sides
        adam.update(OPTIONS, ops.cast(step, "float32"), ours[side], moments[side], gradients(step), fused=fused)
        optimizers[side].build(list(theirs[side].values()))
        optimizers[side].iterations.assign(step)
        optimizers[side].apply_gradients(zip(gradients(step), theirs[side].values(), strict=True))
    for side in range(sides):
        assert_close(ours[side], theirs[side])
        start = variables(side)
        moved = [np.abs(np.asarray(ours[side][name].value) - np.asarray(start[name].value)).max() for name in SHAPES]
        assert min(moved) > OPTIONS.learning_rate, "the steps are much longer than the tolerance"


def test_the_update_of_a_variable_is_one_operation() -> None:
    own = variables(0)
    moments = adam.make_moments(own)

    def step(count: Any) -> None:
        adam.update(OPTIONS, count, own, moments, gradients(0))

    graph = tf.function(step).get_concrete_function(tf.TensorSpec((), tf.float32)).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == len(SHAPES) and "Sqrt" not in kinds
