"""Frames that are missing without an error are reported: by their time stamps and by the length that is stated."""

from __future__ import annotations

import random
from fractions import Fraction

import av
import pytest

from facefoundry.errors import Unusable
from facefoundry.media.packets import PacketTimes
from facefoundry.media.read import open_source
from tests.media_clips import moving, write_video

MILLISECOND = Fraction(1, 1000)
TIMES = list(range(0, 1200, 40))
SHORTER = "Frames may be missing: it states a length of {:.2f} s, but what can be read takes {:.2f} s."
FRAMES = 30
VIDEOS = {
    "clip.wmv": ("wmv2", "yuv420p"),
    "clip.flv": ("flv", "yuv420p"),
    "h264.flv": ("libx264", "yuv420p"),
    "clip.avi": ("mpeg4", "yuv420p"),
    "mjpeg.avi": ("mjpeg", "yuvj420p"),
    "clip.mkv": ("libx264", "yuv420p"),
    "clip.webm": ("libvpx", "yuv420p"),
    "clip.mov": ("libx264", "yuv420p"),
    "clip.ivf": ("libvpx", "yuv420p"),
    "clip.mpg": ("mpeg2video", "yuv420p"),
    "clip.ts": ("libx264", "yuv420p"),
}
# These tell nothing of their end: a clip that ends early is a shorter clip.
ENDLESS = ("clip.mpg", "clip.ts")


def sentences(stamps, *, first=0, **facts):
    return list(PacketTimes(stamps, MILLISECOND, **facts).missing(first))


def test_evenly_spaced_frames_of_the_stated_length_lack_nothing():
    assert sentences(TIMES, stated=Fraction(6, 5)) == []
    assert sentences([4000 + time for time in TIMES], first=4000, stated=Fraction(6, 5)) == []
    assert sentences([0], stated=Fraction(1)) == sentences([], stated=Fraction(1)) == sentences([0, 0]) == []


def test_frames_that_cannot_be_decoded_at_the_beginning_are_counted():
    assert sentences(TIMES, first=40) == ["Its first frame cannot be decoded and will be left out."]
    assert sentences(TIMES, first=400) == ["Its first 10 frames cannot be decoded and will be left out."]
    assert sentences(TIMES, first=None) == []


def test_gaps_are_counted_and_the_first_is_named():
    kept = TIMES[:14] + TIMES[15:20] + TIMES[22:]
    (sentence,) = sentences(kept)
    assert sentence == "3 frames may be missing: its time stamps have gaps, the first after frame 13 (0.52 s)."


def test_uneven_frames_have_no_gaps():
    assert sentences([number * 33 for number in range(60) if number % 4]) == []
    assert sentences([int(number * 33.3 + random.Random(number).uniform(0, 14)) for number in range(60)]) == []


def test_a_length_that_is_stated_is_compared_with_that_of_frames_and_sound():
    assert sentences(TIMES, stated=Fraction(3)) == [SHORTER.format(3, 1.2)]
    assert sentences(TIMES, stated=Fraction(3), sound=(Fraction(-1), Fraction(2))) == []
    assert sentences([0], stated=Fraction(6, 5)) == [SHORTER.format(1.2, 0)]


def packets(path):
    """Return (position in the file, size) of packets; program streams have few positions."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(packet.pos, packet.size) for packet in container.demux(stream) if packet.size and packet.pos]


def damaged(path):
    """Yield the bytes of a file with damage in its first, middle and last frames, and of what is left of it."""
    data, found, rng = path.read_bytes(), packets(path), random.Random(3)
    is_endless = path.name in ENDLESS
    for number in (0, len(found) // 3, len(found) // 2, *(() if is_endless else (-1,))):
        position, size = found[number]
        for start, end in ((position - 16, position + 16), (position - 20, position + size)):
            yield data[:start] + rng.randbytes(end - start) + data[end:]
            yield data[:start] + data[end:]
    for share in () if is_endless else (0.3, 0.7, 0.97):
        yield data[: int(len(data) * share)]


@pytest.mark.parametrize("name", VIDEOS)
def test_no_clip_becomes_shorter_without_a_word(tmp_path, name):
    codec, pixels = VIDEOS[name]
    path = write_video(
        tmp_path / name, moving(FRAMES, 160, 96), codec, pixels, options={"g": "10", "bf": "0", "qscale": "2"}
    )
    assert not open_source(path).info.remarks()
    refused = 0
    for content in list(damaged(path)):
        path.write_bytes(content)
        try:
            with open_source(path) as source:
                assert source.count() >= FRAMES or source.info.remarks()
        except Unusable as error:
            assert error.reason in ("DAMAGED", "TRUNCATED", "NOT_A_VIDEO", "NO_FRAMES")
            refused += 1
    assert refused


def test_time_stamps_of_a_damaged_file_give_no_rate_of_zero(tmp_path):
    path = write_video(tmp_path / "clip.ivf", moving(3), "libvpx", "yuv420p")
    data = bytearray(path.read_bytes())
    second = data.index(b"\1\0\0\0\0\0\0\0", 44 + int.from_bytes(data[32:36], "little"))
    data[second + 5] = 1
    path.write_bytes(data)
    with pytest.raises(Unusable) as caught:
        open_source(path)
    assert caught.value.reason == "FRAME_RATE"
