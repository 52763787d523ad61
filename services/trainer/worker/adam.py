"""Adam as the origin's Keras has it, on keras.ops and with its state in the open. It takes no gradients itself.

The origin compiles one Adam into two models: both sides count the same steps, but each has moments of its own. Here a
side's moments are named variables and the count is an argument.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import keras
from keras import ops

__all__ = ["Moments", "make_moments", "update"]


class _Rates(Protocol):
    """What `update` reads; `v1.TrainingOptions` has it."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def beta_1(self) -> float: ...
    @property
    def beta_2(self) -> float: ...
    @property
    def epsilon(self) -> float: ...


class Moments(NamedTuple):
    """Decayed means of one variable's gradient and of its square; Keras variables of the same shape."""

    first: Any
    second: Any


def make_moments(variables: dict[str, Any]) -> dict[str, Moments]:
    """Zero moments, float32, for variables by name."""
    return {
        name: Moments(
            *(
                keras.Variable(ops.zeros(variable.shape), trainable=False, dtype="float32", name=order)
                for order in Moments._fields
            )
        )
        for name, variable in variables.items()
    }


def update(
    options: _Rates, step: Any, variables: dict[str, Any], moments: dict[str, Moments], gradients: list[Any]
) -> None:
    """Move variables and moments one step.

    Args:
        options: Learning rate, decays and epsilon.
        step: Steps made before, scalar float32 tensor.
        variables: What to move, by name.
        moments: State of the same names.
        gradients: In the variables' order, float32.
    """
    count = step + 1.0
    correction_1 = 1.0 - ops.power(ops.cast(options.beta_1, "float32"), count)
    correction_2 = 1.0 - ops.power(ops.cast(options.beta_2, "float32"), count)
    rate = options.learning_rate * ops.sqrt(correction_2) / correction_1
    for (name, variable), gradient in zip(variables.items(), gradients, strict=True):
        first, second = moments[name]
        first.assign_add((gradient - first.value) * (1.0 - options.beta_1))
        second.assign_add((ops.square(gradient) - second.value) * (1.0 - options.beta_2))
        variable.assign_sub(first.value * rate / (ops.sqrt(second.value) + options.epsilon))
