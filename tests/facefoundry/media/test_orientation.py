"""The display matrix of a video: all eight orientations, wherever a file states them."""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.filter import Graph

from facefoundry.media.orientation import AS_STORED, Orientation
from facefoundry.media.read import open_source

ONE = 1 << 16
EIGHT = [
    (a, b, c, d) for a, b, c, d in itertools.product((-1, 0, 1), repeat=4) if abs(a * d - b * c) == 1 and a * b == c * d
]
PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def matrix(a, b, c, d, *, scale=ONE, x=0, y=0):
    return struct.pack("=9i", *(int(value * scale) for value in (a, b)), 0, int(c * scale), int(d * scale), 0, x, y, 1)


def shown(picture, a, b, c, d):
    """Put every pixel where the display matrix of ISO/IEC 14496-12 sends it."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    made = np.zeros((to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    made[to_y, to_x] = picture
    return made


@pytest.mark.parametrize("values", EIGHT)
@pytest.mark.parametrize(("scale", "x", "y"), [(ONE, 0, 0), (ONE, 480 << 16, 12 << 16), (ONE // 2, 0, 0)])
def test_each_matrix_sends_pixels_where_the_standard_does(values, scale, x, y):
    assert len(EIGHT) == 8
    orientation = Orientation.of(matrix(*values, scale=scale, x=x, y=y))
    upright = orientation.upright(PICTURE)
    np.testing.assert_array_equal(upright, shown(PICTURE, *values))
    assert orientation.size(6, 4) == (upright.shape[1], upright.shape[0]) and upright.flags.c_contiguous


def test_a_matrix_that_shows_nothing_changes_nothing_and_other_angles_are_rounded():
    assert Orientation.of(matrix(0, 0, 0, 0)) == Orientation.of(matrix(1, 1, 1, 1)) == AS_STORED
    cos, sin = np.cos(np.deg2rad(80)), np.sin(np.deg2rad(80))
    assert Orientation.of(matrix(cos, sin, -sin, cos)) == Orientation(90)


# What ffmpeg does for a rotation, in degrees counter-clockwise, and a mirroring after it: filters of libavfilter.
FFMPEG = {
    (0, False): "null",
    (90, False): "transpose=cclock",
    (180, False): "hflip,vflip",
    (270, False): "transpose=clock",
    (0, True): "hflip",
    (90, True): "transpose=cclock,hflip",
    (180, True): "vflip",
    (270, True): "transpose=clock,hflip",
}
CONTAINERS = [
    ("clip.mp4", "libx264", "yuv444p"),
    ("clip.mov", "libx265", "yuv444p"),
    ("clip.mov", "prores_ks", "yuv422p10le"),
    ("clip.mp4", "mpeg4", "yuv420p"),
    ("clip.mkv", "ffv1", "bgr0"),
    ("clip.webm", "libvpx-vp9", "yuv420p"),
]
# Two encodings of the same pictures must be equal. The AVX-512 code for macroblock trees in x264 165 reads memory that
# nobody wrote, so their bytes differ now and then.
OPTIONS = {"libx264": {"mbtree": "0"}, "libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"}}
STREAMS = ["clip.ts", "clip.avi", "clip.h264"]  # H.264 states the orientation itself, in its first picture


def pictures():
    coarse = np.random.default_rng(2).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return [np.roll(cv2.resize(coarse, (96, 64), interpolation=cv2.INTER_CUBIC), 8 * step, axis=1) for step in range(3)]


def write(path, codec, pixels, turn=0, mirrored=False, *, in_stream=False):
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=OPTIONS.get(codec, {}))
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        stream.codec_context.thread_count = 1
        stated = f"display_orientation=insert:rotate={turn}{':flip=horizontal' if mirrored else ''}"
        if not in_stream:
            stream.set_display_rotation(turn, hflip=mirrored)
        remark = BitStreamFilterContext(f"h264_metadata={stated}", in_stream=stream) if in_stream else None
        for frame in [*pictures(), None]:
            packets = stream.encode(None if frame is None else av.VideoFrame.from_ndarray(frame, format="bgr24"))
            for packet in packets:
                out.mux(remark.filter(packet) if remark else packet)
    return path


def by_ffmpeg(frames, filters):
    graph = Graph()
    chain = [graph.add_buffer(width=96, height=64, format=av.VideoFormat("bgr24"), time_base=Fraction(1, 25))]
    for text in filters.split(","):
        name, _, options = text.partition("=")
        chain.append(graph.add(name, f"dir={options}" if options else ""))
    chain.append(graph.add("buffersink"))
    for before, after in itertools.pairwise(chain):
        before.link_to(after)
    graph.configure()
    for number, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, format="bgr24")
        picture.pts = number
        graph.push(picture)
        pulled = graph.pull()
        assert isinstance(pulled, av.VideoFrame)
        yield pulled.to_ndarray(format="bgr24")


def check(folder, path, codec, pixels, turn, mirrored, *, in_stream=False):
    with open_source(write(folder / path, codec, pixels, turn, mirrored, in_stream=in_stream)) as turned:
        found = list(turned)
        info = turned.info
    with open_source(write(folder / f"plain-{path}", codec, pixels)) as plain:
        assert plain.info.orientation == AS_STORED
        # H.264 mirrors before it turns, and containers after it.
        filters = f"hflip,{FFMPEG[turn, False]}" if in_stream and mirrored else FFMPEG[turn, mirrored]
        expected = list(by_ffmpeg(plain, filters))
    assert len(found) == len(expected) == 3
    for frame, upright in zip(found, expected, strict=True):
        np.testing.assert_array_equal(frame, upright)
    assert (info.width, info.height) == (found[0].shape[1], found[0].shape[0])
    assert info.orientation.mirrored == mirrored


@pytest.mark.parametrize(("path", "codec", "pixels"), CONTAINERS)
@pytest.mark.parametrize(("turn", "mirrored"), FFMPEG)
def test_a_container_is_shown_as_ffmpeg_shows_it(tmp_path, path, codec, pixels, turn, mirrored):
    check(tmp_path, path, codec, pixels, turn, mirrored)


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize(("turn", "mirrored"), FFMPEG)
def test_an_orientation_in_the_stream_holds_for_all_its_frames(tmp_path, path, turn, mirrored):
    check(tmp_path, path, "libx264", "yuv444p", turn, mirrored, in_stream=True)


def jpeg_with(orientation, picture):
    """Return a JPEG whose Exif block states an orientation, 1 to 8."""
    entry = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    block = b"Exif\0\0" + entry
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpg_is_shown_as_its_metadata_says(tmp_path, orientation):
    stored = pictures()[0]
    (tmp_path / "0000.jpg").write_bytes(jpeg_with(orientation, stored))
    with open_source(tmp_path) as source:
        frame = next(iter(source))
    values = [
        (1, 0, 0, 1),
        (-1, 0, 0, 1),
        (-1, 0, 0, -1),
        (1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, 1, -1, 0),
        (0, -1, -1, 0),
        (0, -1, 1, 0),
    ]
    expected = shown(stored, *values[orientation - 1])
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 4
