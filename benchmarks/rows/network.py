"""The network at conversion: one call for a whole window of faces, against Keras's predict() for each frame."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.row import Row, command, interleaved
from facefoundry.model.network import FACE_SIZE, Architecture, build
from facefoundry.model.swap import swapper

BATCH = 16  # the recipe's


def run() -> list[Row]:
    """One row, on the Original network with fresh weights."""
    network = build(Architecture(), seed=1)
    swap = swapper(network.architecture, network.tensors(), "b", BATCH)
    faces = np.random.default_rng(0).integers(0, 256, (BATCH, FACE_SIZE, FACE_SIZE, 3), np.uint8)
    inputs = keras.Input((FACE_SIZE, FACE_SIZE, 3))
    whole = keras.Model(inputs, network.decoder_b(network.encoder(inputs)))
    chosen = 3

    def by_predict() -> list[np.ndarray]:
        return [whole.predict(faces[index : index + 1] / 255.0, verbose=0)[0] for index in range(chosen)]

    timing = interleaved(by_predict, lambda: swap(faces))
    difference = np.abs(np.stack(by_predict()) - swap(faces)[:chosen]).max() * 255
    return [
        Row(
            "network at conversion, Original",
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
