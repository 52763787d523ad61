import json
from dataclasses import replace

import numpy as np
import pytest

from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.faces import alignments
from facefoundry.faces.alignments import BAD_LANDMARKS, FOUND, NO_FACE, Alignments
from facefoundry.faces.crop import face_matrix


def made(n=7, identity=True, seed=0):
    random = np.random.default_rng(seed)
    landmarks = np.trunc(random.uniform(0, 400, (n, 68, 2))).astype(np.float32)
    faces = Alignments(
        boxes=random.integers(0, 400, (n, 4)).astype(np.int32),
        landmarks=landmarks,
        matrices=face_matrix(landmarks),
        reasons=np.zeros(n, np.uint8),
        frame_digests=random.integers(0, 1 << 63, n).astype(np.uint64) * np.uint64(2),
        crop_digests=random.integers(0, 1 << 63, n).astype(np.uint64),
        frame_rate=(30000, 1001),
        width=640,
        height=360,
        decoder="decoder 1",
        engine="engine 2",
        embeddings=random.normal(size=(n, 128)).astype(np.float32) if identity else None,
    )
    faces.reasons[2:3], faces.reasons[5:6] = NO_FACE, BAD_LANDMARKS
    for array in (faces.boxes, faces.landmarks, faces.matrices):
        array[faces.reasons != FOUND] = 0
    return faces


def assert_equal(first, other):
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


@pytest.mark.parametrize("identity", [True, False])
def test_bytes_give_the_same_alignments_back(identity):
    faces = made(identity=identity)
    assert_equal(Alignments.from_bytes(faces.to_bytes()), faces)


def test_equal_alignments_give_equal_bytes_every_time():
    assert len({made().to_bytes() for _ in range(20)}) == 1


def test_parts_join_to_the_whole_and_keep_its_content_digest():
    whole = made(n=9)
    cuts = [slice(0, 4), slice(4, 5), slice(5, 9)]
    arrays = [name for name, value in vars(whole).items() if isinstance(value, np.ndarray)]
    parts = [replace(whole, **{name: getattr(whole, name)[cut] for name in arrays}) for cut in cuts]
    joined = alignments.concatenate(parts)
    assert_equal(joined, whole)
    assert joined.content_digest() == whole.content_digest()


@pytest.mark.parametrize("name", ["boxes", "landmarks", "reasons", "frame_digests", "crop_digests"])
def test_the_content_digest_moves_with_every_array_it_covers(name):
    faces = made()
    array = getattr(faces, name).copy()
    array.flat[0] += 1
    assert replace(faces, **{name: array}).content_digest() != faces.content_digest()


def test_the_content_digest_stands_above_builds_and_embeddings():
    faces = made()
    same = replace(faces, decoder="other", engine="other", embeddings=None)
    assert same.content_digest() == faces.content_digest()


def test_parts_of_different_sequences_do_not_join():
    with pytest.raises(ValueError, match="one sequence"):
        alignments.concatenate([made(), replace(made(), width=8)])
    with pytest.raises(ValueError, match="every part or in none"):
        alignments.concatenate([made(), made(identity=False)])
    with pytest.raises(ValueError, match="at least one"):
        alignments.concatenate([])


def test_missing_frames_are_counted_by_reason():
    assert made().missing() == {"NO_FACE": 1, "BAD_LANDMARKS": 1}
    assert made().found.tolist() == [True, True, False, True, True, False, True]


def test_faceswaps_json_has_the_form_of_2018():
    faces = made(n=3)
    record = json.loads(json.dumps(faces.to_faceswap(["000.png", "001.png", "002.png"])))
    (face,) = record["000.png"]
    assert list(face) == ["r", "x", "w", "y", "h", "landmarksXY"]
    assert [face["x"], face["y"], face["w"], face["h"]] == faces.boxes[0].tolist() and face["r"] == 0
    assert face["landmarksXY"] == faces.landmarks[0].tolist() and len(face["landmarksXY"]) == 68
    assert all(isinstance(value, int) for point in face["landmarksXY"] for value in point)
    assert record["002.png"] == []


def test_faceswaps_json_comes_back_with_the_same_geometry():
    faces = made()
    record = json.loads(json.dumps(faces.to_faceswap([f"{frame:03d}.png" for frame in range(len(faces))])))
    back = alignments.from_faceswap(record, frame_rate=(30000, 1001), width=640, height=360)
    np.testing.assert_array_equal(back.boxes, faces.boxes)
    np.testing.assert_array_equal(back.landmarks, faces.landmarks)
    np.testing.assert_allclose(back.matrices, faces.matrices, atol=1e-12)
    assert back.reasons.tolist() == [FOUND, FOUND, NO_FACE, FOUND, FOUND, NO_FACE, FOUND]


def test_fractions_of_landmarks_survive_faceswaps_json():
    faces = made(n=2)
    faces.landmarks[0, 0] = 12.25, 8.0
    record = faces.to_faceswap(["a", "b"])
    assert record["a"][0]["landmarksXY"][0] == [12.25, 8]


@pytest.mark.parametrize("face", [{"x": 1}, {"r": 0, "x": 1, "y": 1, "w": 1, "h": 1, "landmarksXY": [[0, 0]]}, "text"])
def test_another_json_is_refused_by_the_name_of_the_frame(face):
    with pytest.raises(InvalidInput, match=r"'0007\.png'"):
        alignments.from_faceswap({"0007.png": [face]}, frame_rate=(25, 1), width=8, height=8)


def test_a_face_of_a_turned_frame_is_refused():
    record = made(n=1).to_faceswap(["0007.png"])
    record["0007.png"][0]["r"] = 90
    with pytest.raises(InvalidInput, match=r"'0007\.png'.*rotated"):
        alignments.from_faceswap(record, frame_rate=(25, 1), width=8, height=8)


def test_frames_go_by_number_where_their_names_have_no_leading_zeros():
    faces = made(n=12)
    names = [f"frame_{frame}.png" for frame in range(12)]
    back = alignments.from_faceswap(faces.to_faceswap(names), frame_rate=(30000, 1001), width=640, height=360)
    np.testing.assert_array_equal(back.boxes, faces.boxes)


@pytest.mark.parametrize("data", [b"", b"x" * 50, made().to_bytes()[:-10], b"\xff" * 8 + b"{}"])
def test_other_bytes_are_data_loss(data):
    with pytest.raises(DataLoss, match="Expected alignments"):
        Alignments.from_bytes(data)


def test_arrays_of_another_type_or_length_are_refused():
    faces = made()
    with pytest.raises(ValueError, match="boxes int32"):
        replace(faces, boxes=faces.boxes.astype(np.float64))
    with pytest.raises(ValueError, match="landmarks float32"):
        replace(faces, landmarks=faces.landmarks[:-1])
    with pytest.raises(ValueError, match="reasons below"):
        replace(faces, reasons=np.full(len(faces), 9, np.uint8))
