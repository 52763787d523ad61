"""Frame rates from time stamps, and from what containers state."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from facefoundry.errors import Unusable
from facefoundry.media.rate import Rate, rate_of
from facefoundry.media.read import open_source
from tests.media_clips import moving, write_video

MILLISECOND = Fraction(1, 1000)
MPEG = Fraction(1, 90_000)
NTSC = Fraction(30_000, 1001)


def stamps(rate, count, base=MILLISECOND, jitter=0.0, seed=1):
    noise = random.Random(seed)
    return [round((number / rate + noise.uniform(0, jitter)) / base) for number in range(count)]


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(30), NTSC, Fraction(60), Fraction(24_000, 1001)])
@pytest.mark.parametrize("base", [MILLISECOND, MPEG, Fraction(1, 12_800)])
@pytest.mark.parametrize("count", [40, 1000])
def test_a_stated_rate_that_agrees_is_taken_and_another_one_is_measured(rate, base, count):
    times = stamps(rate, count, base)
    assert rate_of(times, base, [rate]) == Rate(rate, "stated", rate)
    for wrong in (Fraction(1000), rate * 2, rate / 2, Fraction(15), Fraction(120)):
        found = rate_of(times, base, [wrong])
        assert (found.basis, found.stated) == ("measured", wrong)
        assert abs(found.value / rate - 1) < 0.002  # 29.97 of 30, if milliseconds cannot tell them apart
    assert rate_of(times, base, []).value == pytest.approx(rate, rel=0.002)


def test_long_clips_tell_29_97_from_30():
    assert rate_of(stamps(NTSC, 2000), MILLISECOND, [Fraction(30)]) == Rate(NTSC, "measured", Fraction(30))


def test_jitter_of_a_live_recording_hides_no_rate():
    times = stamps(Fraction(10_000, 333), 60, jitter=0.014)
    assert rate_of(times, MILLISECOND, [Fraction(1000)]) == Rate(Fraction(30), "measured", Fraction(1000))
    assert rate_of(times, MILLISECOND, [Fraction(30)]).basis == "stated"


def test_an_unusual_rate_is_measured_as_it_is():
    found = rate_of(stamps(Fraction(27), 900), MILLISECOND, [])
    assert found.basis == "measured" and found.value == pytest.approx(27, rel=1e-4)


def test_lost_frames_leave_the_rate_as_it_is():
    times = stamps(Fraction(25), 200, MPEG)
    del times[50:100], times[100:110]
    assert rate_of(times, MPEG, [Fraction(25)]) == Rate(Fraction(25), "stated", Fraction(25))
    assert rate_of(times, MPEG, [Fraction(50)]) == Rate(Fraction(25), "measured", Fraction(50))


def test_a_second_recording_in_the_same_file_leaves_the_rate_as_it_is():
    times = stamps(Fraction(25), 100, MPEG)
    assert rate_of(times * 3, MPEG, [Fraction(25)]).basis == "stated"


def test_frames_out_of_order_are_sorted():
    times = stamps(Fraction(25), 40)
    shuffled = [times[number] for start in range(0, 40, 4) for number in (start + 3, start + 1, start, start + 2)]
    assert rate_of(shuffled, MILLISECOND, [Fraction(25)]) == Rate(Fraction(25), "stated", Fraction(25))


def test_uneven_frames_have_an_average():
    times = np.cumsum([0, *[40, 60, 20, 180, 10, 190, 100] * 5]).tolist()
    found = rate_of(times, MILLISECOND, [Fraction(30)])
    assert found.basis == "variable" and found.value == pytest.approx(35 / 3, rel=1e-3)
    stated = Fraction(36_000, times[-1] + 40)  # with the length of the last frame, which a container knows
    assert rate_of(times, MILLISECOND, [stated]) == Rate(stated, "variable", stated)


def test_a_camera_that_slows_down_in_the_dark_is_variable():
    times = np.cumsum([0, *[33] * 90, *[41] * 60, *[50] * 60]).tolist()
    assert rate_of(times, MILLISECOND, [Fraction(30)]).basis == "variable"


@pytest.mark.parametrize("times", [[], [7], [7, 7, 7]])
def test_without_times_the_stated_rate_is_taken_and_without_it_the_default(times):
    assert rate_of(times, MILLISECOND, [Fraction(30)]) == Rate(Fraction(30), "stated", Fraction(30))
    assert rate_of(times, MILLISECOND, []) == Rate(Fraction(25), "assumed")


CONTAINERS = [
    ("clip.mp4", "libx264", "yuv420p"),
    ("clip.mov", "mpeg4", "yuv420p"),
    ("clip.mkv", "libx264", "yuv420p"),
    ("clip.webm", "libvpx", "yuv420p"),
    ("clip.avi", "mjpeg", "yuvj420p"),
    ("clip.ts", "libx264", "yuv420p"),
    ("clip.mpg", "mpeg2video", "yuv420p"),
    ("clip.flv", "libx264", "yuv420p"),
    ("clip.wmv", "wmv2", "yuv420p"),
    ("clip.h264", "libx264", "yuv420p"),
    ("clip.m2v", "mpeg2video", "yuv420p"),
]


@pytest.mark.parametrize("rate", [Fraction(25), NTSC, Fraction(60)])
@pytest.mark.parametrize(("name", "codec", "pixels"), CONTAINERS)
def test_an_ordinary_file_of_every_container_states_its_rate(tmp_path, name, codec, pixels, rate):
    with open_source(write_video(tmp_path / name, moving(30), codec, pixels, rate=rate)) as source:
        assert (Fraction(*source.info.frame_rate), source.info.rate_basis) == (rate, "stated")
        assert source.info.remarks() == []
        assert source.count() == 30


def without_default_duration(path):
    """Overwrite the rate that a WebM or Matroska file states with a Void element."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x23\xe3\x83")
    data[at : at + 2] = bytes((0xEC, 0x80 | (2 + data[at + 3] - 0x80)))
    path.write_bytes(data)
    return path


