"""FF++'s network and training step: plain Keras layers, and the Adam optimizer of Keras 2.2 written with numpy.

Weights have names such as `encoder/conv_1/kernel` and `decoder_a/output/bias`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

__all__ = ["Adam", "Counter", "Pair", "Widths"]

Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Widths:
    """The widths of the network's layers, in channels; the defaults are FF++'s."""

    encoder: Sequence[int] = (128, 256, 512, 1024)
    bottleneck: int = 1024
    upscale: int = 512
    decoder: Sequence[int] = (256, 128, 64)


@dataclass
class Counter:
    """The number of optimizer steps that both sides have made together."""

    steps: int = 0


@dataclass
class Adam:
    """The Adam optimizer of Keras 2.2 for one side. It has its own moments; both sides may share the counter."""

    counter: Counter
    rate: float = 5e-5
    beta_1: float = 0.5
    beta_2: float = 0.999
    epsilon: float = 1e-7
    first: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    second: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def step(self, weights: Mapping[str, NDArray[Any]], gradients: Mapping[str, NDArray[Any]]) -> Weights:
        """Return the weights after one step; the gradients have the names of the weights."""
        number = self.counter.steps + 1
        rate = self.rate * np.sqrt(1 - self.beta_2**number) / (1 - self.beta_1**number)
        moved: Weights = {}
        for name, slope in gradients.items():
            gradient = slope.astype(np.float64)
            self.first[name] = self.beta_1 * self.first.get(name, 0.0) + (1 - self.beta_1) * gradient
            self.second[name] = self.beta_2 * self.second.get(name, 0.0) + (1 - self.beta_2) * gradient**2
            change = rate * self.first[name] / (np.sqrt(self.second[name]) + self.epsilon)
            moved[name] = (weights[name] - change).astype(weights[name].dtype)
        self.counter.steps = number
        return moved


class Pair:
    """The two autoencoders of a pair, which share their encoder.

    Args:
        widths: Widths of the layers; by default FF++'s.
        precision: Type of weights and computation, `float32` or `float64`.
    """

    def __init__(self, widths: Widths | None = None, precision: str = "float32") -> None:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(precision)
        try:
            self._build(widths or Widths(), precision)
        finally:
            keras.config.set_dtype_policy(before)

    def _build(self, widths: Widths, precision: str) -> None:
        faces = keras.Input((64, 64, 3), dtype=precision)
        self.encoder = keras.Model(faces, _encode(faces, widths))
        self.autoencoders = {}
        self._parts = {"encoder": self.encoder}
        for side in ("a", "b"):
            code = keras.Input((8, 8, widths.upscale), dtype=precision)
            self._parts[f"decoder_{side}"] = keras.Model(code, _decode(code, widths))
            self.autoencoders[side] = keras.Model(faces, self._parts[f"decoder_{side}"](self.encoder(faces)))

    def variables(self, side: str) -> dict[str, Any]:
        """Return the weights that a step of one side changes, by name."""
        return {
            f"{part}/{layer.name}/{name}": variable
            for part in ("encoder", f"decoder_{side}")
            for layer in self._parts[part].layers
            for name, variable in zip(("kernel", "bias"), layer.weights, strict=False)
        }

    def weights(self) -> Weights:
        """Return copies of all weights by name."""
        every = {**self.variables("a"), **self.variables("b")}
        return {name: np.array(variable.numpy()) for name, variable in every.items()}

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Assign the given weights by name; other weights keep their values."""
        every = {**self.variables("a"), **self.variables("b")}
        for name, value in weights.items():
            every[name].assign(value)

    def compile(self, *, xla: bool = False, **rates: float) -> None:
        """Give each side its own Keras Adam optimizer, so that `train_on_batch` can be called.

        Args:
            xla: Whether XLA compiles the step.
            rates: Arguments of `keras.optimizers.Adam`.
        """
        for model in self.autoencoders.values():
            optimizer = keras.optimizers.Adam(**rates)
            model.compile(optimizer, "mean_absolute_error", jit_compile=xla)
            optimizer.build(model.trainable_variables)

    def train_on_batch(self, iteration: int, batches: Mapping[Any, Sequence[Any]]) -> list[float]:
        """Run one iteration in FF++'s order, A then B, and return their losses before the update.

        In Keras 3 two models cannot share an Adam optimizer, so this function sets the shared count of steps.
        """
        losses = []
        for order, (side, model) in enumerate(self.autoencoders.items()):
            model.optimizer.iterations.assign(2 * iteration + order)
            losses.append(float(model.train_on_batch(*batches[side])))
        return losses

    def step_by_hand(self, optimizers: Mapping[Any, Adam], batches: Mapping[Any, Sequence[Any]]) -> list[float]:
        """Run one iteration as `train_on_batch` does, but with the optimizers of this module; return the losses."""
        return [self.step_side_by_hand(side, optimizers[side], batches[side]) for side in self.autoencoders]

    def step_side_by_hand(self, side: str, optimizer: Adam, batch: Sequence[Any]) -> float:
        """Make the step of one side with an optimizer of this module; return the loss before it."""
        variables = self.variables(side)
        inputs, targets = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(self.autoencoders[side](inputs, training=True) - targets))
        slopes = tape.gradient(loss, [variable.value for variable in variables.values()])
        gradients = {name: slope.numpy() for name, slope in zip(variables, slopes, strict=True)}
        self.set_weights(optimizer.step(self.weights(), gradients))
        return float(loss)


def _encode(maps: Any, widths: Widths) -> Any:
    for index, filters in enumerate(widths.encoder, 1):
        maps = layers.Conv2D(filters, 5, strides=2, padding="same", name=f"conv_{index}")(maps)
        maps = layers.LeakyReLU(0.1)(maps)
    features = layers.Dense(widths.bottleneck, name="dense_1")(layers.Flatten()(maps))
    features = layers.Dense(4 * 4 * widths.encoder[-1], name="dense_2")(features)
    return _upscale(layers.Reshape((4, 4, widths.encoder[-1]))(features), widths.upscale, "upscale")


def _decode(maps: Any, widths: Widths) -> Any:
    for index, filters in enumerate(widths.decoder, 1):
        maps = _upscale(maps, filters, f"upscale_{index}")
    return layers.Conv2D(3, 5, padding="same", activation="sigmoid", name="output")(maps)


def _upscale(maps: Any, filters: int, name: str) -> Any:
    maps = layers.LeakyReLU(0.1)(layers.Conv2D(4 * filters, 3, padding="same", name=name)(maps))
    return layers.Lambda(lambda values: tf.nn.depth_to_space(values, 2))(maps)
