"""One person per clip: two portraits side by side, after a cut, in a crossing, in front of a poster."""

import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest

from demo import portraits
from facefoundry import codec, recipes
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.faces.alignments import NO_FACE, OTHER_PERSON, Alignments
from services.extractor import person, pipeline
from services.extractor.functions import Chosen, ExtractArgs, ExtractionOptions, FaceShares, InspectArgs
from services.extractor.plan import EMBED_EVERY
from tests.services.child import do, workspace

SIDE = 150


def head(portrait):
    """The face of a portrait with a margin, uint8 [150, 150, 3]."""
    x, y = portrait.landmarks.mean(axis=0)
    canvas = cv2.copyMakeBorder(portrait.canvas, 200, 200, 200, 200, cv2.BORDER_REPLICATE)
    cut = canvas[int(y) + 20 : int(y) + 340, int(x) + 40 : int(x) + 360]
    return cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def heads():
    return head(portraits.astronaut()), head(portraits.hopper())


def scene(*placed, width=360):
    """A frame uint8 [180, width, 3] with pictures at their places, each (picture, x)."""
    frame = np.full((180, width, 3), 110, np.uint8)
    for picture, x in placed:
        x = round(x)
        side = picture.shape[0]
        top = (180 - side) // 2
        frame[top : top + side, x : x + side] = picture
    return frame


class Extracted:
    def __init__(self, source, folder, chosen=None, shares=None, part_frames=500, finished=None, **changes):
        values = codec.from_values(ExtractionOptions, recipes.options(recipes.load("ffpp").extraction))
        options = replace(values, **{"identity": chosen is not None, "detect_every": 6, **changes})
        arguments = ExtractArgs(
            embed_every=EMBED_EVERY,
            clip_files=(str(source),),
            name="clip",
            options=options,
            chosen=chosen,
            shares=shares or FaceShares(),
            part_frames=part_frames,
        )
        made = workspace(folder, finished)
        self.done = do(pipeline.extract(arguments, made), made)
        self.info = self.done.result.info
        self.rows = Alignments.from_bytes(self.done.parts["alignments.safetensors"].read_bytes())
        self.reasons = self.rows.reasons.tolist()
        self.warned = [warning.reason for warning in self.info.warnings]
        self.centres = self.rows.boxes[:, 0] + self.rows.boxes[:, 2] / 2


LARGEST = Chosen(kind="largest")
PARTS_OF_FIRST = ("faces-00000.tar", "alignments-00000.safetensors")


@pytest.fixture(scope="module")
def cut_clip(heads):
    """Six frames of one person, six of another at the same place, and six of the first."""
    return [scene((heads[number in range(6, 12)], 100 + number % 6)) for number in range(18)]


def test_after_a_cut_another_person_is_left_alone(tmp_path, cut_clip, folder_of):
    run = Extracted(folder_of(cut_clip), tmp_path / "out", LARGEST)
    assert run.reasons == [0] * 6 + [OTHER_PERSON] * 6 + [0] * 6
    assert run.warned == ["OTHER_PEOPLE"] and "6 frames (6 to 11)" in run.info.warnings[0].message
    assert [(count.reason, count.frames) for count in run.info.missing] == [("OTHER_PERSON", 6)]
    assert run.rows.embeddings is not None and not run.rows.embeddings[6:12].any()


def test_as_in_ffpp_the_other_person_is_taken_but_the_result_says_so(tmp_path, cut_clip, folder_of):
    run = Extracted(folder_of(cut_clip), tmp_path / "out")
    assert run.reasons == [0] * 18
    assert run.warned == ["PEOPLE_MIXED"] and "--subject ID=WHO" in run.info.warnings[0].message
    assert "6 frames (6 to 11)" in run.info.warnings[0].message


def test_an_extraction_cut_off_ends_with_the_same_people_and_warnings(tmp_path, cut_clip, folder_of):
    folder = folder_of(cut_clip)
    for name, chosen in (("person", LARGEST), ("nearest", None)):
        whole = Extracted(folder, tmp_path / name, chosen, part_frames=8)
        first = {part: whole.done.parts[part] for part in PARTS_OF_FIRST}
        again = Extracted(folder, tmp_path / f"{name}-again", chosen, part_frames=8, finished=first)
        assert again.done.resumed == PARTS_OF_FIRST and again.info == whole.info


def test_trusted_frames_are_verified_at_the_end_of_a_part_and_again_after_an_interruption(
    tmp_path, heads, folder_of, monkeypatch
):
    # As if the other person, who comes without a cut, looked so much alike that no small picture told it.
    monkeypatch.setattr(person, "differ", lambda first, second: False)
    folder = folder_of([scene((heads[number in (3, 4)], 100 + number % 3), width=700) for number in range(10)])
    whole = Extracted(folder, tmp_path / "whole", LARGEST, part_frames=5, detect_every=12)
    assert whole.reasons == [0] * 3 + [OTHER_PERSON] * 2 + [0] * 5
    assert not whole.rows.boxes[3:5].any() and not whole.rows.crop_digests[3:5].any()
    assert whole.rows.embeddings is not None
    assert np.flatnonzero(whole.rows.embeddings.any(axis=1)).tolist() == [0, 5]
    first = {name: whole.done.parts[name] for name in PARTS_OF_FIRST}
    again = Extracted(folder, tmp_path / "again", LARGEST, part_frames=5, detect_every=12, finished=first)
    assert again.done.resumed == PARTS_OF_FIRST and again.info == whole.info
    for name, path in again.done.parts.items():
        assert path.read_bytes() == whole.done.parts[name].read_bytes(), name


