"""FF++'s training step, run by Keras 2.2.0 itself on TensorFlow 1.10.1.

`benchmarks.keras_step` starts this script with an interpreter of Python 3.6. It uses no newer syntax and imports
nothing of the project. One Adam optimizer is compiled into both autoencoders, as in FF++, and one iteration trains A,
then B.

    python3.6 keras220.py INPUTS.npz OUTPUTS.npz

The input has the initial weights by names such as `encoder/conv_1/kernel`; `widths`, int [n], with the filters of the
encoder's convolutions, the width of the bottleneck, the filters of the encoder's upscale block and of the decoder's;
`rates`, float64 [4], with Adam's learning rate, beta_1, beta_2 and epsilon; `kept`, the iterations after which weights
are returned, ascending; and the batches `a` and `b`, float32 [iterations, 2, n, 64, 64, 3], with inputs and targets.
The output has the losses before each update, float64 [iterations, 2], and weights by names such as
`10/encoder/conv_1/kernel`.
"""

import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def upscale(maps: Any, filters: int, name: str) -> Any:
    """Double the size of maps: a convolution, then a pixel shuffle."""
    maps = layers.LeakyReLU(0.1)(layers.Conv2D(4 * filters, 3, padding="same", name=name)(maps))
    return layers.Lambda(lambda values: tf.depth_to_space(values, 2))(maps)


def networks(widths: Any) -> Any:
    """Return the encoder and the two decoders by name."""
    encoder, (bottleneck, filters), decoder = widths[:4], widths[4:6], widths[6:]
    maps = faces = keras.Input((64, 64, 3))
    for index, width in enumerate(encoder, 1):
        maps = layers.LeakyReLU(0.1)(layers.Conv2D(width, 5, strides=2, padding="same", name=f"conv_{index}")(maps))
    codes = layers.Dense(bottleneck, name="dense_1")(layers.Flatten()(maps))
    codes = layers.Dense(4 * 4 * encoder[-1], name="dense_2")(codes)
    made = {"encoder": keras.Model(faces, upscale(layers.Reshape((4, 4, encoder[-1]))(codes), filters, "upscale"))}
    for side in "ab":
        maps = code = keras.Input((8, 8, filters))
        for index, width in enumerate(decoder, 1):
            maps = upscale(maps, width, f"upscale_{index}")
        output = layers.Conv2D(3, 5, padding="same", activation="sigmoid", name="output")(maps)
        made["decoder_" + side] = keras.Model(code, output)
    return made


def variables(made: Any) -> Any:
    """Return all weights by name."""
    return {
        f"{network}/{layer.name}/{name}": weight
        for network, model in made.items()
        for layer in model.layers
        for name, weight in zip(("kernel", "bias"), layer.weights)  # noqa: B905  strict is of Python 3.10
    }


def main() -> None:
    """Train as the module's docstring says."""
    inputs, outputs = sys.argv[1:]
    given = np.load(inputs)
    threads = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    keras.backend.set_session(tf.Session(config=threads))
    made = networks([int(width) for width in given["widths"]])
    weights = variables(made)
    keras.backend.batch_set_value([(weight, given[name]) for name, weight in weights.items()])
    rate, beta_1, beta_2, epsilon = (float(value) for value in given["rates"])
    adam = keras.optimizers.Adam(lr=rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
    pairs = []
    for side in "ab":
        faces = keras.Input((64, 64, 3))
        model = keras.Model(faces, made["decoder_" + side](made["encoder"](faces)))
        model.compile(optimizer=adam, loss="mean_absolute_error")
        pairs.append((model, given[side]))
    found: Any = {}
    losses = []
    for iteration in range(len(given["a"])):
        losses.append([model.train_on_batch(*batches[iteration]) for model, batches in pairs])
        if iteration + 1 in given["kept"]:
            values = keras.backend.batch_get_value(list(weights.values()))
            found.update(zip((f"{iteration + 1}/{name}" for name in weights), values))  # noqa: B905
    save: Any = np.savez
    save(outputs, losses=np.array(losses, np.float64), **found)


if __name__ == "__main__":
    main()
