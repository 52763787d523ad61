"""`python -m benchmarks.xla`: the training step in plain Keras with and without XLA on one core, for several widths.

The augmentation is not part of it. Both run in turn, and the smallest CPU time of each counts.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import tensorflow as tf

from benchmarks.reference.training import Pair, Widths
from benchmarks.widths import divided

__all__ = ["main"]

_ROUNDS = 5


def main() -> None:
    """Print a row for each width."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xla", description=__doc__)
    parser.add_argument("--divisors", type=int, nargs="+", default=[32, 16, 8, 4, 2], help="FF++'s widths over it")
    parser.add_argument("--batch", type=int, default=16, help="faces of a batch")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(f"tensorflow {tf.__version__}, batches of {arguments.batch} faces, one thread\n")
    print("| widths | ms an iteration | with XLA | ratio |", "|---|---|---|---|", sep="\n")
    for divisor in arguments.divisors:
        plain, compiled = (1000 * seconds for seconds in _seconds(divisor, arguments.batch))
        print(f"| / {divisor} | {plain:.1f} | {compiled:.1f} | {compiled / plain:.2f} |", flush=True)


def _seconds(divisor: int, batch_size: int) -> tuple[float, float]:
    """Return the CPU times of one iteration without and with XLA."""
    made = divided(divisor, batch_size)
    widths = Widths(made.encoder_filters, made.bottleneck, made.upscale_filters, made.decoder_filters)
    faces = np.random.default_rng(0).random((2, batch_size, 64, 64, 3), np.float32)
    batches = {"a": (faces[0], faces[0]), "b": (faces[1], faces[1])}
    pairs = [Pair(widths), Pair(widths)]
    for pair, xla in zip(pairs, (False, True), strict=True):
        pair.compile(xla=xla, learning_rate=made.learning_rate)
        pair.train_on_batch(0, batches)  # compiles
    spent: list[list[float]] = [[], []]
    for number in range(1, _ROUNDS + 1):
        for pair, times in zip(pairs, spent, strict=True):
            start = time.process_time()
            pair.train_on_batch(number, batches)
            times.append(time.process_time() - start)
    return min(spent[0]), min(spent[1])


if __name__ == "__main__":
    main()
