import io
import struct
import tarfile
import zlib

import cv2
import numpy as np
import pytest

from facefoundry import archive
from facefoundry.errors import DataLoss
from facefoundry.faces import face_tar


def crops(*frames, size=32):
    return {frame: np.random.default_rng(frame).integers(0, 256, (size, size, 3), dtype=np.uint8) for frame in frames}


def test_crops_come_back_exactly_and_in_the_order_of_frames():
    faces = crops(12, 3, 499)
    frames, pictures = face_tar.unpack(face_tar.pack(faces))
    assert frames.tolist() == [3, 12, 499] and frames.dtype == np.int64
    for frame, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(picture, faces[int(frame)])


def test_equal_faces_give_equal_bytes_whatever_the_order_they_were_found_in():
    faces = crops(7, 1, 4)
    assert face_tar.pack(faces) == face_tar.pack(dict(sorted(faces.items())))


def test_a_tar_of_faces_is_a_plain_tar_of_numbered_pngs_without_times_and_owners():
    with tarfile.open(fileobj=io.BytesIO(face_tar.pack(crops(5))), mode="r:") as tar:
        (entry,) = tar.getmembers()
    assert (entry.name, entry.mtime, entry.uid, entry.uname) == ("000005.png", 0, 0, "")


def test_a_tar_without_faces_is_no_error():
    frames, pictures = face_tar.unpack(face_tar.pack({}))
    assert len(frames) == 0 and pictures.shape == (0, 0, 0, 3)


def test_files_of_an_archive_come_back_in_their_order():
    files = {"b.jpg": b"2", "a.jpg": b"1" * 1000}
    assert list(archive.unpack(archive.pack(files)).items()) == list(files.items())


@pytest.mark.parametrize(
    "data",
    [
        b"no tar at all" * 100,
        archive.pack({"000001.png": b"no picture"}),
        archive.pack({"000001.png": b""}),
        archive.pack({"../000001.png": b""}),
        face_tar.pack(crops(1))[:700] + b"\xff" * 20,
    ],
    ids=["not a tar", "not a picture", "empty picture", "path", "cut"],
)
def test_bytes_that_are_no_tar_of_faces_are_data_loss(data):
    with pytest.raises(DataLoss):
        face_tar.unpack(data)


def test_pictures_of_different_sizes_are_data_loss():
    files = archive.unpack(face_tar.pack(crops(1))) | archive.unpack(face_tar.pack(crops(2, size=16)))
    with pytest.raises(DataLoss, match="of equal size"):
        face_tar.unpack(archive.pack(files))


def resized(png: bytes, width: int, height: int) -> bytes:
    """The picture with another size in its header, and its right checksum."""
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def jpeg() -> bytes:
    return cv2.imencode(".jpg", crops(1)[1])[1].tobytes()


def grey() -> bytes:
    return cv2.imencode(".png", crops(1)[1][..., 0])[1].tobytes()


@pytest.mark.parametrize(
    "picture",
    [
        lambda png: resized(png, 1025, 1025),
        lambda png: resized(png, 1 << 30, 1 << 30),
        lambda png: resized(png, 32, 33),
        lambda png: png[:20],
        lambda png: jpeg(),
        lambda png: grey(),
    ],
    ids=["large", "huge", "not square", "cut", "jpeg", "grey"],
)
def test_a_picture_that_is_no_crop_is_refused_before_it_is_decoded(picture, monkeypatch):
    (png,) = archive.unpack(face_tar.pack(crops(1))).values()
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataLoss) as caught:
        face_tar.unpack(archive.pack({"000001.png": picture(png)}))
    assert caught.value.reason == "BAD_FACES"


def test_more_crops_than_a_part_has_are_refused_before_they_are_decoded(monkeypatch):
    (png,) = archive.unpack(face_tar.pack(crops(1))).values()
    decoded = []
    large = resized(png, 1024, 1024)

    def decode(*_):
        decoded.append(1)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(cv2, "imdecode", decode)
    with pytest.raises(DataLoss, match="tar of faces"):
        face_tar.unpack(archive.pack({f"{frame:06d}.png": large for frame in range(501)}))
    assert len(decoded) == 500


def test_frames_out_of_order_are_data_loss():
    files = archive.unpack(face_tar.pack(crops(2))) | archive.unpack(face_tar.pack(crops(1)))
    with pytest.raises(DataLoss, match="ascending"):
        face_tar.unpack(archive.pack(files))
