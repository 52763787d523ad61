"""Measures one pair of 720p clips from the videos to both fakes, without the training, on two cores.

The services' functions work on both clips at the same time. The reference, FF++'s steps, works on one clip after the
other.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
import time
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.material import shots, write_clip
from benchmarks.reference import conversion, extraction, media
from benchmarks.row import Row, command, interleaved
from facefoundry import codec, recipes
from facefoundry.faces.mean_face import MEAN_FACE
from facefoundry.media.level import Level
from facefoundry.model.network import Architecture, Network, build
from facefoundry.process.sandbox import library_variables
from facefoundry.storage.parts import ALIGNMENTS
from facefoundry.work.messages import Result
from facefoundry.work.workspace import Workspace
from services.converter import pipeline as converting
from services.converter.functions import ConversionOptions, ConvertArgs, Letter, TranscodeArgs
from services.extractor import engines
from services.extractor import pipeline as extracting
from services.extractor.functions import ExtractArgs, ExtractionOptions

FRAMES = 160
REFERENCE_FRAMES = 12  # of the same clips: one takes seconds


def run() -> list[Row]:
    """Return one row for extracting, converting and compressing both clips, in seconds per frame of one clip."""
    network = build(Architecture(), seed=1)
    with tempfile.TemporaryDirectory() as scratch, _children() as pool:
        folder = Path(scratch)
        weights = folder / "weights.safetensors"
        weights.write_bytes(network.to_bytes())
        clips, beginnings = (
            [_clip(folder / f"{name}-{count}.mp4", count, face) for name, face in (("a", 200.0), ("b", 220.0))]
            for count in (FRAMES, REFERENCE_FRAMES)
        )
        engine, swaps = engines.load("dlib"), _swaps(network)
        rounds = iter(range(1000))
        swapped, took, busy = 0, math.inf, 0.0

        def ours() -> None:
            nonlocal swapped, took, busy
            start, before = time.perf_counter(), _spent()
            out = folder / f"ours-{next(rounds)}"
            alignments = pool.starmap(_extract, zip(clips, [out / "a", out / "b"], strict=True), 1)
            orders = zip(clips, alignments, [weights] * 2, "ba", [out / "a-b", out / "b-a"], strict=True)
            swapped = min(pool.starmap(_convert, orders, 1))
            now, spent = time.perf_counter() - start, _spent() - before
            took, busy = min((took, busy), (now, spent / (2 * now)))

        def reference() -> None:
            _ffpp(beginnings, engine, swaps, folder / f"reference-{next(rounds)}")

        timing = interleaved(reference, ours, rounds=2, clock=time.perf_counter)
    return [
        Row(
            "one 720p pair without training, two cores",
            "s/frame",
            timing.reference / REFERENCE_FRAMES,
            timing.ours / FRAMES,
            6,
            f"{swapped} of {FRAMES} frames swapped; fidelity as in the rows above",
            swapped == FRAMES,
            "FF++'s steps as shipped with dlib on every frame; ours extracts, then converts, both clips at once; "
            f"cores {busy:.0%} busy",
            timing.first_ours,
        )
    ]


def _children() -> Pool:
    """Start a pool of two processes with one thread each, like the sandboxes of a service on two cores."""
    before = dict(os.environ)
    os.environ |= library_variables(1)
    try:
        return multiprocessing.get_context("spawn").Pool(2)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _spent() -> float:
    """Return the CPU time of the pool's processes, seconds."""
    return float(sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children()))


def _clip(path: Path, count: int, face: float) -> Path:
    return write_clip(path, [shot.frame for shot in shots(count, face)])


def _extract(clip: Path, folder: Path) -> Path:
    """Extract a clip, and return the file of its alignments."""
    options = codec.from_values(ExtractionOptions, recipes.options(recipes.load("ffpp").extraction))
    workspace = Workspace(folder).create()
    for _ in extracting.extract(ExtractArgs(clip_files=(str(clip),), name="clip", options=options), workspace):
        pass
    return workspace.made_part(ALIGNMENTS)


