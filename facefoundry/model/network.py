"""FF++'s autoencoder in Keras: one encoder for both sides and a decoder for each side. Any Keras backend can run it.

Faces are BGR [n, s, s, 3], float32 in [0, 1], where s is the architecture's face_size. With FF++'s sizes the encoder
has 69,662,976 parameters and each decoder 6,199,747. Weights are always float32; computations have another `precision`
if one is requested.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import keras
import numpy as np
from keras import layers, ops

from facefoundry.model import colours, weights
from facefoundry.model.architecture import SLOPE, Architecture, unpack

__all__ = ["FORMAT", "SIDES", "Architecture", "Network", "SideName", "build", "load", "pixel_shuffle"]

FORMAT: Final = weights.NETWORK_FORMAT

SideName = Literal["a", "b"]
SIDES: tuple[SideName, SideName] = ("a", "b")

Tensor: TypeAlias = Any  # Keras has no types: a tensor of the Keras backend


_POLICIES = {"float32": "float32", "tensorfloat32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclass(frozen=True)
class Network:
    """The three networks of a model: the encoder and the decoders of both sides."""

    architecture: Architecture
    encoder: keras.Model
    decoder_a: keras.Model
    decoder_b: keras.Model

    def decoder(self, side: SideName) -> keras.Model:
        """Return the decoder of one side."""
        return self.decoder_a if side == "a" else self.decoder_b

    def reconstruct(self, faces: Tensor, side: SideName) -> Tensor:
        """Encode faces, and decode them with the decoder of one side.

        Args:
            faces: [n, s, s, 3], BGR, float32 in [0, 1].
            side: Side of the decoder.

        Returns:
            The decoded faces, float32 [n, s, s, 3], in [0, 1]; with standardised colours, some values may lie outside.
        """
        if self.architecture.colours == "kept":
            return self._decoded(faces, side)
        faces = ops.convert_to_tensor(faces)
        shares = ops.convert_to_tensor(colours.shares(self.architecture.face_size))
        mean = ops.sum(shares * faces, (1, 2), keepdims=True)
        deviation = ops.sqrt(ops.sum(shares * ops.square(faces - mean), (1, 2), keepdims=True) + colours.FLOOR)
        return colours.original(self._decoded(colours.standard(faces, mean, deviation), side), mean, deviation)

    def _decoded(self, faces: Tensor, side: SideName) -> Tensor:
        return self.decoder(side)(self.encoder(faces, training=True), training=True)

    def side_variables(self, side: SideName) -> dict[str, keras.Variable]:
        """Return the variables that training on one side changes, by name: the encoder's and that side's decoder's."""
        return {**_variables("encoder", self.encoder), **_variables(f"decoder_{side}", self.decoder(side))}

    def variables(self) -> dict[str, keras.Variable]:
        """Return all variables by name, such as `encoder/conv_1/kernel`."""
        return {**self.side_variables("a"), **self.side_variables("b")}

    def tensors(self) -> weights.Tensors:
        """Return copies of all weights as float32 arrays, by name."""
        return {name: np.array(ops.convert_to_numpy(variable.value)) for name, variable in self.variables().items()}

    def assign(self, tensors: weights.Tensors) -> None:
        """Set all weights from tensors by name.

        Raises:
            Unusable: a tensor is missing, unexpected, or of another shape.
        """
        self.architecture.check(tensors)
        for name, variable in self.variables().items():
            variable.assign(tensors[name])

    def to_bytes(self) -> bytes:
        """Encode all weights, with the architecture as metadata, as a safetensors file."""
        return self.architecture.pack(self.tensors())


def build(architecture: Architecture, seed: int = 0, precision: str = "float32", *, shared_blocks: int = 0) -> Network:
    """Build the networks. Kernels are initialized with Glorot uniform values that depend on the seed; biases are 0.

    Args:
        architecture: Sizes of the networks.
        seed: Seed of the initial weights.
        precision: Precision of computations: `float32`, `bfloat16`, or `tensorfloat32`, which builds the same networks
            as `float32` and which the training worker switches on in TensorFlow.
        shared_blocks: Upscale blocks, innermost first, that are the same layers in both decoders. The tensors of the
            network have them twice, equal.
    """
    policy = keras.DTypePolicy(_POLICIES[precision])
    decoder_a = _decoder(architecture, _Block("decoder_a", seed, policy))
    shared = {name: decoder_a.get_layer(name) for name in (f"upscale_{index + 1}" for index in range(shared_blocks))}
    return Network(
        architecture,
        _encoder(architecture, _Block("encoder", seed, policy)),
        decoder_a,
        _decoder(architecture, _Block("decoder_b", seed, policy, shared)),
    )


def load(path: Path, precision: str = "float32") -> Network:
    """Read the networks from a file that contains what `Network.to_bytes` returned.

    Raises:
        Unusable: the file is not a model (NOT_A_MODEL).
    """
    architecture, tensors = unpack(path)
    network = build(architecture, precision=precision)
    network.assign(tensors)
    return network


