"""`python -m benchmarks.signing_memory`: how much memory it takes to sign, verify and strip one large video.

The video is a small one with zeros at the end of its media data, so that it has the size that is asked for. Each step
is made in a process of its own without the libraries of videos, whose peak is printed. It needs twice the size on the
disk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from facefoundry import codec
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.provenance import boxes, c2pa_files, credentials
from facefoundry.provenance.signing import sign_dataset

__all__ = ["BAR_MB", "main", "pad"]

BAR_MB = 200
"""Most memory that a process may take, in 10^6 bytes."""
_BLOCK = 1 << 20
_SIDE, _FRAMES = 192, 10


def main(argv: Sequence[str] | None = None) -> int:
    """Print the peaks; return 1 if one is above the bar."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.signing_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", type=int, default=10**9, metavar="BYTES", help="least size of the video")
    size = parser.parse_args(argv).size
    with tempfile.TemporaryDirectory(prefix="signing-memory-") as text:
        folder = Path(text)
        layout = FfppLayout(folder / "large")
        RunFolder(layout.run_folder()).save_run(RunRecord("large", "", {"compression": {"levels": [{"name": "raw"}]}}))
        video, small = layout.real_video("raw", "000"), folder / "small.mp4"
        _write(small)
        video.parent.mkdir(parents=True)
        pad(small, video, size)
        length = video.stat().st_size
        print("| bytes | step | MB of memory at the peak | bar |\n|---|---|---|---|")
        peaks = []
        for step in (_sign, _verify, _strip):
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                peaks.append(pool.submit(_peak, step, folder).result())
            print(f"| {length:,} | {step.__name__.strip('_')} | {peaks[-1]:.0f} | {BAR_MB} |", flush=True)
        if (folder / "plain.mp4").stat().st_size != length:
            raise SystemExit("The stripped file has another size than the unsigned one.")
    return int(max(peaks) > BAR_MB)


def pad(video: Path, padded: Path, size: int) -> None:
    """Write a copy of an MP4 file with zeros at the end of its media data, which no frame uses.

    Args:
        video: The file; its media data are below 4 GiB after this too.
        padded: The file to write.
        size: Its size, bytes; at least that of `video`.
    """
    data = video.read_bytes()
    start = 0
    while data[start + 4 : start + 8] != b"mdat":
        start += int.from_bytes(data[start : start + 4], "big")
    length = int.from_bytes(data[start : start + 4], "big")
    more = size - len(data)
    with padded.open("wb") as sink:
        sink.write(data[:start] + (length + more).to_bytes(4, "big") + data[start + 4 : start + length])
        for done in range(0, more, _BLOCK):
            sink.write(bytes(min(_BLOCK, more - done)))
        sink.write(data[start + length :])


def _write(path: Path) -> None:
    import numpy as np

    from facefoundry import recipes
    from facefoundry.media.level import Level
    from facefoundry.media.write import VideoWriter

    levels = {level.name: level for level in recipes.load("preview").compression.levels}
    level = codec.from_values(Level, recipes.options(levels["raw"]))
    rng = np.random.default_rng(0)
    with VideoWriter(path, level, (25, 1), _SIDE, _SIDE) as writer:
        for _ in range(_FRAMES):
            writer.write(rng.integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8))


def _sign(folder: Path) -> None:
    assert sign_dataset(FfppLayout(folder / "large"), credentials.development(folder / "certificate")) == 1


def _verify(folder: Path) -> None:
    anchors = credentials.roots(folder / "certificate")
    found = c2pa_files.read(FfppLayout(folder / "large").real_video("raw", "000"), anchors)
    assert found is not None and found.state == "Trusted", found


def _strip(folder: Path) -> None:
    boxes.strip(FfppLayout(folder / "large").real_video("raw", "000"), folder / "plain.mp4")


def _peak(step: Callable[[Path], None], folder: Path) -> float:
    """Make a step, and return the most memory that this process has had, in 10^6 bytes."""
    step(folder)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    raise SystemExit(main())
