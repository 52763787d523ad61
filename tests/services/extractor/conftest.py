"""A real portrait and clips made of it, and sandboxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from facefoundry.process.sandbox import Limits
from facefoundry.process.scratch import Scratch
from facefoundry.storage.store import Store
from facefoundry.work.pool import SandboxPool
from services.extractor import engines
from services.extractor.engines import Engine
from tests.services.extractor.importing import Extractor


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    """scikit-image's astronaut, uint8 [512, 512, 3] BGR; her face is about 100 pixels wide at (225, 120)."""
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine `dlib`, loaded once."""
    return engines.load("dlib")


@pytest.fixture(scope="session")
def moving_face(portrait: NDArray[np.uint8]) -> Callable[[int], list[NDArray[np.uint8]]]:
    """Makes frames uint8 [192, 192, 3] in which the face drifts by about a pixel a frame."""

    def frames(count: int) -> list[NDArray[np.uint8]]:
        steps = [(int(20 * np.sin(step / 15)), int(12 * np.cos(step / 11))) for step in range(count)]
        return [np.ascontiguousarray(portrait[25 + dy : 217 + dy, 130 + dx : 322 + dx]) for dx, dy in steps]

    return frames


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[Sequence[NDArray[np.uint8]]], Path]:
    """Writes frames as a folder of numbered PNG files, decoded exactly as given."""

    def write(frames: Sequence[NDArray[np.uint8]], name: str = "frames") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for number, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{number:04d}.png"), frame)
        return folder

    return write


@pytest.fixture
def video_of(tmp_path: Path) -> Callable[[Sequence[NDArray[np.uint8]]], Path]:
    """Writes frames as an H.264 video of 30 frames per second."""

    def write(frames: Sequence[NDArray[np.uint8]], name: str = "clip.mp4") -> Path:
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=30, options={"crf": "12", "preset": "ultrafast"})
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
            container.mux(stream.encode(None))
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scratch folder of the sandboxes of a module's tests."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def pool(scratch: Path) -> Iterator[SandboxPool]:
    """Sandboxes that stay warm from test to test."""
    sandboxes = SandboxPool(Limits(seconds=60, memory_bytes=2 << 30), Scratch("pool", scratch))
    yield sandboxes
    sandboxes.close()


@pytest.fixture
def extractor(store: Store, scratch: Path, pool: SandboxPool) -> Iterator[Extractor]:
    """A real extractor on loopback."""
    running = Extractor(store, scratch, pool)
    yield running
    running.close()
