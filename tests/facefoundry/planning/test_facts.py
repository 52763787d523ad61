"""What is said about a clip follows from the faces in its frames: too few, several, different ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from facefoundry.planning.facts import ClipFacts, FaceFacts, facts_of, features, oddness
from facefoundry.planning.sheet import PICTURE, contact_sheet, png
from facefoundry.v1 import common_pb2, extractor_pb2


def face(frame=0, faces=1, height=100.0, yaw=0.0, pitch=0.6, skin=(60.0, 15.0, 20.0)):
    return FaceFacts(frame, faces, height, height, yaw, pitch, skin)


NO_FACE = FaceFacts(0, 0)


def clip(*samples, **changes):
    return ClipFacts(
        **{"id": "033", "signature": "", "frames": 50, "width": 400, "height": 200, **changes}, samples=list(samples)
    )


@pytest.mark.parametrize(
    ("samples", "has_faces", "has_few", "sentences"),
    [
        ([face()] * 10, True, False, []),
        ([face()] * 4 + [NO_FACE] * 6, True, True, ["A face is in 4 of 10 frames that were searched."]),
        ([NO_FACE] * 10, False, False, ["A face is in 0 of 10 frames that were searched."]),
        ([face(faces=2)] + [face()] * 9, True, False, ["Several faces are in 1 of 10 frames that were searched."]),
    ],
)
def test_frames_without_a_face_and_with_several_are_told(samples, has_faces, has_few, sentences):
    facts = clip(*samples)
    assert (facts.has_faces, facts.has_few_faces, facts.findings()) == (has_faces, has_few, sentences)


def test_cuts_remarks_and_errors_are_told():
    assert clip(face(), cuts=[12, 30]).findings() == ["There are 2 cuts, the first at frame 12."]
    assert clip(face(), remarks=["odd"]).findings() == ["odd"]
    broken = clip(reason="DAMAGED", message="It ends early.", remarks=["odd"])
    assert broken.findings() == ["It ends early. [DAMAGED]"] and not broken.has_faces


def test_another_face_is_the_oddest_and_a_frame_without_one_is_not():
    ordinary = [face(yaw=0.05 * (index % 3)) for index in range(9)]
    for other in (face(skin=(35.0, 12.0, 14.0)), face(height=300.0), face(yaw=0.9), face(faces=2)):
        scores = oddness([*ordinary[:4], other, *ordinary[4:], NO_FACE])
        assert scores.index(max(scores)) == 4 and scores[4] > 0.9
        assert scores[-1] == 0.0 and max(scores[:4]) < 0.3
    assert oddness([NO_FACE]) == [0.0] and oddness([]) == []


def test_features_are_medians_and_size_is_relative_to_the_frame():
    facts = clip(face(yaw=0.1), face(yaw=0.2), face(yaw=0.9), NO_FACE)
    assert features(facts) == pytest.approx((0.2, 0.6, np.log(0.5), 60.0, 15.0, 20.0))
    assert features(clip(NO_FACE)) is None
    assert features(clip(face(), reason="DAMAGED")) is None


def test_facts_are_those_of_the_source_and_the_inspection():
    source = extractor_pb2.Source(uri="s3://b/sources/1", size_bytes=7)
    look = extractor_pb2.SampledFace(width=3, height=4, yaw=0.5, skin=[1, 2, 3])
    found = extractor_pb2.InspectResponse(
        frame_count=5,
        width=8,
        height=6,
        frame_rate=common_pb2.FrameRate(numerator=30000, denominator=1001),
        samples=[
            extractor_pb2.FaceSample(frame=0, faces=2, largest=look),
            extractor_pb2.FaceSample(frame=4),
        ],
        cuts=[3],
        remarks=["slow"],
        warnings=[common_pb2.Warning(reason="STILL_FACE", message="It hardly moves.")],
    )
    facts = facts_of("033", "here", source, found)
    assert (facts.source_uri, facts.size_bytes, facts.frames, facts.cuts) == ("s3://b/sources/1", 7, 5, [3])
    assert facts.fps == pytest.approx(29.97, abs=0.001)
    assert facts.samples == [FaceFacts(0, 2, 3, 4, 0.5, 0.0, (1, 2, 3)), FaceFacts(4, 0)]
    assert facts.remarks == ["slow", "It hardly moves. [STILL_FACE]"]


def test_a_png_is_read_back_pixel_by_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)


def test_a_contact_sheet_has_the_oddest_face_first_and_none_of_frames_without_a_face():
    tiles = [bytes([shade]) * (PICTURE * PICTURE * 3) for shade in (10, 20, 30)]
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet([tiles[0], b"", tiles[1], tiles[2]], [0.1, 9.0, 0.7, 0.3]))))
    assert sheet.shape == (PICTURE, 3 * PICTURE, 3)
    assert sheet[0, ::PICTURE, 0].tolist() == [20, 30, 10]
    many = np.asarray(Image.open(io.BytesIO(contact_sheet(tiles[:1] * 20, [0.0] * 20))))
    assert many.shape == (2 * PICTURE, 16 * PICTURE, 3) and many[PICTURE, :, 0].tolist().count(10) == 4 * PICTURE
    assert np.asarray(Image.open(io.BytesIO(contact_sheet([], [])))).shape == (PICTURE, PICTURE, 3)
