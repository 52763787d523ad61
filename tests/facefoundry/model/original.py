"""FF++'s networks in Keras 2, with the files that it writes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf
import tf_keras

from facefoundry.model.architecture import Architecture

# All widths differ, so that no two tensors can be taken for each other.
TINY = Architecture((4, 6, 8, 10), 12, 7, (6, 5, 3))
NETWORKS = ("encoder", "decoder_a", "decoder_b")


def keras2(widths: Architecture, kernel: str = "glorot_uniform") -> dict[str, tf_keras.Model]:
    """The Original model of 2018 in plain Keras 2 layers, whose names sort against their order."""
    names = (f"layer_{number}" for number in range(99, 0, -1))

    def layer(kind, *arguments, **options):
        return kind(*arguments, name=next(names), kernel_initializer=kernel, **options)

    def upscale(maps, filters):
        maps = layer(tf_keras.layers.Conv2D, 4 * filters, 3, padding="same")(maps)
        maps = tf_keras.layers.LeakyReLU(alpha=0.1)(maps)
        return tf_keras.layers.Lambda(lambda each: tf.nn.depth_to_space(each, 2))(maps)

    def encoder():
        inputs = maps = tf_keras.Input((64, 64, 3))
        for filters in widths.encoder_filters:
            maps = layer(tf_keras.layers.Conv2D, filters, 5, strides=2, padding="same")(maps)
            maps = tf_keras.layers.LeakyReLU(alpha=0.1)(maps)
        features = layer(tf_keras.layers.Dense, widths.bottleneck)(tf_keras.layers.Flatten()(maps))
        features = layer(tf_keras.layers.Dense, 4 * 4 * widths.encoder_filters[-1])(features)
        maps = tf_keras.layers.Reshape((4, 4, widths.encoder_filters[-1]))(features)
        return tf_keras.Model(inputs, upscale(maps, widths.upscale_filters))

    def decoder():
        inputs = maps = tf_keras.Input((8, 8, widths.upscale_filters))
        for filters in widths.decoder_filters:
            maps = upscale(maps, filters)
        outputs = layer(tf_keras.layers.Conv2D, 3, 5, padding="same", activation="sigmoid")(maps)
        return tf_keras.Model(inputs, outputs)

    return {"encoder": encoder(), "decoder_a": decoder(), "decoder_b": decoder()}


def enlivened(models: dict[str, tf_keras.Model], seed: int) -> dict[str, tf_keras.Model]:
    """Weights and biases that make the output depend on the input."""
    rng = np.random.default_rng(seed)
    for model in models.values():
        model.set_weights(
            [
                rng.normal(0, 0.1 if weight.ndim == 1 else 2 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape)
                for weight in model.get_weights()
            ]
        )
    return models


def saved(models: dict[str, tf_keras.Model], folder: Path) -> dict[str, Path]:
    files = {name: folder / f"{name}.h5" for name in NETWORKS}
    for name, model in models.items():
        model.save_weights(files[name])
    return files


def set_attr(file: h5py.File, name: str, value: object) -> None:
    """Replace an attribute of the file."""
    del file.attrs[name]
    file.attrs[name] = value
