"""The Adam optimizer as in FF++'s version of Keras, written with keras.ops. The caller computes the gradients.

FF++ compiles two models with one Adam object, so both sides share the count of steps, but each has its own moments.
Keras's own optimizers cannot do this. Here the moments of a side are named variables, and the count is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import keras
from keras import ops

__all__ = ["Moments", "make_moments", "update"]

Tensor: TypeAlias = Any  # Keras has no types: a variable of Keras or a tensor of its backend


class _Rates(Protocol):
    """The options that `update` reads, such as fields of `v1.TrainingOptions`."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def beta1(self) -> float: ...
    @property
    def beta2(self) -> float: ...
    @property
    def epsilon(self) -> float: ...


class Moments(NamedTuple):
    """The Adam moments of one variable, as Keras variables of the same shape.

    Attributes:
        first: Decaying mean of the gradient.
        second: Decaying mean of the gradient's square.
    """

    first: Tensor
    second: Tensor


def make_moments(variables: Mapping[str, Tensor]) -> dict[str, Moments]:
    """Return the moments of each variable, by name: zeros, float32."""
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
    options: _Rates,
    step: Tensor,
    variables: Mapping[str, Tensor],
    moments: Mapping[str, Moments],
    gradients: Sequence[Tensor],
) -> None:
    """Update variables and moments by one step.

    Args:
        options: Learning rate, decay rates and epsilon.
        step: Number of steps made before this one, scalar float32 tensor.
        variables: The variables by name.
        moments: Moments of the variables by the same names.
        gradients: Gradients of the variables in the same order, float32.
    """
    count = step + 1.0
    correction_1 = 1.0 - ops.power(ops.cast(options.beta1, "float32"), count)
    correction_2 = 1.0 - ops.power(ops.cast(options.beta2, "float32"), count)
    rate = options.learning_rate * ops.sqrt(correction_2) / correction_1
    for (name, variable), gradient in zip(variables.items(), gradients, strict=True):
        first, second = moments[name]
        first.assign_add((gradient - first.value) * (1.0 - options.beta1))
        second.assign_add((ops.square(gradient) - second.value) * (1.0 - options.beta2))
        variable.assign_sub(first.value * rate / (ops.sqrt(second.value) + options.epsilon))
