"""decord and torchcodec read the frames of exported videos."""

from __future__ import annotations

from pathlib import Path

import decord
import numpy as np
import pytest

from tests.facefoundry.exports.made import FAKE, FRAMES, REAL

ROOTS = {REAL: "original_sequences/youtube", FAKE: "manipulated_sequences/Deepfakes"}
IDS = {REAL: "crawford", FAKE: "crawford_frames-1"}


def path_of(croissant: Path, red: int) -> Path:
    """Return a video whose frames have red `red`, `red` + 1, and so on."""
    return croissant / ROOTS[red] / "c23" / "videos" / f"{IDS[red]}.mp4"


@pytest.mark.parametrize("red", [REAL, FAKE])
def test_decord_reads_every_frame(croissant: Path, red: int) -> None:
    reader = decord.VideoReader(str(path_of(croissant, red)))
    frames = reader.get_batch(range(FRAMES)).asnumpy()
    assert len(reader) == FRAMES and frames.shape == (FRAMES, 120, 160, 3)
    assert np.abs(frames[..., 0].mean(axis=(1, 2)) - np.arange(red, red + FRAMES)).max() < 3


@pytest.mark.parametrize("red", [REAL, FAKE])
def test_torchcodec_reads_every_frame(croissant: Path, red: int) -> None:
    decoders = pytest.importorskip("torchcodec.decoders", reason="torchcodec comes with locks/face-alignment.txt")
    try:
        decoder = decoders.VideoDecoder(str(path_of(croissant, red)))
    except RuntimeError as error:
        if "Could not load libtorchcodec" not in str(error):
            raise
        pytest.skip("torchcodec needs the libraries of ffmpeg, such as those of Debian")
    frames = decoder[:].numpy()
    assert frames.shape == (FRAMES, 3, 120, 160)
    assert np.abs(frames[:, 0].mean(axis=(1, 2)) - np.arange(red, red + FRAMES)).max() < 3
