#!/usr/bin/env bash
# Expected: `load_weights` on a `.weights.h5` file of another network fails, as it does for Keras's older `.h5` files.
# Seen: the file has no layer names, only `dense`, `dense_1` and so on, and what it has too much is ignored. The weights
# of a decoder with one block more load without a word, and the layer `rgb` gets those of a middle block. The older
# format raises, or goes by name.
# It matters: deepfake models come as an encoder and two decoders in several sizes. A file of another size, or of a
# network whose blocks were reordered, loads and gives smears, and training goes on from there.
# Run on 2026-11-28 with keras 3.15.1 (JAX backend), h5py 3.16.0, numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 keras==3.15.1 jax==0.10.2 h5py==3.16.0
cd "$work"
venv/bin/python - <<'PY'
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import h5py
import keras
import numpy as np


def decoder(*names: str) -> keras.Model:
    inputs = value = keras.Input((4,))
    for name in names:
        value = keras.layers.Dense(4, name=name)(value)
    return keras.Model(inputs, value)


def kernel(model: keras.Model, layer: str) -> np.ndarray:
    return np.asarray(model.get_layer(layer).kernel)


large, small = decoder("up_1", "up_2", "rgb"), decoder("up_1", "rgb")
large.save_weights("large.weights.h5")
large.save("large.h5")
with h5py.File("large.weights.h5") as file:
    print(f"Keras {keras.__version__}; layers in the file: {list(file['layers'])}")
small.load_weights("large.weights.h5")
taken = [name for name in ("up_1", "up_2", "rgb") if np.array_equal(kernel(small, "rgb"), kernel(large, name))]
print(f"large.weights.h5 into the small decoder: no error; its layer rgb has the weights of {taken}")
try:
    small.load_weights("large.h5")
    older = "no error"
except ValueError as error:
    older = str(error)
print(f"large.h5 into the small decoder: {older}")
if taken != ["up_2"] or "Layer count mismatch" not in older:
    sys.exit("The behaviour has changed: the newer format loaded up_2 as rgb, the older one raised.")
PY
