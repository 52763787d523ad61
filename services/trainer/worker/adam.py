"""The Adam optimizer as in FF++'s version of Keras. The caller computes the gradients.

FF++ compiles two models with one Adam object, so both sides share the count of steps, but each has its own moments.
Keras's own optimizers cannot do this. Here the moments of a side are named variables, and the count is an argument.

TensorFlow has one operation for a variable's whole update. Written with keras.ops, which other Keras backends need, the
update has a dozen, and a training takes a quarter longer until its first iteration.
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
    *,
    fused: bool = keras.backend.backend() == "tensorflow",
) -> None:
    """Update variables and moments by one step.

    Args:
        options: Learning rate, decay rates and epsilon.
        step: Number of steps made before this one, scalar float32 tensor.
        variables: The variables by name.
        moments: Moments of the variables by the same names.
        gradients: Gradients of the variables in the same order, float32.
        fused: Whether to update a variable by TensorFlow's operation for it.
    """
    powers = [ops.power(ops.cast(beta, "float32"), step + 1.0) for beta in (options.beta1, options.beta2)]
    change = _fused if fused else _with_ops
    for (name, variable), gradient in zip(variables.items(), gradients, strict=True):
        change(options, powers, variable, moments[name], gradient)


def _fused(options: _Rates, powers: Sequence[Tensor], variable: Tensor, moments: Moments, gradient: Tensor) -> None:
    import tensorflow as tf  # with another Keras backend it need not be installed

    tf.raw_ops.ResourceApplyAdam(
        var=variable.value.handle,
        m=moments.first.value.handle,
        v=moments.second.value.handle,
        beta1_power=powers[0],
        beta2_power=powers[1],
        lr=options.learning_rate,
        beta1=options.beta1,
        beta2=options.beta2,
        epsilon=options.epsilon,
        grad=gradient,
    )


def _with_ops(options: _Rates, powers: Sequence[Tensor], variable: Tensor, moments: Moments, gradient: Tensor) -> None:
    first, second = moments
    rate = options.learning_rate * ops.sqrt(1.0 - powers[1]) / (1.0 - powers[0])
    first.assign_add((gradient - first.value) * (1.0 - options.beta1))
    second.assign_add((ops.square(gradient) - second.value) * (1.0 - options.beta2))
    variable.assign_sub(first.value * rate / (ops.sqrt(second.value) + options.epsilon))
