"""Clips that are bad or odd, one row for each kind: those that are refused, and those that are accepted."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Disposition

from tests.fuzz import clips

FACES = list(clips.frames())
FLAT = np.full((120, 160, 3), 120, np.uint8)


def write(
    path, frames, *, codec="libx264", pixels="yuv420p", options=None, times=None, container=None, turn=0, rate=25
):
    """Write frames as a video; `times` are milliseconds."""
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=rate, options={"preset": "ultrafast"} | (options or {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="bgr24").reformat(format=pixels)
            if times:
                picture.pts, picture.time_base = times[number], Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    return path


def text(folder):
    (folder / "clip.mp4").write_bytes(b"these are notes\n" * 200)
    return folder / "clip.mp4"


def empty(folder):
    (folder / "clip.mp4").touch()
    return folder / "clip.mp4"


def cut(name, **options):
    def make(folder):
        path = write(folder / name, FACES, **options)
        path.write_bytes(path.read_bytes()[:-200])
        return path

    return make


def without_frames(folder):
    path = write(folder / "clip.mp4", FACES, container={"movflags": "+frag_keyframe+empty_moov"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moof") - 4])
    return path


def sound(folder, cover=False):
    with av.open(str(folder / "clip.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        if cover:
            picture = out.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 160, 120, "yuvj420p"
            picture.disposition = Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if cover:
            out.mux(picture.encode(av.VideoFrame.from_ndarray(FACES[0], format="bgr24").reformat(format="yuvj420p")))
    return folder / "clip.mp4"


def sound_with_a_cover(folder):
    return sound(folder, cover=True)


def unknown_codec(folder):
    path = write(folder / "clip.mp4", FACES)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    return path


def pictures(*frames, names=None, suffix=".png"):
    """A folder of frames; arrays are encoded, bytes are written as they are."""

    def make(folder):
        (folder / "clip").mkdir()
        for number, frame in enumerate(frames):
            data = frame if isinstance(frame, bytes) else cv2.imencode(suffix, frame)[1].tobytes()
            (folder / "clip" / (names[number] if names else f"{number:04d}{suffix}")).write_bytes(data)
        return folder / "clip"

    return make


def png(frame):
    return cv2.imencode(".png", frame)[1].tobytes()


def huge(frame):
    """A picture of a few kilobytes whose header claims 60000x60000: 10 GiB of pixels."""
    data = bytearray(png(frame))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    return bytes(data)


def sparse(folder):
    with (folder / "clip.mp4").open("wb") as file:
        file.truncate(60 << 30)
    return folder / "clip.mp4"


def sparse_picture(folder):
    path = pictures(*FACES[:2])(folder)
    with (path / "0002.png").open("wb") as file:
        file.truncate(60 << 30)
    return path


def pipe(folder):
    os.mkfifo(folder / "clip.mp4")
    return folder / "clip.mp4"


def pipe_among_frames(folder):
    path = pictures(*FACES[:2])(folder)
    os.mkfifo(path / "0002.png")
    return path


def unix_socket(folder):
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("clip.mp4")
    finally:
        os.chdir(here)
    return folder / "clip.mp4"


def dangling_link(folder):
    (folder / "clip.mp4").symlink_to(folder / "gone.mp4")
    return folder / "clip.mp4"


def link_to_itself(folder):
    (folder / "clip").symlink_to(folder / "clip")
    return folder / "clip"


def empty_folder(folder):
    (folder / "clip").mkdir()
    return folder / "clip"


def video(name="clip.mp4", frames=FACES, **options):
    return lambda folder: write(folder / name, frames, **options)


@dataclass(frozen=True)
class Refused:
    """A clip that is refused: where (`upload`, or by the services), why, and what the message names."""

    name: str
    make: Callable[[Path], Path]
    reason: str
    names: str
    at_upload: bool = False


REFUSED = [
    Refused("not a video", text, "NOT_A_VIDEO", "clip-1.mp4"),
    Refused("an empty file", empty, "NOT_A_VIDEO", "clip.mp4", True),
    Refused("a cut mp4 whose index is at its end", cut("clip.mp4"), "TRUNCATED", "clip-1.mp4"),
    Refused(
        "a cut mp4 whose index is first", cut("clip.mp4", container={"movflags": "faststart"}), "TRUNCATED", "clip-1"
    ),
    Refused("a cut mkv", cut("clip.mkv"), "TRUNCATED", "clip-1.mkv"),
    Refused("a cut webm", cut("clip.webm", codec="libvpx"), "TRUNCATED", "clip-1.webm"),
    Refused("a cut avi", cut("clip.avi", codec="mjpeg", pixels="yuvj420p"), "TRUNCATED", "clip-1.avi"),
    Refused("zero frames", without_frames, "NO_FRAMES", "clip-1.mp4"),
    Refused("sound alone", sound, "NOT_A_VIDEO", "clip-1.mp4"),
    Refused("sound with a cover", sound_with_a_cover, "NOT_A_VIDEO", "clip-1.mp4"),
    Refused("a codec nobody knows", unknown_codec, "CODEC", "clip-1.mp4"),
    Refused("1000 and more frames a second", video(rate=5000), "FRAME_RATE", "clip-1.mp4"),
    Refused("an empty folder", empty_folder, "NO_FRAMES", "clip", True),
    Refused("a gap in frame numbers", pictures(*FACES[:3], names=["1.png", "2.png", "4.png"]), "FRAME_GAP", "3", True),
    Refused("a number twice", pictures(*FACES[:2], names=["1.png", "01.png"]), "FRAME_TWICE", "01.png", True),
    Refused("a frame without a number", pictures(FACES[0], names=["face.png"]), "FRAME_NAME", "face.png", True),
    Refused("a picture that says it is huge", pictures(FACES[0], huge(FACES[1])), "TOO_LARGE", "clip-1/000001.png"),
    Refused("a picture that is none", pictures(FACES[0], b"notes"), "NOT_AN_IMAGE", "clip-1/000001.png"),
    Refused("a cut picture", pictures(FACES[0], png(FACES[1])[:-99]), "NOT_AN_IMAGE", "clip-1/000001.png"),
    Refused("pictures of two sizes", pictures(FACES[0], FACES[1][:, :100]), "SIZE_CHANGES", "clip-1/000001.png"),
    Refused("a sparse file of 60 GB", sparse, "TOO_LARGE", "clip.mp4", True),
    Refused("a sparse picture of 60 GB", sparse_picture, "TOO_LARGE", "clip", True),
    Refused("a pipe", pipe, "NOT_A_FILE", "clip.mp4", True),
    Refused("a pipe among the frames", pipe_among_frames, "NOT_A_FILE", "0002.png", True),
    Refused("a socket", unix_socket, "NOT_A_FILE", "clip.mp4", True),
    Refused("a dangling link", dangling_link, "INPUT_FILE", "clip.mp4", True),
    Refused("a link to itself", link_to_itself, "INPUT_FILE", "clip", True),
]


def faces_and_none(folder):
    return write(folder / "clip.mp4", [FLAT, *FACES[:4], FLAT, FLAT, FACES[4]])


def two_faces(folder):
    small = cv2.resize(FACES[0], None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    frames = [np.full((120, 280, 3), 120, np.uint8) for _ in range(4)]
    for number, frame in enumerate(frames):
        frame[:84, :112] = small
        frame[:, 120:] = FACES[number]
    return write(folder / "clip.mp4", frames)


def of_4k(folder):
    frames = [np.full((2160, 4096, 3), 120, np.uint8) for _ in range(2)]
    for number, frame in enumerate(frames):
        frame[:, 600:3480] = cv2.resize(FACES[number], (2880, 2160), interpolation=cv2.INTER_CUBIC)
    return write(folder / "clip.mp4", frames)


@dataclass(frozen=True)
class Accepted:
    """A clip that is odd but accepted: its frames, how many show the subject, and its upright size."""

    name: str
    make: Callable[[Path], Path]
    frames: int = len(FACES)
    faces: int = len(FACES)
    size: tuple[int, int] = (160, 120)
    rate: tuple[int, int] = (25, 1)


ACCEPTED = [
    Accepted("a face in some frames only", faces_and_none, 8, 5),
    Accepted("two faces", two_faces, 4, 4, (280, 120)),
    Accepted("one frame", video(frames=FACES[:1]), 1, 1),
    Accepted("one picture", pictures(FACES[0]), 1, 1),
    Accepted("fewer than 64 faces", video(), 8, 8),
    Accepted("8x8", video(frames=[frame[:8, :8] for frame in FACES[:3]]), 3, 0, (8, 8)),
    Accepted("1x1", video("clip.mkv", [FACES[0][:1, :1]], codec="ffv1", pixels="bgr0"), 1, 0, (1, 1)),
    Accepted("4096x2160", of_4k, 2, 2, (4096, 2160)),
    Accepted("no face at all", video(frames=[FLAT] * 3), 3, 0),
    Accepted("grey", video("clip.mkv", codec="ffv1", pixels="gray")),
    Accepted("10 bit", video(pixels="yuv420p10le")),
    Accepted("16 bit", video("clip.mkv", codec="ffv1", pixels="gbrp16le")),
    Accepted("4:4:4", video(pixels="yuv444p")),
    Accepted("4:2:2 in a mov", video("clip.mov", codec="prores_ks", pixels="yuv422p10le")),
    Accepted("interlaced", video(options={"x264-params": "tff=1:interlaced=1"})),
    Accepted("odd sides", video(frames=[frame[1:, 1:] for frame in FACES], pixels="yuv444p"), size=(159, 119)),
    Accepted("rotated by its container", video(frames=[np.rot90(frame).copy() for frame in FACES], turn=-90)),
    Accepted(
        "a variable frame rate",
        video(times=[0, 40, 100, 120, 300, 310, 500, 600]),
        rate=(25, 2),
    ),
    Accepted("grey pictures", pictures(*[cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in FACES])),
    Accepted("pictures of 16 bit", pictures(*[frame.astype(np.uint16) * 257 for frame in FACES])),
    Accepted("pictures with an alpha channel", pictures(*[cv2.cvtColor(frame, cv2.COLOR_BGR2BGRA) for frame in FACES])),
    Accepted(
        "hidden files among the frames",
        pictures(*FACES[:2], b"x", names=["0000.png", "0001.png", "._0001.png"]),
        2,
        2,
    ),
]
