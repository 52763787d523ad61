"""Measures the peak memory of the processes that do the work: sandboxes on 1080p clips, a worker on 2 x 1,000 faces."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import av

from benchmarks.material import shots, write_clip
from benchmarks.row import Row, command
from facefoundry import codec, recipes
from facefoundry.media.level import Level
from facefoundry.storage.parts import ALIGNMENTS
from facefoundry.work.workspace import Workspace
from services.converter.functions import ConversionOptions, ConvertArgs
from services.extractor.functions import PART_FRAMES, ExtractArgs, ExtractionOptions

FULL_HD = (1920, 1080)
FRAMES, PART = 48, 16
FACES = 1000
MAX_SANDBOX_BYTES, MAX_WORKER_BYTES = 1_500_000_000, 3_000_000_000


def run() -> list[Row]:
    """Return three rows: extraction, conversion and training.

    A clip is measured at two lengths, which shows whether memory grows with the length. Parts and chunks are shorter
    than usual, so that both clips have several; the memory that longer parts would need is added.
    """
    # Imported here, as the measured processes import this module.
    from facefoundry.model.network import Architecture, build
    from services.trainer.worker.warp_grid import CROP_SIZE

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        weights = folder / "weights.safetensors"
        weights.write_bytes(build(Architecture(), seed=1).to_bytes())
        short = write_clip(folder / "short.mp4", [shot.frame for shot in shots(FRAMES, 300.0, FULL_HD)])
        clips = {FRAMES: short, 3 * FRAMES: _repeated(short, folder / "long.mp4", 3)}
        extraction, conversion = {}, {}
        for count, clip in clips.items():
            extraction[count] = _largest("extract", str(clip), str(folder / f"faces-{count}"))
            alignments = Workspace(folder / f"faces-{count}").made_part(ALIGNMENTS)
            fake = folder / f"fake-{count}"
            conversion[count] = _largest("convert", str(clip), str(fake), str(alignments), str(weights))
            shutil.rmtree(fake)
    return [
        _of_clip("extraction", extraction, (PART_FRAMES - PART) * CROP_SIZE * CROP_SIZE * 3),
        _of_clip("conversion with all levels", conversion, 0),
        Row(
            f"memory of a training, recipe preview, twice {FACES:,} faces",
            "B",
            MAX_WORKER_BYTES,
            _largest("train", str(FACES)),
            1,
            "",
            True,
            "the limit; the worker's largest resident set, a checkpoint written",
        ),
    ]


def _of_clip(stage: str, largest: dict[int, int], more: int) -> Row:
    """Return the row of a stage whose memory was measured at two lengths.

    Args:
        stage: Name of the stage.
        largest: Peak memory in bytes by number of frames, the longer clip last.
        more: Memory that a part of the usual length needs in addition, bytes.
    """
    (few, at_few), (many, at_many) = largest.items()
    added = ", and the faces of a full part" if more else ""
    return Row(
        f"memory of {stage}, 1080p, {many} frames",
        "B",
        MAX_SANDBOX_BYTES,
        at_many + more,
        1,
        f"{at_few / 1e6:.0f} MB at {few} frames, {at_many / 1e6:.0f} MB at {many}",
        True,
        f"the limit; a process's largest resident set{added}",
    )


def _repeated(clip: Path, path: Path, times: int) -> Path:
    """Write a video that repeats the coded frames of a clip, and return its path."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        assert stream.duration is not None
        given = [(packet.pts, packet.dts) for packet in packets]
        for time in range(times):
            for packet, (pts, dts) in zip(packets, given, strict=True):
                assert pts is not None and dts is not None
                packet.pts, packet.dts = pts + time * stream.duration, dts + time * stream.duration
                packet.stream = copy
                sink.mux(packet)
    return path


# Each is measured in a process of its own, as a sandbox and a worker are. ru_maxrss would start with the parent's peak.
_PROGRAM = """
import sys
from pathlib import Path
from benchmarks.rows import memory
getattr(memory, sys.argv[1])(*sys.argv[2:])
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")))
"""


def _largest(task: str, *arguments: str) -> int:
    """Run `extract`, `convert` or `train` in a process of its own; return the process's largest resident set, bytes."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM, task, *arguments], stdout=subprocess.PIPE, check=True)
    return int(done.stdout.splitlines()[-1])


def extract(clip: str, folder: str) -> None:
    """Extract a clip, as the extractor's sandbox does."""
    from services.extractor import pipeline

    options = codec.from_values(ExtractionOptions, recipes.options(recipes.load("ffpp").extraction))
    arguments = ExtractArgs(clip_files=(clip,), name="clip", options=options, part_frames=PART)
    for _ in pipeline.extract(arguments, Workspace(Path(folder)).create()):
        pass


def convert(clip: str, folder: str, alignments: str, weights: str) -> None:
    """Convert a clip, as the converter's sandbox does."""
    from services.converter import pipeline

    recipe = recipes.load("ffpp")
    options = codec.from_values(ConversionOptions, recipes.options(recipe.conversion))
    arguments = ConvertArgs(
        clip_files=(clip,),
        frame_rate=None,
        levels=tuple(codec.from_values(Level, recipes.options(level)) for level in recipe.compression.levels),
        alignments=alignments,
        weights=weights,
        decoder="b",
        control=False,
        options=replace(options, chunk_frames=PART),
    )
    for _ in pipeline.convert(arguments, Workspace(Path(folder)).create()):
        pass


def train(count: str) -> None:
    """Train on `count` faces of each side for two iterations, and make a checkpoint."""
    import numpy as np

    from benchmarks.crops import face_crops
    from facefoundry.model.network import SIDES
    from services.trainer.worker import loop
    from services.trainer.worker.checkpoint import State

    loop.configure(threads=1)
    few = face_crops(64)
    found = {side: np.ascontiguousarray(few[np.arange(int(count)) % len(few)]) for side in SIDES}
    training = loop.Training(recipes.load("preview").training, found)
    del found
    training.run(2)
    State(training.iteration, training.network.tensors(), training.moments()).to_bytes()


if __name__ == "__main__":
    command(run)
