"""Measures the augmentation of a batch against FF++'s loader, which reads and warps sample by sample.

A tap is one of the 16 pixels of a crop that the two stages read for a pixel of an input or target.
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
from services.trainer.worker import augmentation, composed, loop
from services.trainer.worker.batches import Batches, Composed, TwoStages
from services.trainer.worker.draws import Draws, Sampler
from services.trainer.worker.warp_grid import MARGIN

FACES = 64
SAMPLES = 16
SIZE = 64
TAPS = 2 * SIZE * SIZE * 16  # of an input and its target

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def run() -> list[Row]:
    """Return two rows, in seconds per sample. FF++'s time excludes the drawing of random numbers, ours includes it."""
    loop.configure(threads=1)
    options = load("ffpp").training
    options.batch_size = FACES
    crops, sampler = face_crops(FACES), Sampler(options, "a", FACES)
    draws = sampler.draw(0)
    with tempfile.TemporaryDirectory() as folder:
        load_pairs = _loader(Path(folder), crops, draws)
        return [_composed(load_pairs, crops, sampler), _two_stages(load_pairs, crops, sampler)]


def _composed(load_pairs: Callable[[int], list[Pair]], crops: NDArray[np.uint8], sampler: Sampler) -> Row:
    batches = Composed(crops, sampler, SIZE, MARGIN)
    ours = _batch(batches)
    timing = interleaved(lambda: load_pairs(SAMPLES), ours, rounds=15)
    draws = sampler.draw(0)
    shares = interleaved(ours, lambda: composed.maps(draws, SIZE), rounds=15)
    fidelity, worst = _apart(load_pairs(FACES), ours())
    return Row(
        "augmentation by one composed map, on the host",
        "s/sample",
        timing.reference / SAMPLES,
        timing.ours / FACES,
        15,
        fidelity,
        worst <= 0.5,
        "FF++'s loader turns PNG into float64, applies the similarity, then the warp. "
        f"Making the maps takes {shares.ours / shares.reference:.0%} of our time",
        timing.first_ours,
    )


def _two_stages(load_pairs: Callable[[int], list[Pair]], crops: NDArray[np.uint8], sampler: Sampler) -> Row:
    ours = _batch(TwoStages(crops, sampler, SIZE, MARGIN))
    timing = interleaved(lambda: load_pairs(SAMPLES), ours, rounds=15)
    shares = interleaved(ours, _reading(crops, sampler.draw(0)), rounds=15)
    fidelity, worst = _apart(load_pairs(FACES), ours())
    return Row(
        "augmentation in two stages, compiled",
        "s/sample",
        timing.reference / SAMPLES,
        timing.ours / FACES,
        8,
        fidelity,
        worst <= 0.01,
        "the same loader. "
        f"Reading the {TAPS:,} taps takes {shares.ours / shares.reference:.0%} of our time, "
        f"{shares.ours / FACES / TAPS * 1e9:.1f} ns per tap",
        timing.first_ours,
        reached=4.5,
    )


def _loader(folder: Path, crops: NDArray[np.uint8], draws: Draws) -> Callable[[int], list[Pair]]:
    """Write the faces of a batch, and return FF++'s loader, which makes the first pairs of the batch."""
    paths = [str(folder / f"{index}.png") for index in draws.faces]
    for index, path in zip(draws.faces, paths, strict=True):
        cv2.imwrite(path, crops[index])
    each = [ffpp.Draw(*(values[index] for values in draws[1:])) for index in range(FACES)]

    def load_pairs(count: int) -> list[Pair]:
        pairs = zip(paths[:count], each[:count], strict=True)
        return [ffpp.make_pair(np.asarray(cv2.imread(path), np.uint8), draw) for path, draw in pairs]

    return load_pairs


def _batch(batches: Batches) -> Callable[[], list[NDArray[np.float32]]]:
    """Return a function that makes the first batch, as the training does."""
    finish = tf.function(batches.finish, autograph=False)
    return lambda: [tensor.numpy() for tensor in finish([tf.constant(part) for part in batches.prepare(0)])]


def _apart(expected: list[Pair], found: list[NDArray[np.float32]]) -> tuple[str, float]:
    """Return the mean differences of inputs and targets, grey levels, as text, and the larger one."""
    warped, unwarped = (
        float(np.mean(np.abs(np.stack(pictures) - made))) * 255
        for pictures, made in zip(zip(*expected, strict=True), found, strict=True)
    )
    text = f"mean {warped:.3f} (warped) and {unwarped:.3f} (unwarped) grey levels from cv2"
    return text, max(warped, unwarped)


def _reading(crops: NDArray[np.uint8], draws: Draws) -> Callable[[], object]:
    """Return a function that reads the taps of a batch and does nothing else, compiled."""
    table = ops.convert_to_tensor(augmentation.pack(crops))
    x, y = augmentation.sampling_points(draws, SIZE)
    read = tf.function(
        lambda table, x, y, *draws: augmentation.sample_taps(table, Draws(*draws), x, y),
        jit_compile=True,
        autograph=False,
    )
    tensors = [tf.constant(values) for values in draws]
    return lambda: read(table, x, y, *tensors).numpy()


if __name__ == "__main__":
    command(run)
