"""One row for every kind of bad or odd clip: a real extractor and converter over gRPC report what is wrong with it by
status, reason and file, leave nothing half-written, and go on with the next."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import grpc
import numpy as np
import psutil
import pytest
from av.stream import Disposition

from facefoundry.errors import FaceFoundryError
from facefoundry.faces.alignments import Alignments
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from tests.fuzz import clips
from tests.journeys.extractor_and_converter import Services, code_of

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


@pytest.fixture(scope="module")
def services(object_store, tmp_path_factory):
    running = Services(object_store, tmp_path_factory.mktemp("services"))
    yield running
    running.close()


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_a_bad_clip_is_refused(services, tmp_path, row):
    before = services.committed()
    path = row.make(tmp_path)
    if row.at_upload:
        read_before = psutil.Process().io_counters().read_chars
        with pytest.raises(FaceFoundryError) as caught:
            services.upload(path)
        assert caught.value.reason == row.reason and row.names in caught.value.message
        assert str(path) in caught.value.message
        assert psutil.Process().io_counters().read_chars - read_before < 1 << 20, "refused before it is read"
        assert services.committed() == before
        return
    uri = services.upload(path)
    visible = services.committed()
    for call in (services.inspect, services.extract, services.transcode):
        with pytest.raises(FaceFoundryError) as caught:
            call(uri)
        assert (code_of(caught.value), caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, row.reason)
        named = row.names if call != services.inspect else row.names.replace("clip-1", "source", 1)
        assert named in caught.value.message and named in caught.value.resource
        assert str(tmp_path) not in caught.value.message and str(services.scratch) not in caught.value.message
    assert services.committed() == visible
    services.leave_nothing()


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row.name)
def test_an_odd_clip_is_accepted(services, tmp_path, row):
    uri = services.upload(row.make(tmp_path))
    seen = services.inspect(uri)
    assert (seen.frame_count, (seen.width, seen.height)) == (row.frames, row.size)
    assert (seen.frame_rate.numerator, seen.frame_rate.denominator) == row.rate
    if row.faces:
        extraction = services.extract(uri)
        assert (extraction.frame_count, extraction.face_count) == (row.frames, row.faces)
        missing = row.frames - row.faces
        assert [(row.reason, row.frames) for row in extraction.missing] == ([("NO_FACE", missing)] if missing else [])
    else:
        visible = services.committed()
        with pytest.raises(FaceFoundryError) as caught:
            services.extract(uri)
        assert (code_of(caught.value), caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_FACE_FOUND")
        assert "clip-1" in caught.value.message
        assert services.committed() == visible
    assert services.transcode(uri).frame_count == row.frames
    services.leave_nothing()


def test_of_two_faces_the_larger_one_is_the_subject(services, tmp_path):
    extraction = services.extract(services.upload(two_faces(tmp_path)))
    record = manifest.load(services.store, services.store.prefix_of(extraction.uri, "extractions"))
    known = Alignments.from_bytes(manifest.read_part(services.store, record.part("alignments.safetensors")))
    assert (known.boxes[:, 0] > 120).all()


def test_interlaced_frames_are_taken_as_they_are(tmp_path):
    path = video(options={"x264-params": "tff=1:interlaced=1"})(tmp_path)
    with av.open(str(path)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))


def test_a_clip_under_two_names_is_one_source_and_in_two_containers_one_extraction(services, tmp_path):
    first = write(tmp_path / "a.mkv", FACES, codec="ffv1", pixels="bgr0")
    (tmp_path / "b.mkv").write_bytes(first.read_bytes())
    assert services.upload(first) == services.upload(tmp_path / "b.mkv")
    other = write(tmp_path / "c.avi", FACES, codec="ffv1", pixels="bgr0")
    in_mkv, in_avi = services.extract(services.upload(first)), services.extract(services.upload(other))
    assert in_mkv.uri != in_avi.uri and in_mkv.content_digest == in_avi.content_digest


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"sandbox_memory_bytes": 256 << 20}, "MEDIA_MEMORY"), ({"sandbox_seconds": 0.01}, "MEDIA_TIMEOUT")],
)
def test_a_clip_over_the_limits_costs_its_sandbox_and_nothing_else(object_store, tmp_path, limits, reason):
    running = Services(object_store, tmp_path, **limits)
    try:
        bomb = running.upload(pictures(np.zeros((4320, 8192, 3), np.uint8))(tmp_path))
        with pytest.raises(FaceFoundryError) as caught:
            running.extract(bomb)
        assert (code_of(caught.value), caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
        assert caught.value.message.startswith("clip-1: ") and caught.value.resource == "clip-1"
        running.leave_nothing()
        assert not [key for key in running.committed() if key.startswith("extractions/")]
        if reason == "MEDIA_MEMORY":
            assert running.extract(running.upload(video(frames=FACES[:1])(tmp_path))).face_count == 1
    finally:
        running.close()


@pytest.mark.parametrize("call", ["inspect", "extract", "transcode", "convert"])
@pytest.mark.parametrize(
    ("change", "uri", "code", "reason"),
    [
        ({}, "s3://elsewhere/sources/" + "0" * 40, grpc.StatusCode.INVALID_ARGUMENT, "BUCKET_NOT_ALLOWED"),
        ({}, "", grpc.StatusCode.INVALID_ARGUMENT, "URI"),
        ({}, "{ours}", grpc.StatusCode.NOT_FOUND, "NOT_COMMITTED"),
        ({"secret_key": "wrong"}, "{ours}", grpc.StatusCode.PERMISSION_DENIED, "STORE_ACCESS_DENIED"),
        ({"bucket": "there-is-none"}, "{ours}", grpc.StatusCode.NOT_FOUND, "NO_SUCH_BUCKET"),
    ],
    ids=["a bucket of others", "no address", "nothing there", "a wrong key", "no bucket"],
)
def test_a_wrong_address_or_store_is_an_error_of_its_own(services, monkeypatch, call, change, uri, code, reason):
    settings = services.store.settings
    wrong = type(settings)(**{**settings.model_dump(), **change})
    monkeypatch.setattr(services.store, "settings", wrong)
    monkeypatch.setattr(services.store, "bucket", wrong.bucket)
    monkeypatch.setattr(services.store, "_client", Store(wrong)._client)
    with pytest.raises(FaceFoundryError) as caught:
        getattr(services, call)(uri.replace("{ours}", services.store.uri(keys.source("0" * 40))))
    assert (code_of(caught.value), caught.value.reason) == (code, reason)