def pixel_shuffle(maps: Tensor) -> Tensor:
    """Turn groups of four channels into 2x2 pixels: [n, h, w, 4c] -> [n, 2h, 2w, c].

    The input channels are ordered (row, column, c).
    """
    _, height, width, channels = maps.shape
    blocks = ops.reshape(maps, (-1, height, width, 2, 2, channels // 4))
    return ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4, 5)), (-1, 2 * height, 2 * width, channels // 4))


class _Output(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The last convolution, 5x5, of maps whose pixels are still to be shuffled: [n, h, w, 4c] -> [n, 2h, 2w, filters].

    It convolves before it shuffles. A pixel of the result is one of four in its cell, and its 5x5 pixels lie in 3x3
    cells. So a kernel of 3x3 cells with four times the filters gives the same sums. The few filters of an output leave
    most of a CPU's vector registers empty; this takes half the time.

    Args:
        filters: Channels of the result.
        initializer: Initializer of the kernel, [5, 5, c, filters].
        **settings: Name and policy, which every layer has.
    """

    def __init__(self, filters: int, initializer: keras.initializers.Initializer, **settings: object) -> None:
        super().__init__(**settings)
        self._filters = filters
        self._initializer = initializer

    def build(self, shape: tuple[int, ...]) -> None:
        """Make the variables."""
        kernel = (5, 5, shape[-1] // 4, self._filters)
        self.kernel = self.add_weight(shape=kernel, initializer=self._initializer, name="kernel")
        self.bias = self.add_weight(shape=(self._filters,), initializer="zeros", name="bias")

    def call(self, maps: Tensor) -> Tensor:
        """Convolve, then shuffle."""
        sums = ops.conv(maps, _of_cells(ops.convert_to_tensor(self.kernel)), padding="same")
        return pixel_shuffle(ops.add(sums, ops.tile(self.bias, 4)))


def _of_cells(kernel: Tensor) -> Tensor:
    """Turn a kernel of pixels [5, 5, c, f] into one of cells of 2x2 pixels, [3, 3, 4c, 4f]."""
    *_, channels, filters = kernel.shape
    cells = [
        ops.reshape(ops.pad(kernel, ((row, 1 - row), (column, 1 - column), (0, 0), (0, 0))), (3, 2, 3, 2, channels, -1))
        for row in (0, 1)
        for column in (0, 1)
    ]
    return ops.reshape(
        ops.transpose(ops.stack(cells, axis=-2), (0, 2, 1, 3, 4, 5, 6)), (3, 3, 4 * channels, 4 * filters)
    )


@dataclass(frozen=True)
class _Block:
    """Makes the layers of one network. Each layer has a seed of its own, derived from its name.

    A convolution of `shared` is used as it is.
    """

    name: str
    seed: int
    policy: keras.DTypePolicy
    shared: Mapping[str, keras.layers.Layer] = field(default_factory=dict)

    def _initializer(self, layer: str) -> keras.initializers.Initializer:
        digest = hashlib.sha256(f"{self.seed}/{self.name}/{layer}".encode()).digest()
        return keras.initializers.GlorotUniform(seed=int.from_bytes(digest[:4], "little"))

    def convolve(self, maps: Tensor, layer: str, filters: int, kernel: int, stride: int = 1) -> Tensor:
        convolution = self.shared.get(layer) or layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same",
            kernel_initializer=self._initializer(layer),
            dtype=self.policy,
            name=layer,
        )
        return convolution(maps)

    def dense(self, features: Tensor, layer: str, units: int) -> Tensor:
        return layers.Dense(units, kernel_initializer=self._initializer(layer), dtype=self.policy, name=layer)(features)

    def leaky(self, maps: Tensor) -> Tensor:
        return layers.LeakyReLU(negative_slope=SLOPE, dtype=self.policy)(maps)

    def upscale(self, maps: Tensor, layer: str, filters: int) -> Tensor:
        return pixel_shuffle(self.unshuffled(maps, layer, filters))

    def unshuffled(self, maps: Tensor, layer: str, filters: int) -> Tensor:
        return self.leaky(self.convolve(maps, layer, 4 * filters, 3))

    def output(self, maps: Tensor, layer: str, filters: int) -> Tensor:
        return _Output(filters, self._initializer(layer), dtype=self.policy, name=layer)(maps)


def _encoder(architecture: Architecture, block: _Block) -> keras.Model:
    inputs = maps = keras.Input((architecture.face_size, architecture.face_size, 3), dtype="float32")
    for index, filters in enumerate(architecture.encoder_filters, 1):
        maps = block.leaky(block.convolve(maps, f"conv_{index}", filters, 5, 2))
    _, height, width, channels = maps.shape
    features = block.dense(ops.reshape(maps, (-1, height * width * channels)), "dense_1", architecture.bottleneck)
    features = block.dense(features, "dense_2", height * width * channels)
    maps = ops.reshape(features, (-1, height, width, channels))
    return keras.Model(inputs, block.upscale(maps, "upscale", architecture.upscale_filters), name=block.name)


def _decoder(architecture: Architecture, block: _Block) -> keras.Model:
    side = 2 * architecture.inner_side
    inputs = maps = keras.Input((side, side, architecture.upscale_filters), dtype=block.policy.compute_dtype)
    *inner, last = architecture.decoder_filters
    for index, filters in enumerate(inner, 1):
        maps = block.upscale(maps, f"upscale_{index}", filters)
    maps = block.unshuffled(maps, f"upscale_{len(inner) + 1}", last)
    # The sigmoid is computed in float32: near 1, bfloat16 resolves only about one grey level.
    logits = ops.cast(block.output(maps, "output", 3), "float32")
    return keras.Model(inputs, ops.sigmoid(logits), name=block.name)


def _variables(name: str, model: keras.Model) -> dict[str, keras.Variable]:
    return {f"{name}/{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.variables}
