"""The network at conversion: a compiled call for a whole window of faces, against Keras's predict() for each frame."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.row import Row, command, interleaved
from facefoundry.model.network import FACE_SIZE, Architecture, build

BATCH = 16  # the recipe's
OPERATIONS = 3.80e9  # of the Original network for a face: two for each multiplication and addition


def run() -> list[Row]:
    """One row, on the Original network with fresh weights."""
    network = build(Architecture(), seed=1)
    swap = network.swapper("b", BATCH)
    faces = np.random.default_rng(0).integers(0, 256, (BATCH, FACE_SIZE, FACE_SIZE, 3), np.uint8)
    inputs = keras.Input((FACE_SIZE, FACE_SIZE, 3))
    whole = keras.Model(inputs, network.decoder_b(network.encoder(inputs)))
    chosen = 2

    def by_predict() -> list[np.ndarray]:
        return [whole.predict(faces[index : index + 1] / 255.0, verbose=0)[0] for index in range(chosen)]

    timing = interleaved(by_predict, lambda: swap(faces), rounds=3)
    square = np.random.default_rng(0).random((2048, 2048), np.float32)
    product = interleaved(lambda: None, lambda: square @ square, rounds=3).ours
    limit = OPERATIONS / (2 * len(square) ** 3 / product)
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
            f"predict() for every face; ours {BATCH} faces a call. As a product of matrices its arithmetic takes "
            f"{limit * 1e3:.0f} ms on this core: {timing.reference / chosen / limit:.1f} times at most",
            timing.first_ours,
        )
    ]


if __name__ == "__main__":
    command(run)
