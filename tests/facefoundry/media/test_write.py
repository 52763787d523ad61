"""Writing compression levels and masks."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from facefoundry.errors import Internal, InvalidInput, Unavailable
from facefoundry.media import write
from facefoundry.media.level import Level
from facefoundry.media.read import open_source
from facefoundry.media.write import LevelsWriter, MaskWriter, VideoWriter
from tests.clips import stream_fields
from tests.facefoundry.media import h264

FFPP = (
    Level("raw", "libx264rgb", 0, "gbrp", "medium", "cavlc"),
    Level("c23", "libx264", 23, "yuv444p", "medium"),
    Level("c40", "libx264", 40, "yuv444p", "medium"),
)


def noisy_frames(count: int, width: int, height: int, seed: int = 3) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.integers(0, 6, (count, height, width, 3), dtype=np.uint8)
    return [np.roll(texture, 4 * number, axis=1) // 2 + grain[number] for number in range(count)]


def write_levels(folder: Path, frames: list[NDArray[np.uint8]], rate: tuple[int, int] = (30, 1)) -> dict[str, Path]:
    folder.mkdir()
    height, width = frames[0].shape[:2]
    writer = LevelsWriter(folder, FFPP, rate, width, height)
    for frame in frames:
        writer.write(frame)
    return writer.close()


@pytest.mark.parametrize("size", [(320, 240), (321, 241)])
def test_raw_decodes_to_the_pixels_that_went_in(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = noisy_frames(6, *size)
    paths = write_levels(tmp_path / "out", frames, (30000, 1001))
    with open_source(paths["raw"]) as source:
        assert source.info.frame_rate == (30000, 1001)
        for expected, frame in zip(frames, source, strict=True):
            np.testing.assert_array_equal(frame, expected)


def test_every_level_is_what_the_recipe_says(tmp_path: Path) -> None:
    paths = write_levels(tmp_path / "out", noisy_frames(5, 321, 241))
    expected = {"raw": "gbrp", "c23": "yuv444p", "c40": "yuv444p"}
    for name, pixel_format in expected.items():
        fields = stream_fields(paths[name])
        codec = fields["codec"]
        assert isinstance(codec, tuple)
        assert codec[:3] == ("h264", "High 4:4:4 Predictive", pixel_format)
        assert fields["streams"] == ["video"]
        with open_source(paths[name]) as source:
            assert source.count() == 5
    assert paths["raw"].stat().st_size > paths["c23"].stat().st_size > paths["c40"].stat().st_size


def test_fields_of_stream_and_container_do_not_depend_on_the_content(tmp_path: Path) -> None:
    busy = write_levels(tmp_path / "busy", noisy_frames(9, 160, 120))
    dark = write_levels(tmp_path / "dark", [np.zeros((120, 160, 3), np.uint8)] * 9)
    for name in ("raw", "c23", "c40"):
        assert stream_fields(busy[name]) == stream_fields(dark[name])


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames = noisy_frames(8, 320, 240)
    first = write_levels(tmp_path / "first", frames)
    second = write_levels(tmp_path / "second", frames)
    for name in first:
        assert first[name].read_bytes() == second[name].read_bytes()


def test_bytes_do_not_depend_on_what_memory_held_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    np.save(tmp_path / "frames.npy", np.stack(noisy_frames(12, 320, 240)) + rng.integers(0, 9, (12, 240, 320, 3), "u1"))
    code = (
        "import sys, hashlib, numpy; from pathlib import Path\n"
        "from facefoundry.media.level import Level\n"
        "from facefoundry.media.write import VideoWriter\n"
        "folder = Path(sys.argv[1])\n"
        "level = Level('c23', 'libx264', 23, 'yuv444p', 'medium')\n"
        "writer = VideoWriter(folder / 'out.mp4', level, (25, 1), 320, 240)\n"
        "for frame in numpy.load(folder / 'frames.npy'): writer.write(frame)\n"
        "print(hashlib.sha256(writer.close().read_bytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env={**os.environ, "MALLOC_PERTURB_": perturb},
            capture_output=True,
            check=True,
        ).stdout
        for perturb in ("0", "1", "85", "170")
    }
    assert len(digests) == 1


def test_large_frames_go_to_one_level_after_the_other_and_give_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = noisy_frames(12, 162, 122)
    together = write_levels(tmp_path / "together", frames)
    monkeypatch.setattr(write, "MAX_PARALLEL_PIXELS", 160 * 120)
    (tmp_path / "apart").mkdir()
    writer = LevelsWriter(tmp_path / "apart", FFPP, (30, 1), 162, 122)
    for frame in frames:
        writer.write(frame)
    assert [path.name for path in (tmp_path / "apart").iterdir() if path.stat().st_size > 1000] == ["raw.mp4"]
    assert list(writer.rest()) == [(done, 36) for done in range(13, 37)]
    apart = writer.close()
    assert list(apart) == list(together)
    for name, path in apart.items():
        assert path.read_bytes() == together[name].read_bytes(), name


def test_a_finished_file_keeps_no_encoder(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "c23.mp4", FFPP[1], (30, 1), 64, 48)
    encoder = writer._stream.codec_context
    held = sys.getrefcount(encoder)
    for frame in noisy_frames(3, 64, 48):
        writer.write(frame)
    writer.close()
    assert sys.getrefcount(encoder) < held


def test_odd_sides_are_refused_where_colour_is_stored_at_half_size(tmp_path: Path) -> None:
    level = Level("c23", "libx264", 23, "yuv420p", "medium")
    with pytest.raises(InvalidInput, match="even width and height"):
        LevelsWriter(tmp_path, [level], (25, 1), 321, 240)
    LevelsWriter(tmp_path, [level], (25, 1), 320, 240).close()


def test_an_unknown_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing264"):
        LevelsWriter(tmp_path, [Level("c23", "nothing264", 23, "yuv444p", "medium")], (25, 1), 32, 32)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = LevelsWriter(tmp_path, FFPP, (25, 1), 32, 32)
    with pytest.raises(Internal, match=r"\(32, 33, 3\)"):
        writer.write(np.zeros((32, 33, 3), np.uint8))


@pytest.mark.parametrize("preset", ["ultrafast", "faster", "medium"])
def test_raw_is_exact_where_nothing_can_be_foreseen(tmp_path: Path, preset: str) -> None:
    random = np.random.default_rng(5)
    frames = [random.integers(0, 256, (48, 64, 3), np.uint8), np.zeros((48, 64, 3), np.uint8)]
    frames[1][::2, ::2] = frames[1][1::2, 1::2] = 255
    frames += [random.choice(np.array([0, 255], np.uint8), (48, 64, 3)) for _ in range(3)]
    with VideoWriter(tmp_path / "raw.mp4", replace(FFPP[0], preset=preset), (25, 1), 64, 48) as writer:
        for frame in frames:
            writer.write(frame)
    with open_source(tmp_path / "raw.mp4") as source:
        np.testing.assert_array_equal(list(source), frames)


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
@pytest.mark.parametrize("level", FFPP[:2], ids=["raw", "c23"])
def test_the_coder_is_that_of_the_level_with_every_preset(tmp_path: Path, level: Level, preset: str) -> None:
    pixels: list[list[NDArray[np.uint8]]] = []
    for coder, stated in (("cavlc", 0), ("cabac", 1)):
        path = tmp_path / f"{coder}.mp4"
        with VideoWriter(path, replace(level, coder=coder, preset=preset), (25, 1), 64, 48) as writer:
            for frame in noisy_frames(3, 64, 48):
                writer.write(frame)
        assert h264.pps(h264.parameter_sets(path).pps)["cabac"] == stated
        with open_source(path) as source:
            pixels.append(list(source))
    if level.exact:
        np.testing.assert_array_equal(pixels[0], pixels[1])


@pytest.mark.parametrize("interval", [1, 4, 250])
@pytest.mark.parametrize("level", FFPP[:2], ids=["raw", "c23"])
def test_key_frames_are_no_further_apart_than_the_level_says(tmp_path: Path, level: Level, interval: int) -> None:
    frames = noisy_frames(10, 64, 48)
    with VideoWriter(tmp_path / "made.mp4", replace(level, keyframe_interval=interval), (25, 1), 64, 48) as writer:
        for frame in frames:
            writer.write(frame)
    with av.open(str(tmp_path / "made.mp4")) as container:
        keys = [number for number, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert keys == list(range(0, 10, interval))
    with open_source(tmp_path / "made.mp4") as source:
        decoded = list(source)
    if level.exact:
        np.testing.assert_array_equal(decoded, frames)
    assert len(decoded) == len(frames)


@pytest.mark.parametrize("size", [(160, 120), (161, 121)])
def test_masks_decode_to_exactly_0_and_255(tmp_path: Path, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    masks = [np.where(rng.random(size[::-1]) < share, 255, 0).astype(np.uint8) for share in (0.0, 0.1, 0.5, 1.0)]
    writer = MaskWriter(tmp_path / "masks.mp4", (25, 1), *size)
    for mask in masks:
        writer.write(mask)
    path = writer.close()
    capture = cv2.VideoCapture(str(path))
    with open_source(path) as source:
        for mask, frame in zip(masks, source, strict=True):
            np.testing.assert_array_equal(frame, np.repeat(mask[:, :, None], 3, axis=2))
            np.testing.assert_array_equal(capture.read()[1], frame)
    assert not capture.read()[0]


def test_masks_have_one_plane_and_say_that_its_white_is_255(tmp_path: Path) -> None:
    writer = MaskWriter(tmp_path / "masks.mp4", (25, 1), 160, 120)
    writer.write(np.full((120, 160), 255, np.uint8))
    with av.open(str(writer.close())) as container:
        assert next(container.decode(video=0)).color_range == ColorRange.JPEG
        record = container.streams.video[0].codec_context.extradata
        # The last four bytes of an AVCDecoderConfigurationRecord, ISO/IEC 14496-15; the first of them ends in
        # chroma_format_idc.
        assert record is not None and record[-4] & 3 == 0


def test_a_mask_with_other_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Internal, match="0 and 255"):
        MaskWriter(tmp_path / "masks.mp4", (25, 1), 16, 16).write(np.full((16, 16), 254, np.uint8))


def test_a_full_disk_is_said_and_not_laid_to_the_level() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    with pytest.raises(Unavailable) as caught, VideoWriter(Path("/dev/full"), FFPP[0], (25, 1), 320, 240) as writer:
        for _ in range(200):
            writer.write(noise)
    assert caught.value.reason == "SCRATCH_FULL"
