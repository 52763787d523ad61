"""Damage in videos and pictures: refused with its place, or tolerated and listed frame by frame."""

from __future__ import annotations

import random

import av
import cv2
import numpy as np
import pytest

from facefoundry.errors import Unusable
from facefoundry.media.extent import missing_bytes
from facefoundry.media.read import open_source
from tests.media_clips import moving, write_video

GOP = {"g": "10", "bf": "0", "crf": "3", "qscale": "2"}
VIDEOS = {
    "h264.mp4": ("libx264", "yuv420p"),
    "h264.mkv": ("libx264", "yuv420p"),
    "h264.ts": ("libx264", "yuv420p"),
    "h264.h264": ("libx264", "yuv420p"),
    "hevc.mp4": ("libx265", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "mpeg2.mpg": ("mpeg2video", "yuv420p"),
    "wmv2.wmv": ("wmv2", "yuv420p"),
    "mjpeg.avi": ("mjpeg", "yuvj420p"),
    "prores.mov": ("prores_ks", "yuv422p10le"),
    "ffv1.mkv": ("ffv1", "bgr0"),
    "png.mov": ("png", "rgb24"),
    "vp8.webm": ("libvpx", "yuv420p"),
}
# Of others a decoder may make a picture of any bytes, and the demuxer may find no frame in them.
NOTICED = ("h264.mp4", "h264.mkv", "mpeg4.avi", "mjpeg.avi", "prores.mov", "ffv1.mkv", "png.mov")
FRAMES = 30


def video(folder, name):
    codec, pixels = VIDEOS[name]
    options = {} if codec == "libvpx" else GOP | ({"slicecrc": "1", "level": "3"} if codec == "ffv1" else {})
    return write_video(folder / name, moving(FRAMES, 160, 96), codec, pixels, options=options)


def packets(path):
    """Return (position in the file, size, time in seconds) of each packet, in the order of the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [
            (packet.pos, packet.size, None if packet.pts is None else float(packet.pts * packet.time_base))
            for packet in container.demux(stream)
            if packet.size
        ]


def spoil(path, number):
    """Overwrite most of the picture that is number `number` in the file, and return its time from the first one."""
    found = packets(path)
    position, size, seconds = found[number]
    data = bytearray(path.read_bytes())
    rng = random.Random(number)
    for place in range(position + size // 3, position + size * 5 // 6):
        data[place] = rng.randrange(256)
    path.write_bytes(data)
    return None if seconds is None else seconds - found[0][2]


@pytest.mark.parametrize("name", VIDEOS)
def test_an_undamaged_video_has_no_damage(tmp_path, name):
    path = video(tmp_path, name)
    with open_source(path) as strict, open_source(path, tolerate_damage=True) as tolerant:
        for expected, frame in zip(strict, tolerant, strict=True):
            np.testing.assert_array_equal(frame, expected)
        assert strict.damaged == tolerant.damaged == set()


@pytest.mark.parametrize("name", NOTICED)
@pytest.mark.parametrize("number", [3, 14])
def test_damage_is_refused_with_its_frame_and_time_or_listed(tmp_path, name, number):
    path = video(tmp_path, name)
    whole = list(open_source(path))
    seconds = spoil(path, number)
    with pytest.raises(Unusable) as caught:
        list(open_source(path))
    assert caught.value.reason == "DAMAGED"
    assert f"in frame {number} ({seconds:.2f} s): " in caught.value.message
    with open_source(path, tolerate_damage=True) as source:
        read = list(source)
        assert len(read) == FRAMES and min(source.damaged) == number
        assert source.damaged <= set(range(number, -(-(number + 1) // 10) * 10)), "the next key frame is a new start"
        for place in set(range(FRAMES)) - source.damaged:
            np.testing.assert_array_equal(read[place], whole[place])


@pytest.mark.parametrize("name", ["ffv1.mkv", "png.mov", "mjpeg.avi"])
def test_a_damaged_last_frame_is_told_as_the_end(tmp_path, name):
    path = video(tmp_path, name)
    spoil(path, FRAMES - 1)
    with pytest.raises(Unusable, match=r"is damaged at its end, in frame 29 \(1\.16 s\)") as caught:
        list(open_source(path))
    assert caught.value.reason == "TRUNCATED"
    with open_source(path, tolerate_damage=True) as source:
        assert len(list(source)) == FRAMES and source.damaged == {FRAMES - 1}


def test_a_raw_stream_has_no_times_but_its_damage_is_refused_and_listed(tmp_path):
    path = video(tmp_path, "h264.h264")
    data = path.read_bytes()
    units = [place for place in range(len(data)) if data.startswith(b"\0\0\1\x41", place)]  # pictures that are not key
    start = units[len(units) // 2] + 400
    path.write_bytes(data[:start] + b"\xf7" * 800 + data[start + 800 :])
    with pytest.raises(Unusable, match=r"is damaged in frame \d+: "):
        list(open_source(path))
    with open_source(path, tolerate_damage=True) as source:
        assert list(source) and source.damaged and 0 not in source.damaged


def without_packets(path, gone):
    """Take packets of 188 bytes out of a transport stream; `gone` are fractions of its length."""
    data = path.read_bytes()
    count = len(data) // 188
    lost = {int(count * place) + step for place in gone for step in range(3)}
    path.write_bytes(b"".join(data[188 * n : 188 * n + 188] for n in range(count) if n not in lost))
    return path


def test_lost_packets_in_the_middle_are_told_as_such(tmp_path):
    path = without_packets(video(tmp_path, "h264.ts"), [0.6])
    with pytest.raises(Unusable) as caught:
        list(open_source(path))
    assert caught.value.reason == "DAMAGED"
    assert "ends within" not in caught.value.message and "data is missing" in caught.value.message
    with open_source(path, tolerate_damage=True) as source:
        read = list(source)
        assert source.damaged and min(source.damaged) > 10 and len(read) >= FRAMES - 1


def test_a_cut_stream_is_damaged_at_its_end_or_is_a_shorter_clip(tmp_path):
    path = video(tmp_path, "h264.ts")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3 // 188 * 188])
    with pytest.raises(Unusable, match="is damaged at its end, in frame") as caught:
        list(open_source(path))
    assert caught.value.reason == "TRUNCATED"
    with open_source(path, tolerate_damage=True) as source:
        count = len(list(source))
        assert FRAMES // 3 < count < FRAMES and max(source.damaged) == count - 1 > len(source.damaged)


@pytest.mark.parametrize("name", ["h264.mkv", "mjpeg.avi", "faststart.mp4"])
def test_a_cut_file_that_states_its_length_can_be_tolerated(tmp_path, name):
    if name == "faststart.mp4":
        path = tmp_path / name
        with (
            av.open(str(path), "w", options={"movflags": "+faststart"}) as out,
            av.open(str(video(tmp_path, "h264.mp4"))) as made,
        ):
            stream = out.add_stream_from_template(made.streams.video[0])
            for packet in made.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    else:
        path = video(tmp_path, name)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(Unusable, match="bytes are missing at its end") as caught:
        open_source(path)
    assert caught.value.reason == "TRUNCATED"
    with open_source(path, tolerate_damage=True) as source:
        assert FRAMES // 3 < len(list(source)) < FRAMES


def test_an_avi_that_states_the_length_of_its_file_is_whole(tmp_path):
    path = video(tmp_path, "mjpeg.avi")
    data = bytearray(path.read_bytes())
    data[4:8] = len(data).to_bytes(4, "little")
    path.write_bytes(data)
    assert missing_bytes(path) == 0
    with open_source(path) as source:
        assert source.count() == FRAMES
    path.write_bytes(data[:-8])
    assert missing_bytes(path) == 16, "cut by as much, it lacks something"
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    path.write_bytes(data[:-8])
    assert missing_bytes(path) == 8


def test_a_second_video_stream_is_named(tmp_path):
    path = write_video(tmp_path / "clip.mkv", moving(5), streams=3)
    with open_source(path) as source:
        assert source.info.other_streams == ("1 (h264, 96x64)", "2 (h264, 96x64)")
        (remark,) = source.info.remarks()
        assert "3 video streams" in remark and "1 (h264, 96x64)" in remark
        assert source.count() == 5


def encoded(suffix, *options):
    return [cv2.imencode(suffix, frame, options)[1].tobytes() for frame in moving(4, 640, 360)]


PICTURES = {
    "jpg": (".jpg", ()),
    "progressive jpg": (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "jpg with restarts": (".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 8)),
    "png": (".png", ()),
}


def folder_of(folder, suffix, data):
    for number, picture in enumerate(data):
        (folder / f"{number:04d}{suffix}").write_bytes(picture)
    return folder


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("where", [0.3, 0.5, 0.9])
def test_a_picture_with_a_hole_is_refused_or_listed(tmp_path, kind, where, capfd):
    suffix, options = PICTURES[kind]
    pictures = encoded(suffix, *options)
    damaged = bytearray(pictures[2])
    start = int((len(damaged) - 1100) * where) + 60
    damaged[start : start + 1024] = bytes(1024)
    pictures[2] = bytes(damaged)
    folder = folder_of(tmp_path, suffix, pictures)
    with open_source(folder) as source, pytest.raises(Unusable) as caught:
        list(source)
    assert caught.value.reason == "NOT_AN_IMAGE"
    assert f"0002{suffix}" in caught.value.message
    with open_source(folder, tolerate_damage=True) as source:
        assert len(list(source)) == 4 and source.damaged == {2}
    assert "Corrupt" not in capfd.readouterr().err


def test_whole_pictures_have_no_damage_and_other_output_stays(tmp_path, capfd):
    for kind, (suffix, options) in PICTURES.items():
        (tmp_path / kind).mkdir()
        with open_source(folder_of(tmp_path / kind, suffix, encoded(suffix, *options)), tolerate_damage=True) as source:
            assert len(list(source)) == 4 and not source.damaged
    assert capfd.readouterr().err == ""


def test_a_picture_without_pixels_repeats_the_one_before_it(tmp_path):
    pictures = encoded(".png")
    pictures[0], pictures[2] = b"notes", pictures[2][:-90]
    folder = folder_of(tmp_path, ".png", pictures)
    with open_source(folder, tolerate_damage=True, frame_rate=(25, 1)) as source:
        frames = list(source)
        assert source.damaged == {0, 2} and (source.info.width, source.info.height) == (640, 360)
    assert not frames[0].any()
    np.testing.assert_array_equal(frames[2], frames[1])
    (tmp_path / "none").mkdir()
    with pytest.raises(Unusable, match="None of the 2 pictures"):
        open_source(folder_of(tmp_path / "none", ".png", [b"notes", b"more"]), tolerate_damage=True)


def test_the_place_of_damage_counts_from_the_first_frame(tmp_path):
    times = [5000 + 40 * number for number in range(30)]
    path = write_video(tmp_path / "clip.mkv", moving(30, 160, 96), times=times, options=GOP)
    spoil(path, 14)
    with pytest.raises(Unusable, match=r"in frame 14 \(0\.56 s\)"):
        list(open_source(path, frame_rate=(50, 1)))
