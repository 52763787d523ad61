"""Reading videos, folders and tars."""

from __future__ import annotations

import io
import itertools
import tarfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.media.read import ReadLimits, frame_digest, open_source

Frames = list[NDArray[np.uint8]]


def moving_frames(count: int, width: int, height: int) -> Frames:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(np.roll(texture, 3 * number, axis=1)) for number in range(count)]


def write_h264(
    path: Path, frames: Frames, *, rate: Fraction = Fraction(25), rotation: int = 0, faststart: bool = False
) -> None:
    options = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12", "x264-params": "mbtree=0"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p" if frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0 else "yuv444p"
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode())


def encoded(frame: NDArray[np.uint8], suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, frame)[1])


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(("kind", "rotation"), [("video", 0), ("video", 90), ("pictures", 0)])
def test_frames_that_are_not_wanted_are_black_and_the_others_as_ever(tmp_path: Path, kind: str, rotation: int) -> None:
    path = tmp_path / "clip.mp4"
    if kind == "video":
        write_h264(path, moving_frames(12, 96, 64), rotation=rotation)
    else:
        path.with_suffix("").mkdir()
        path = path.with_suffix("")
        for number, frame in enumerate(moving_frames(12, 96, 64)):
            (path / f"{number}.png").write_bytes(encoded(frame))
    wanted = np.isin(np.arange(10), [1, 2, 6])
    with open_source(path) as source:
        whole, some = list(source), list(source.frames(wanted=wanted))
    assert len(some) == 12
    for number, (frame, received) in enumerate(zip(whole, some, strict=True)):
        np.testing.assert_array_equal(received, frame if number in (1, 2, 6, 10, 11) else np.zeros_like(frame))


