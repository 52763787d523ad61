"""What reads which file with which version, and what it gives: `python -m tests.readers [NAME ...]`.

The product's writers make the files. Each reader is installed in an environment of its own. The table of
docs/readers.md is printed; with names, the rows of these readers only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.readers import chromium, made, verdict
from tests.readers.made import LARGE, SMALL, WANTED, Frames

_READ = Path(__file__).with_name("read.py")
_HEAD = (
    "reader", "`raw`", "`raw` tagged", "`c23` 480", "`c23` 720", "`c23` 720 tagged", "masks",
    "frame 240 of `raw`", "the same, `keyframe_interval: 10`",
)  # fmt: skip


class Reader(NamedTuple):
    """A library.

    Attributes:
        name: How the table calls it.
        how: Name of its functions in `read.py`.
        packages: What is installed.
        python: The interpreter, where it is not the one that runs.
    """

    name: str
    how: str
    packages: tuple[str, ...]
    python: str = ""


READERS = (
    Reader("OpenCV 5.0.0", "opencv", ("opencv-python-headless==5.0.0.93", "numpy>=2")),
    Reader("OpenCV 4.13.0", "opencv", ("opencv-python-headless==4.13.0.92", "numpy>=2")),
    Reader("OpenCV 4.11.0", "opencv", ("opencv-python-headless==4.11.0.86", "numpy<2")),
    Reader("OpenCV 3.4.18", "opencv", ("opencv-python-headless==3.4.18.65", "numpy<2")),
    Reader("OpenCV 3.4.1", "opencv", ("opencv-python==3.4.1.15", "numpy<2"), "python3.6"),
    Reader("PyAV 18.1.0", "av", ("av==18.1.0", "numpy>=2")),
    Reader("PyAV 12.3.0", "av", ("av==12.3.0", "numpy<2")),
    Reader("decord 0.6.0", "decord", ("decord==0.6.0", "numpy<2")),
    Reader("decord2 3.4.0", "decord", ("decord2==3.4.0", "numpy>=2")),
    Reader("imageio 2.38.1 with PyAV 18.1.0", "imageio", ("imageio==2.38.1", "av==18.1.0", "numpy>=2")),
    Reader("imageio-ffmpeg 0.8.1", "imageio-ffmpeg", ("imageio-ffmpeg==0.8.1", "numpy>=2")),
    Reader("moviepy 2.2.1", "moviepy", ("moviepy==2.2.1",)),
    Reader("torchcodec 0.17.0 with PyAV's FFmpeg", "torchcodec", ("torchcodec==0.17.0",)),
)
_CHROMIUM = "Chromium"


class Files(NamedTuple):
    """The files of the table's columns."""

    raw: tuple[Path, Path]
    small: tuple[Path, Path]
    large: tuple[Path, Path]
    masks: tuple[Path, Frames]
    far: Path
    near: Path


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, help="folder that keeps the environments for the next time")
    parser.add_argument("names", nargs="*", help="readers, such as 'PyAV 18.1.0'")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = Files(
            made.levels(folder, "raw", SMALL),
            made.levels(folder, "c23", SMALL),
            made.levels(folder, "c23", LARGE),
            made.masks(folder),
            made.long(folder, 250),
            made.long(folder, 10),
        )
        print("| " + " | ".join(_HEAD) + " |\n" + "|---" * len(_HEAD) + "|", flush=True)
        for reader in READERS:
            if not given.names or reader.name in given.names:
                print(
                    _row(reader.name, _tried(reader, given.environments or folder / "environments", files)), flush=True
                )
        if not given.names or _CHROMIUM in given.names:
            print(_in_browser(folder, files))


