"""Measures the network in a conversion: one call for a batch of faces, against Keras's predict() for each frame."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.row import Row, command, interleaved
from facefoundry.model.network import Architecture, build
from facefoundry.model.swap import Swapper

BATCH = 16  # the recipe's


def run() -> list[Row]:
    """Return one row, for FF++'s network with untrained weights."""
    network = build(Architecture(), seed=1)
    swap = Swapper(network.architecture, network.tensors(), "b", BATCH)
    size = network.architecture.face_size
    faces = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), np.uint8)
    inputs = keras.Input((size, size, 3))
    whole = keras.Model(inputs, network.decoder_b(network.encoder(inputs)))
    chosen = 3

    def by_predict() -> list[np.ndarray]:
        return [whole.predict(faces[index : index + 1] / 255.0, verbose=0)[0] for index in range(chosen)]

    timing = interleaved(by_predict, lambda: swap(faces))
    difference = np.abs(np.stack(by_predict()) - swap(faces)[:chosen]).max() * 255
    return [
        Row(
            "network at conversion, FF++'s widths",
            "s/face",
            timing.reference / chosen,
            timing.ours / BATCH,
            6,
            f"{difference:.1g} levels apart at most",
            bool(difference <= 1),
            f"predict() for every face; ours {BATCH} faces a call",
            timing.first_ours,
        )
    ]


if __name__ == "__main__":
    command(run)
