"""Measures the augmentation of a batch, compiled, against FF++'s loader, which reads and warps sample by sample.

A tap is one of the 16 pixels of a crop that are read for a pixel of an input or target.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from benchmarks.crops import face_crops
from benchmarks.reference import augmentation as ffpp
from benchmarks.row import Row, command, interleaved
from facefoundry.recipes import load
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker import augmentation, loop

FACES = 64
SAMPLES = 16
TAPS = 2 * 64 * 64 * 16  # of an input and its target


def run() -> list[Row]:
    """Return one row, in seconds per sample. FF++'s time excludes the drawing of random numbers, ours includes it."""
    loop.configure(threads=1)
    options = load("preview").training
    options.batch_size = FACES
    crops = face_crops(FACES)
    training = loop.Training(options, {"a": crops, "b": crops})
    drawn = augmentation.Sampler(options, "a", FACES).draw(0)
    record = augmentation.Draws(*(np.asarray(ops.convert_to_numpy(values)) for values in drawn))
    draws = [ffpp.Draw(*(values[index] for values in record[1:])) for index in range(FACES)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{index}.png") for index in record.faces]
        for index, path in zip(record.faces, paths, strict=True):
            cv2.imwrite(path, crops[index])

        def load_pairs(count: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
            pairs = zip(paths[:count], draws[:count], strict=True)
            return [ffpp.make_pair(np.asarray(cv2.imread(path), np.uint8), draw) for path, draw in pairs]

        def ours() -> list[NDArray[np.float32]]:
            return [tensor.numpy() for tensor in training.batch("a", 0)]

        timing = interleaved(lambda: load_pairs(SAMPLES), ours, rounds=15)
        shares = interleaved(ours, _reading(options, crops), rounds=15)
        pairs = load_pairs(FACES)
    means = [
        float(np.mean(np.abs(np.stack(expected) - found.numpy()))) * 255
        for expected, found in zip(zip(*pairs, strict=True), training.batch("a", 0), strict=True)
    ]
    return [
        Row(
            "augmentation in the compiled step",
            "s/sample",
            timing.reference / SAMPLES,
            timing.ours / FACES,
            8,
            f"mean {means[0]:.3f} (warped) and {means[1]:.3f} (unwarped) grey levels from cv2",
            max(means) <= 0.01,
            "FF++'s loader turns PNG into float64, applies the similarity, then the warp. "
            f"Reading the {TAPS:,} taps takes {shares.ours / shares.reference:.0%} of our time, "
            f"{shares.ours / FACES / TAPS * 1e9:.1f} ns per tap",
            timing.first_ours,
            reached=4.5,
        )
    ]


def _reading(options: TrainingOptions, crops: NDArray[np.uint8]) -> Callable[[], object]:
    """Return a function that reads the taps of a batch and does nothing else, compiled."""
    table = ops.convert_to_tensor(augmentation.pack(crops))
    draws = augmentation.Sampler(options, "a", FACES).draw(0)
    x, y = augmentation.sampling_points(draws, 64)
    read = tf.function(
        lambda table, x, y, *draws: augmentation.sample_taps(table, augmentation.Draws(*draws), x, y),
        jit_compile=True,
        autograph=False,
    )
    return lambda: read(table, x, y, *draws).numpy()


if __name__ == "__main__":
    command(run)