def _convert(clip: Path, alignments: Path, weights: Path, decoder: Letter, folder: Path) -> int:
    """Convert a clip, encode it as a real video, and return the number of swapped frames."""
    recipe = recipes.load("ffpp")
    levels = tuple(codec.from_values(Level, recipes.options(level)) for level in recipe.compression.levels)
    arguments = ConvertArgs(
        clip_files=(str(clip),),
        frame_rate=None,
        levels=levels,
        alignments=str(alignments),
        weights=str(weights),
        decoder=decoder,
        control=False,
        options=codec.from_values(ConversionOptions, recipes.options(recipe.conversion)),
    )
    *_, last = converting.convert(arguments, Workspace(folder / "fake").create())
    assert isinstance(last, Result)
    real = TranscodeArgs(clip_files=arguments.clip_files, frame_rate=None, levels=levels)
    for _ in converting.transcode(real, Workspace(folder / "real").create()):
        pass
    return last.info.swapped_count


def _swaps(network: Network) -> list[keras.Model]:
    """Return the networks from A's faces to B's, and from B's to A's."""
    size = network.architecture.face_size
    inputs = keras.Input((size, size, 3))
    features = network.encoder(inputs)
    return [keras.Model(inputs, decoder(features)) for decoder in (network.decoder_b, network.decoder_a)]


def _ffpp(clips: list[Path], engine: Any, swaps: list[keras.Model], out: Path) -> None:
    """Run FF++'s steps on both clips, one frame after the other, with PNG files between the stages."""
    found = [_ffpp_faces(clip, engine, out / str(index)) for index, clip in enumerate(clips)]
    for index, (faces, swap) in enumerate(zip(found, swaps, strict=True)):
        _ffpp_fake(faces, swap, out / str(index))


def _ffpp_faces(clip: Path, engine: Any, folder: Path) -> list[tuple[Path, Any, Any]]:
    """Write frames and crops; return (file, matrix, landmarks) of each frame with a face."""
    (folder / "frames").mkdir(parents=True)
    (folder / "faces").mkdir()
    tracker, faces = extraction.Tracker(), []
    for path in media.pictures_of(clip, folder / "frames"):
        (frame,) = media.read_pictures([path])
        boxes = [extraction.Corners(*box[:2], *(box[:2] + box[2:])) for box in engine.detect(frame)]
        subject = tracker.follow(boxes)
        assert subject is not None
        left, top, right, bottom = extraction.whole_corners(subject)
        points = extraction.whole_points(engine.landmarks(frame, np.array([left, top, right - left, bottom - top])))
        matrix = extraction.face_matrix(points, MEAN_FACE)
        cv2.imwrite(str(folder / "faces" / path.name), extraction.crop(frame, matrix))
        faces.append((path, matrix, points))
    return faces


def _ffpp_fake(faces: list[tuple[Path, Any, Any]], swap: Any, folder: Path) -> None:
    """Convert every frame twice, as the published script does, then compress fake, mask and real video."""
    for name in ("fake", "mask"):
        (folder / name).mkdir()
    for path, matrix, points in faces:
        (frame,) = media.read_pictures([path])
        once = _ffpp_pass(frame, matrix, points, swap)
        assert once.output is not None
        twice = _ffpp_pass(once.output, matrix, points, swap)
        assert twice.output is not None
        cv2.imwrite(str(folder / "fake" / path.name), twice.output)
        cv2.imwrite(str(folder / "mask" / path.name), cv2.cvtColor(twice.box, cv2.COLOR_GRAY2BGR))
    media.encode_pictures(folder / "mask", folder / "mask.mp4", media.LEVELS["c0"])
    for name, pictures in (("fake", folder / "fake"), ("real", folder / "frames")):
        for label, level in media.LEVELS.items():
            media.encode_pictures(pictures, folder / f"{name}-{label}.mp4", level)


def _ffpp_pass(frame: NDArray[np.uint8], matrix: Any, points: Any, swap: Any) -> conversion.Blend:
    blend = conversion.patch(
        frame, matrix, points, lambda faces: np.asarray(swap.predict(faces, verbose=0)), installed=True
    )
    assert blend is not None
    return blend


if __name__ == "__main__":
    command(run, cores=2)
