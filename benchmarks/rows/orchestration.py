"""Measures the client's own cost of a run of many pairs, with stages that only sleep or return at once."""

from __future__ import annotations

import asyncio
import resource
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.row import Row, command, cpu_seconds
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord, SequenceRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.run import DatasetRun
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.stages import ExtractedSequence, Stages
from facefoundry.v1 import extractor_pb2

FEW, MANY = 10, 1000
SLEEPING_PAIRS = 40
STAGE_SECONDS = 0.05
MAX_BYTES = 300_000_000
FRAMES = 400  # of a clip; the record has a label for each
LOSSES = 400


def run() -> list[Row]:
    """Return four rows: CPU time per pair, memory, and the duration with 2 and with 4 replicas of each service."""
    _spent(FEW)
    before = _memory()
    few, many = [], []
    for _ in range(3):
        few += [_spent(FEW) / FEW for _ in range(5)]
        many.append(_spent(MANY) / MANY)
    memory = _memory()
    alone = _seconds(1)
    rows = [
        Row(
            f"orchestration, CPU of a pair among {MANY:,}",
            "s/pair",
            statistics.median(few),
            statistics.median(many),
            0.8,
            "no pair lost",
            True,
            f"of a pair among {FEW}; stages that return at once",
        ),
        Row(
            f"orchestration, memory at {MANY:,} pairs",
            "B",
            MAX_BYTES,
            memory,
            1,
            "no pair lost",
            True,
            "reference: the limit; ours: the process's largest resident set, which was "
            f"{before / 1e6:.0f} MB before the first of the {MANY:,} pairs",
        ),
    ]
    for replicas in (2, 4):
        rows.append(
            Row(
                f"orchestration, {SLEEPING_PAIRS} pairs on {replicas} replicas of each service",
                "s",
                alone,
                _seconds(replicas),
                0.8 * replicas,
                "no pair lost",
                True,
                f"one replica; a stage sleeps for {STAGE_SECONDS} s in its service, which runs one stage at a time",
            )
        )
    return rows


def _spent(pairs: int) -> float:
    start = cpu_seconds()
    _run(pairs, replicas=64, seconds=0.0)
    return cpu_seconds() - start


def _seconds(replicas: int) -> float:
    start = time.perf_counter()
    _run(SLEEPING_PAIRS, replicas, STAGE_SECONDS)
    return time.perf_counter() - start


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _run(count: int, replicas: int, seconds: float) -> None:
    """Run a dataset of `count` pairs, in which each clip belongs to two pairs.

    Args:
        count: Number of pairs.
        replicas: Replicas of each service.
        seconds: Duration of each stage.

    Raises:
        RuntimeError: a pair is not done.
    """
    names = [f"{number:04d}" for number in range(count)]
    pairs = [Pair(name, other) for name, other in zip(names, names[1:] + names[:1], strict=True)]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        record = RunRecord("bench", "bench", {})
        recorder = RunRecorder(record, RunFolder(FfppLayout(out).run_folder()), lambda event: None)
        run = DatasetRun(_SleepingStages(recorder, replicas, seconds), recorder, lambda event: None, compare=True)
        records = run.run(pairs, {name: Clip(name, out / f"{name}.mp4") for name in names})
    states = [pair.state for pair in records]
    if states != ["done"] * count:
        raise RuntimeError(f"{states.count('done')} of {count} pairs are done: {records[0].failure}")


class _SleepingStages(Stages):
    """Stages that only sleep. Each service's replicas do one call at a time; the record grows as in a real run.

    Args:
        recorder: Records the run.
        replicas: Replicas of each service.
        seconds: Duration of each stage.
    """

    def __init__(self, recorder: RunRecorder, replicas: int, seconds: float) -> None:
        self._recorder, self._seconds = recorder, seconds
        self._free = {service: threading.Semaphore(replicas) for service in ("extractor", "trainer", "converter")}

    def _work(self, service: str) -> None:
        with self._free[service]:
            time.sleep(self._seconds)

    def raise_if_stopped(self) -> None:
        return

    def stop(self) -> None:
        return

    def extract(self, clip: Clip) -> ExtractedSequence:
        self._work("extractor")
        self._recorder.add_sequence(clip.id, SequenceRecord(f"s3://bench/{clip.id}", FRAMES, "25/1", 1280, 720, FRAMES))
        return ExtractedSequence(clip.id, "", extractor_pb2.Extraction(content_digest=clip.id))

    async def train(self, pair: PairRecord, a: ExtractedSequence, b: ExtractedSequence, *, again: bool = False) -> str:
        await asyncio.to_thread(self._work, "trainer")
        with self._recorder.lock:
            pair.training.losses = [(step, 0.1 / (step + 1), 0.1 / (step + 2)) for step in range(LOSSES)]
        return f"s3://bench/{pair.id}"

    def finish(self, pair: PairRecord) -> None:
        return None

    def upload_model(self, folder: Path) -> str:
        raise NotImplementedError

    def fetch_model(self, pair: PairRecord, model_uri: str, given: Path | None = None) -> None:
        return

    def convert(self, fake: FakeRecord, *_: object) -> None:
        self._work("converter")
        with self._recorder.lock:
            fake.labels = [1] * FRAMES
            fake.frames = fake.swapped = FRAMES

    def take(self, *_: object) -> None:
        return

    def transcode(self, sequence: ExtractedSequence) -> None:
        self._work("converter")

    def compare(self, *_: object) -> None:
        return


if __name__ == "__main__":
    command(run)