def _tried(reader: Reader, environments: Path, files: Files) -> list[str]:
    """Return the cells of a reader."""
    try:
        python, variables = _environment(reader, environments)
    except (OSError, subprocess.CalledProcessError) as error:
        return [f"not run: {_last_line(error)}"]

    def read(path: Path, number: str = "") -> tuple[Frames, float]:
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "frames.npy"
            command = [python, str(_READ), reader.how, str(path), str(out), *filter(None, [number])]
            done = subprocess.run(command, capture_output=True, check=True, text=True, env={**os.environ, **variables})
            return np.load(out), float(done.stdout.split()[-1])

    return [
        *_cells(lambda path: read(path)[0], files),
        *(_cell(partial(_of_frame, partial(read, path, str(WANTED)))) for path in (files.far, files.near)),
    ]


def _in_browser(folder: Path, files: Files) -> str:
    if not chromium.PROGRAM.exists() or not chromium.DRIVER.exists():
        return _row(_CHROMIUM, ["not run: Debian packages chromium and chromium-driver"])
    with chromium.browse(folder) as browser:
        return _row(f"{_CHROMIUM} {browser.version}", [*_cells(browser.first_frame, files), "", ""])


def _cells(read: Callable[[Path], Frames], files: Files) -> list[str]:
    coloured = (files.small[0], files.large[0], files.large[1])
    return [
        *(_cell(partial(_of_raw, read, path)) for path in files.raw),
        *(_cell(partial(_of_colours, read, path)) for path in coloured),
        _cell(lambda: verdict.of_masks(read(files.masks[0]), files.masks[1])),
    ]


def _of_raw(read: Callable[[Path], Frames], path: Path) -> str:
    return verdict.of_raw(read(path), SMALL)


def _of_colours(read: Callable[[Path], Frames], path: Path) -> str:
    return verdict.of_colours(read(path), path)


def _of_frame(read: Callable[[], tuple[Frames, float]]) -> str:
    return verdict.of_frame(*read())


def _cell(verdict_of: Callable[[], str]) -> str:
    try:
        return verdict_of()
    except (ValueError, subprocess.CalledProcessError) as error:
        return f"fails: {_last_line(error)}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join([*cells, *[""] * (len(_HEAD) - 1 - len(cells))]) + " |"


def _last_line(error: Exception) -> str:
    lines = str(getattr(error, "stderr", None) or error).strip().splitlines()
    lines = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)] or lines
    return lines[-1].replace("|", "/")[:160] if lines else type(error).__name__


def _environment(reader: Reader, folder: Path) -> tuple[str, dict[str, str]]:
    """Make the environment of a reader, if it is not there, and return its Python and what it needs in variables."""
    place = folder / reader.name.split(" with ")[0].replace(" ", "-").lower()
    python = place / "bin" / "python"
    finished = place / "finished"
    if not finished.exists():
        base = shutil.which(reader.python) if reader.python else sys.executable
        if base is None:
            raise FileNotFoundError(f"{reader.python} was not found on PATH")
        options = ["--no-deps"] if reader.how == "torchcodec" else []
        subprocess.run([base, "-m", "venv", str(place)], capture_output=True, check=True, text=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *options, *reader.packages]
        subprocess.run(install, capture_output=True, check=True, text=True)
        finished.touch()
    return str(python), _torch_and_ffmpeg(place) if reader.how == "torchcodec" else {}


def _torch_and_ffmpeg(place: Path) -> dict[str, str]:
    """Return variables by which torchcodec finds the running Python's torch, and PyAV's FFmpeg by its usual names."""
    import av

    packages = Path(av.__file__).parents[1]
    libraries = place / "ffmpeg"
    libraries.mkdir(exist_ok=True)
    for path in (packages / "av.libs").glob("lib*.so.*"):
        name, _, version = path.name.partition(".so.")
        usual = libraries / f"{name.rpartition('-')[0]}.so.{version.split('.')[0]}"
        if not usual.exists():
            usual.symlink_to(path)
    return {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": f"{libraries}:{packages / 'av.libs'}"}


if __name__ == "__main__":
    main()