def recorded(folder, name="clip.webm", codec="libvpx"):
    """Write what a browser records: jittering milliseconds, and no rate."""
    times = [int(number * 33.3 + random.Random(number).uniform(0, 14)) for number in range(60)]
    return without_default_duration(write_video(folder / name, moving(60), codec, "yuv420p", times=times))


@pytest.mark.parametrize(("name", "codec"), [("clip.webm", "libvpx"), ("clip.mkv", "libx264")])
def test_a_live_recording_has_the_rate_of_its_time_stamps(tmp_path, name, codec):
    with open_source(recorded(tmp_path, name, codec)) as source:
        assert (source.info.frame_rate, source.info.rate_basis) == ((30, 1), "measured")
        assert source.info.stated_rate == (1000, 1)
        (remark,) = source.info.remarks()
        assert "1000" in remark and "30" in remark
        assert source.count() == 60


@pytest.mark.parametrize("name", ["clip.webm", "clip.mkv", "clip.ts", "clip.flv"])
def test_a_container_that_states_another_rate_than_its_time_stamps_is_measured(tmp_path, name):
    codec = "libvpx" if name.endswith("webm") else "libx264"
    times = [number * 40 for number in range(40)]
    path = write_video(tmp_path / name, moving(40), codec, "yuv420p", rate=Fraction(50), times=times)
    with open_source(path) as source:
        assert source.info.frame_rate == (25, 1)


def test_a_phone_that_slows_down_has_an_average_rate_and_says_so(tmp_path):
    times = np.cumsum([0, *[33] * 20, *[66] * 20]).tolist()
    with open_source(write_video(tmp_path / "clip.mp4", moving(41), "libx264", "yuv420p", times=times)) as source:
        assert source.info.rate_basis == "variable"
        assert Fraction(*source.info.frame_rate) == pytest.approx(20.2, rel=0.02)
        assert "not evenly spaced" in source.info.remarks()[0]


def test_fields_are_no_frames(tmp_path):
    path = write_video(
        tmp_path / "clip.ts", moving(30), "libx264", "yuv420p", options={"x264-params": "tff=1:interlaced=1"}
    )
    with open_source(path) as source:
        assert (source.info.frame_rate, source.count()) == ((25, 1), 30)


def test_a_given_rate_overrides_that_of_the_file(tmp_path):
    path = recorded(tmp_path)
    with open_source(path, frame_rate=(24, 1)) as source:
        assert (source.info.frame_rate, source.info.rate_basis, source.info.stated_rate) == (
            (24, 1),
            "given",
            (1000, 1),
        )
        assert source.info.remarks() == []
    too_slow = write_video(tmp_path / "slow.mkv", moving(3), "ffv1", "bgr0", times=[0, 4000, 8000])
    with pytest.raises(Unusable, match=r"0\.25 frames per second") as caught:
        open_source(too_slow)
    assert caught.value.reason == "FRAME_RATE"
    with open_source(too_slow, frame_rate=(25, 1)) as source:
        assert source.count() == 3
