"""Damage that is tolerated: labelled frame by frame by the extractor, and read by the converter."""

from __future__ import annotations

import random

import cv2
import pytest

from facefoundry.errors import FaceFoundryError
from facefoundry.faces.alignments import DAMAGED, FOUND, Alignments
from facefoundry.storage import keys, manifest
from tests.journeys.extractor_and_converter import Services
from tests.journeys.odd_clips import FACES, pictures, write


@pytest.fixture(scope="module")
def services(new_store, tmp_path_factory):
    with Services(new_store(), tmp_path_factory.mktemp("services")) as running:
        yield running


def a_picture_with_a_hole(folder):
    frames = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in FACES]
    hole = len(frames[3]) // 2
    frames[3] = frames[3][:hole] + bytes(400) + frames[3][hole + 400 :]
    return pictures(*frames, suffix=".jpg")(folder), {3}


def a_video_with_a_hole(folder):
    path = write(folder / "clip.avi", FACES, codec="mjpeg", pixels="yuvj420p", options={"qscale": "3"})
    data = path.read_bytes()
    start = [place for place in range(len(data)) if data.startswith(b"00dc", place)][5] + 700
    path.write_bytes(data[:start] + random.Random(1).randbytes(900) + data[start + 900 :])
    return path, {4}  # the first is in the header


@pytest.mark.parametrize("make", [a_picture_with_a_hole, a_video_with_a_hole])
def test_damaged_frames_are_refused_or_labelled(services, tmp_path, make):
    path, damaged = make(tmp_path)
    strict = services.upload(path)
    for call in (services.inspect, services.extract, services.transcode):
        with pytest.raises(FaceFoundryError) as caught:
            call(strict)
        assert caught.value.reason in ("DAMAGED", "NOT_AN_IMAGE")
        assert f"({min(damaged) / 25:.2f} s)" in caught.value.message
    tolerant = services.upload(path, tolerate_damage=True)
    assert tolerant != strict
    seen = services.inspect(tolerant)
    assert (seen.frame_count, seen.damaged_count) == (len(FACES), len(damaged))
    extraction = services.extract(tolerant)
    assert [(row.reason, row.frames) for row in extraction.missing] == [("DAMAGED", len(damaged))]
    record = manifest.load(services.store, keys.prefix_of(services.store.bucket, extraction.uri, "extractions"))
    known = Alignments.from_bytes(manifest.read_part(services.store, record.part("alignments.safetensors")))
    expected = [DAMAGED if number in damaged else FOUND for number in range(len(FACES))]
    assert known.reasons.tolist() == expected
    made = services.transcode(tolerant)
    assert made.frame_count == len(FACES)
    with pytest.raises(FaceFoundryError):
        services.transcode(strict)