def crossing(heads):
    """The first person goes from left to right, in front of the second, who goes from right to left."""
    return [scene((heads[1], x), (heads[0], 210 - x), width=370) for x in np.linspace(200, 10, 24)]


def test_two_people_who_cross_are_told_apart(tmp_path, heads, folder_of):
    first = [scene((heads[0], 10), width=370)] * 2
    frames = [*first, *crossing(heads)]
    run = Extracted(folder_of(frames), tmp_path / "out", LARGEST)
    where = [10, 10, *(210 - x for x in np.linspace(200, 10, 24))]
    for centre, reason, x in zip(run.centres, run.reasons, where, strict=True):
        assert reason != 0 or abs(centre - (x + SIDE / 2)) < 30
    assert run.reasons.count(0) >= 22 and "SEVERAL_FACES" in run.warned


def poster(heads):
    """A large still picture, and a smaller person who nods beside it."""
    small = cv2.resize(heads[1], (110, 110), interpolation=cv2.INTER_AREA)
    return [scene((heads[0], 10), (np.roll(small, number % 5, axis=0), 200 + 3 * (number % 7))) for number in range(31)]


@pytest.mark.parametrize(
    "chosen",
    [Chosen(kind="moving"), Chosen(kind="point", frame=3, x=260, y=90), Chosen(kind="centre")],
    ids=["moving", "point", "centre"],
)
def test_the_person_who_is_chosen_is_followed_beside_a_larger_poster(tmp_path, heads, folder_of, chosen):
    frames = [np.roll(frame, -60, axis=1) for frame in poster(heads)] if chosen.kind == "centre" else poster(heads)
    run = Extracted(folder_of(frames), tmp_path / "out", chosen)
    middle = 200 if chosen.kind == "centre" else 260
    assert run.rows.found.mean() > 0.9 and np.abs(run.centres[run.rows.found] - middle).max() < 45


def test_a_picture_says_who_is_followed(tmp_path, heads, folder_of):
    picture = base64.b64encode(cv2.imencode(".jpg", cv2.flip(heads[1], 1))[1].tobytes()).decode()
    run = Extracted(folder_of(poster(heads)[:8]), tmp_path / "out", Chosen(kind="picture", picture=picture))
    assert run.rows.found.all() and np.abs(run.centres - 260).max() < 45


@pytest.mark.parametrize(
    "chosen",
    [Chosen(kind="point", frame=0, x=2, y=2), Chosen(kind="point", frame=99), Chosen(kind="picture", picture="AAAA")],
)
def test_a_subject_who_is_not_there_is_refused(tmp_path, heads, folder_of, chosen):
    with pytest.raises(InvalidInput) as caught:
        Extracted(folder_of(poster(heads)[:2]), tmp_path / "out", chosen)
    assert caught.value.reason == "SUBJECT_NOT_FOUND"


def test_a_still_face_that_is_followed_beside_a_moving_one_is_told(tmp_path, heads, folder_of):
    folder = folder_of(poster(heads))
    run = Extracted(folder, tmp_path / "out")
    assert run.warned == ["SEVERAL_FACES", "STILL_FACE"] and run.centres.max() < 120
    arguments = InspectArgs(clip_files=(str(folder),), engine="dlib", sample_frames=6, max_total=1 << 40)
    (found,) = pipeline.inspect(arguments, workspace(tmp_path / "inspect"))
    assert [warning.reason for warning in found.info.warnings] == ["SEVERAL_FACES", "STILL_FACE"]


def test_few_frames_with_a_face_are_a_warning_and_too_few_a_refusal(tmp_path, heads, folder_of):
    flat = scene()
    folder = folder_of([scene((heads[0], 100)), *[flat] * 3])
    run = Extracted(folder, tmp_path / "out")
    assert run.warned == ["FEW_FACES"] and "1 of 4 frames" in run.info.warnings[0].message
    with pytest.raises(Unusable, match="1 of 4 frames") as caught:
        Extracted(folder, tmp_path / "refused", shares=FaceShares(refuse=0.3))
    assert caught.value.reason == "FEW_FACES"


def test_a_gap_is_told_with_its_frames(tmp_path, heads, folder_of):
    face = scene((heads[0], 100))
    run = Extracted(folder_of([face, face, face, scene(), scene(), face]), tmp_path / "out")
    assert run.reasons == [0, 0, 0, NO_FACE, NO_FACE, 0]
    assert run.warned == ["GAPS"] and "2 frames (3 to 4)" in run.info.warnings[0].message


def test_every_face_says_how_it_was_found_and_how_unsure_its_points_are(tmp_path, heads, folder_of):
    run = Extracted(folder_of([scene((heads[0], 100 + number)) for number in range(8)]), tmp_path / "out")
    assert run.rows.tracked is not None and run.rows.seen is not None and run.rows.spreads is not None
    assert run.rows.tracked.tolist() == [0, 1, 1, 1, 1, 1, 0, 1]
    assert run.rows.seen.tolist() == [1, *[255] * 5, 1, 255]
    assert (run.rows.spreads > 0).all() and (run.rows.spreads < 0.1).all()