@pytest.mark.parametrize("size", [(96, 64), (97, 65)])
def test_a_video_gives_the_pixels_that_opencv_gives(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "clip.mp4"
    write_h264(path, moving_frames(12, *size), rate=Fraction(30000, 1001))
    capture = cv2.VideoCapture(str(path))
    with open_source(path) as source:
        frames = list(source)
        assert source.count() == len(frames) == 12
        assert source.info.frame_rate == (30000, 1001)
        assert (source.info.width, source.info.height, source.info.codec) == (*size, "h264")
    for frame in frames:
        assert frame.flags.c_contiguous and frame.dtype == np.uint8
        np.testing.assert_array_equal(frame, capture.read()[1])


def test_a_source_can_be_read_again_and_from_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_h264(path, moving_frames(10, 64, 48))
    with open_source(path) as source:
        every = [frame_digest(frame) for frame in source]
        assert [frame_digest(frame) for frame in source.frames(4)] == every[4:]
    assert len(set(every)) == 10


def test_the_first_reading_goes_on_where_opening_stopped(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_h264(path, moving_frames(10, 64, 48))
    with open_source(path) as source:
        every = [frame_digest(frame) for frame in source]
    with open_source(path) as source:
        path.unlink()
        assert [frame_digest(frame) for frame in source] == every
        with pytest.raises(Unusable):
            source.count()


@pytest.mark.parametrize(("counter_clockwise", "clockwise"), [(90, 270), (180, 180), (-90, 90)])
def test_the_rotation_a_container_asks_for_is_applied(tmp_path: Path, counter_clockwise: int, clockwise: int) -> None:
    frames = moving_frames(3, 96, 64)
    write_h264(tmp_path / "plain.mp4", frames)
    write_h264(tmp_path / "turned.mp4", frames, rotation=counter_clockwise)
    with open_source(tmp_path / "plain.mp4") as plain, open_source(tmp_path / "turned.mp4") as turned:
        assert turned.info.orientation.rotation == clockwise and plain.info.orientation.rotation == 0
        for upright, frame in zip(plain, turned, strict=True):
            np.testing.assert_array_equal(frame, np.rot90(upright, counter_clockwise // 90))
            assert frame.shape == (turned.info.height, turned.info.width, 3)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    frames = moving_frames(12, 33, 21)
    for number, frame in enumerate(frames, start=1):
        (tmp_path / f"shot_{number}.png").write_bytes(encoded(frame))
    (tmp_path / "notes.txt").write_text("not a frame")
    with open_source(tmp_path, frame_rate=(24, 1)) as source:
        assert source.info.frame_count == source.count() == 12
        assert source.info.frame_rate == (24, 1)
        for expected, frame in zip(frames, source, strict=True):
            np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".jpeg"])
def test_png_jpg_and_bmp_are_frames(tmp_path: Path, suffix: str) -> None:
    frame = moving_frames(1, 40, 30)[0]
    (tmp_path / f"0000{suffix}").write_bytes(encoded(frame, suffix))
    with open_source(tmp_path) as source:
        assert (source.info.width, source.info.height, source.info.frame_rate) == (40, 30, (25, 1))
        difference = np.abs(next(iter(source)).astype(int) - frame)
    assert difference.max() == 0 if suffix in (".png", ".bmp") else difference.mean() < 12


def test_tars_in_any_order_make_one_source(tmp_path: Path) -> None:
    frames = moving_frames(7, 32, 24)
    members = {f"{number:04d}.png": encoded(frame) for number, frame in enumerate(frames)}
    write_tar(tmp_path / "frames-00000.tar", dict(list(members.items())[:4]))
    write_tar(tmp_path / "frames-00001.tar", dict(list(members.items())[4:]))
    with open_source([tmp_path / "frames-00001.tar", tmp_path / "frames-00000.tar"]) as source:
        for expected, frame in zip(frames, source, strict=True):
            np.testing.assert_array_equal(frame, expected)


def test_a_missing_number_is_named(tmp_path: Path) -> None:
    data = encoded(moving_frames(1, 8, 8)[0])
    for number in (8, 9, 11, 12):
        (tmp_path / f"{number}.png").write_bytes(data)
    with pytest.raises(Unusable, match="Frame 10 is missing") as caught:
        open_source(tmp_path)
    assert caught.value.reason == "FRAME_GAP"
    assert caught.value.metadata["missing"] == "10"


def test_a_gap_between_two_tars_is_named(tmp_path: Path) -> None:
    data = encoded(moving_frames(1, 8, 8)[0])
    write_tar(tmp_path / "a.tar", {"0.png": data, "1.png": data})
    write_tar(tmp_path / "b.tar", {"3.png": data})
    with pytest.raises(Unusable, match="Frame 2 is missing"):
        open_source([tmp_path / "a.tar", tmp_path / "b.tar"])


@pytest.mark.parametrize(
    ("names", "reason"),
    [((), "NO_FRAMES"), (("first.png",), "FRAME_NAME"), (("1.png", "01.png"), "FRAME_TWICE")],
)
def test_folders_that_are_no_sequence_are_refused(tmp_path: Path, names: tuple[str, ...], reason: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(encoded(moving_frames(1, 8, 8)[0]))
    with pytest.raises(Unusable) as caught:
        open_source(tmp_path)
    assert caught.value.reason == reason


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(encoded(moving_frames(1, 16, 16)[0]))
    (tmp_path / "1.png").write_bytes(encoded(moving_frames(1, 16, 17)[0]))
    with open_source(tmp_path) as source, pytest.raises(Unusable, match=r"1\.png is 16x17") as caught:
        list(source)
    assert caught.value.reason == "SIZE_CHANGES"


def test_a_picture_that_claims_a_huge_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    data = bytearray(encoded(moving_frames(1, 16, 16)[0]))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    (tmp_path / "0.png").write_bytes(data)
    with pytest.raises(Unusable, match="60000x60000") as caught:
        open_source(tmp_path)
    assert caught.value.reason == "TOO_LARGE"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_the_limit_on_pixels_holds_for_every_kind(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"0{suffix}").write_bytes(encoded(moving_frames(1, 40, 30)[0], suffix))
    open_source(tmp_path, limits=ReadLimits(max_pixels=1200)).close()
    with pytest.raises(Unusable, match="40x30"):
        open_source(tmp_path, limits=ReadLimits(max_pixels=1199))


def test_limits_hold_for_videos(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_h264(path, moving_frames(6, 64, 48))
    with pytest.raises(Unusable) as caught:
        open_source(path, limits=ReadLimits(max_pixels=64 * 48 - 1))
    assert caught.value.reason == "TOO_LARGE"
    with open_source(path, limits=ReadLimits(max_frames=5)) as source, pytest.raises(Unusable, match="more than 5"):
        list(source)


def test_the_pixels_of_all_frames_are_limited_as_they_are_decoded(tmp_path: Path) -> None:
    path, pictures = tmp_path / "clip.mp4", tmp_path / "pictures"
    write_h264(path, moving_frames(6, 64, 48))
    with open_source(path, limits=ReadLimits(max_total=6 * 64 * 48)) as source:
        assert source.count() == 6
    with open_source(path, limits=ReadLimits(max_total=6 * 64 * 48 - 1)) as source:
        frames = iter(source)
        assert len(list(itertools.islice(frames, 5))) == 5
        with pytest.raises(Unusable, match="more than 18431 pixels in all its frames") as caught:
            next(frames)
    assert caught.value.reason == "TOO_LARGE"
    pictures.mkdir()
    for number, frame in enumerate(moving_frames(3, 40, 30)):
        (pictures / f"{number}.png").write_bytes(encoded(frame))
    open_source(pictures, limits=ReadLimits(max_total=3600)).close()
    with pytest.raises(Unusable, match="3600 pixels in all its frames; at most 3599"):
        open_source(pictures, limits=ReadLimits(max_total=3599))


@pytest.mark.parametrize("content", [b"", b"hello, I am text\n" * 100, b"ffconcat version 1.0\nfile other.mp4\n"])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    write_h264(tmp_path / "other.mp4", moving_frames(2, 32, 32))
    with pytest.raises(Unusable) as caught:
        open_source(path)
    assert caught.value.reason == "NOT_A_VIDEO"
    assert str(tmp_path) not in caught.value.message


def test_a_playlist_cannot_make_other_files_be_read(tmp_path: Path) -> None:
    write_h264(tmp_path / "other.mp4", moving_frames(2, 32, 32))
    (tmp_path / "clip.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n")
    with pytest.raises(Unusable) as caught:
        open_source(tmp_path / "clip.m3u8")
    assert caught.value.reason == "NOT_A_VIDEO"


def test_a_video_that_stops_in_the_middle_is_an_error_and_not_a_shorter_clip(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_h264(path, moving_frames(30, 96, 64), faststart=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(Unusable) as caught:
        list(open_source(path))
    assert caught.value.reason == "TRUNCATED"


def test_a_cut_tar_is_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {f"{n}.png": encoded(frame) for n, frame in enumerate(moving_frames(3, 64, 64))})
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(Unusable):
        list(open_source(tmp_path / "a.tar"))


def test_the_digest_of_a_frame_is_the_start_of_its_sha256() -> None:
    assert frame_digest(np.zeros((2, 2, 3), np.uint8)) == 0x15EC7BF0B50732B4


def test_pixels_that_are_not_square_are_not_stretched(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.sample_aspect_ratio = Fraction(2)
        for frame in moving_frames(2, 64, 48):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode())
    assert av.open(str(tmp_path / "clip.mp4")).streams.video[0].sample_aspect_ratio == 2
    with open_source(tmp_path / "clip.mp4") as source:
        assert (source.info.width, source.info.height) == (64, 48) == next(iter(source)).shape[1::-1]
