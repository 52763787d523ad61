"""How fast faces are exported for DeepfakeBench, beside a detector on every frame, which that export does not need.

    python -m benchmarks.exports [PAIRS] [FRAMES]

Both decode the same videos of the demo's faces and write crops of every frame with landmarks. The reference finds the
faces with dlib in every frame, as DeepfakeBench's preprocessing does, predicts 68 points, and cuts the largest by the
same matrix. Both run in this process, one video after the other.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from benchmarks.reference.detection import PlainDlib
from demo.clip import SIZE, frames
from facefoundry.exports.geometry import BENCH_SIZE, bench_matrix
from facefoundry.exports.makers.crops import crops
from facefoundry.exports.makers.decoding import chosen_frames, write_png
from facefoundry.faces.alignments import FOUND, Alignments
from facefoundry.faces.crop import face_matrix
from facefoundry.media.level import Level
from facefoundry.media.write import VideoWriter

_LEVEL = Level("c23", "libx264", 23, "yuv420p", "veryfast")
_SHARE = 1 / 3
"""The export may take at most this part of the reference's time."""


def main(pairs: int, count: int) -> bool:
    """Print the time of both for a number of pairs of videos, and return whether the export is fast enough."""
    plain = PlainDlib()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = [_video(folder / f"{clip}.mp4", clip, count) for clip in ("astronaut", "hopper")]
        alignments = [_alignments(video, count, plain) for video in videos]
        times = {"export": 0.0, "reference": 0.0}
        for _ in range(pairs):
            for video, file in zip(videos, alignments, strict=True):
                # A fake has the frames and the alignments of its target, so a pair is two real videos and two fakes.
                rows = [[frame, frame] for frame in range(count)]
                begun = time.perf_counter()
                (folder / "landmarks").mkdir(exist_ok=True)
                list(crops(name, str(video), str(file), rows, "frames", "landmarks"))
                times["export"] += time.perf_counter() - begun
                begun = time.perf_counter()
                list(_reference(folder / "reference", video, count, plain))
                times["reference"] += time.perf_counter() - begun
    share = times["export"] / times["reference"]
    done = 2 * pairs * count
    print(
        f"{pairs} pairs x {count} frames of {SIZE}x{SIZE}: export {times['export']:.1f} s "
        f"({1000 * times['export'] / done:.1f} ms a frame), detector on every frame {times['reference']:.1f} s "
        f"({1000 * times['reference'] / done:.1f} ms a frame); {share:.3f} of its time, at most {_SHARE:.3f}"
    )
    return share <= _SHARE


def _video(path: Path, clip: str, count: int) -> Path:
    shown = list(islice(frames(clip), count))
    with VideoWriter(path, _LEVEL, (25, 1), SIZE, SIZE) as writer:
        for number in range(count):  # there and back again, if the clip is shorter
            place = number % (2 * len(shown) - 2)
            writer.write(shown[min(place, 2 * len(shown) - 2 - place)])
    return path


def _alignments(video: Path, count: int, plain: PlainDlib) -> Path:
    """Write what an extraction has left: the landmarks of every frame, found once in the first and kept."""
    _, first = next(chosen_frames(str(video), [0]))
    points = np.repeat(plain.faces(first)[:1], count, axis=0).astype(np.float32)
    nothing = np.zeros(count, np.uint64)
    found = Alignments(
        np.zeros((count, 4), np.int32),
        points,
        face_matrix(points),
        np.full(count, FOUND, np.uint8),
        nothing,
        nothing,
        (25, 1),
        SIZE,
        SIZE,
        "",
        "dlib",
    )
    path = video.with_suffix(".safetensors")
    path.write_bytes(found.to_bytes())
    return path


def _reference(folder: Path, video: Path, count: int, plain: PlainDlib) -> Iterator[int]:
    folder.mkdir(exist_ok=True)
    for number, frame in chosen_frames(str(video), list(range(count))):
        for points in plain.faces(frame)[:1]:
            crop = cv2.warpAffine(frame, bench_matrix(points), (BENCH_SIZE, BENCH_SIZE))
            write_png(folder / f"{number:03d}.png", np.asarray(crop, np.uint8))
            np.save(folder / f"{number:03d}.npy", points)
        yield number


if __name__ == "__main__":
    sys.exit(not main(*(int(text) for text in (*sys.argv[1:], "12", "256")[:2])))
