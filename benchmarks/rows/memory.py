"""Memory of a worker that trains on twice 1,000 faces on a CPU, its checkpoint included."""

from __future__ import annotations

import resource

import numpy as np

from benchmarks.faces import faces
from benchmarks.row import Row, command, cpu_seconds
from facefoundry.model.network import SIDES
from facefoundry.recipes import load
from services.trainer.worker import loop
from services.trainer.worker.checkpoint import State

FACES = 1000
MOST_BYTES = 3_000_000_000


def run() -> list[Row]:
    """One row: the process's largest resident set."""
    start = cpu_seconds()
    loop.configure(threads=1)
    few = faces(64)
    found = {side: np.ascontiguousarray(few[np.arange(FACES) % len(few)]) for side in SIDES}
    training = loop.Training(load("preview").training, found)
    del found
    losses = training.run(2)
    State(training.iteration, training.network.tensors(), training.moments()).to_bytes()
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return [
        Row(
            f"memory of a training, recipe preview, twice {FACES:,} faces",
            "B",
            MOST_BYTES,
            largest,
            1,
            "",
            bool(np.isfinite(losses).all()),
            "the most that is allowed; the process's largest resident set, a checkpoint written",
            cpu_seconds() - start,
        )
    ]


if __name__ == "__main__":
    command(run)
