"""How many frames are verified and which of the others are refused, with pictures that say whose face they show."""

import numpy as np
import pytest

from facefoundry.faces.alignments import FOUND, OTHER_PERSON
from facefoundry.faces.mean_face import FIRST_LANDMARK, MEAN_FACE
from services.extractor.identity import FaceEmbedder
from services.extractor.person import FaceViews, Person
from services.extractor.tracking import Subject
from tests.services.extractor.test_tracking import LARGE_RIGHT, SMALL_LEFT, Scripted, shot

EVERY, DETECT_EVERY = 6, 12


class Embedder(FaceEmbedder):
    """Takes the first pixel of a frame for the look of its face: two looks are as far apart as hundredths of these."""

    def __init__(self):
        self.calls = 0

    def chip(self, frame, landmarks):
        return frame[:1, :1]

    def embed_chip(self, chip):
        self.calls += 1
        return np.full(128, chip[0, 0, 0] / 100 / np.sqrt(128), np.float32)

    def embed(self, frame, landmarks):
        return self.embed_chip(self.chip(frame, landmarks))


def landmarks(frame, box):
    points = np.concatenate([np.zeros((FIRST_LANDMARK, 2)), MEAN_FACE])
    return (np.array(box[:2]) + points * box[2:]).astype(np.float32)


class Followed:
    """How a clip of frames with the given first pixels is followed.

    Attributes:
        reasons: Of each frame, after all are decided.
        verified: Numbers of the frames that were verified when they came.
        calls: Number of embeddings.
    """

    def __init__(self, pixels, every=EVERY, script=None, lost_at=(), levels=None):
        embedder = Embedder()
        views = FaceViews(landmarks, lambda: embedder)
        person = Person(views, verify_every=every)
        engine = Scripted(script or [[LARGE_RIGHT]] * len(pixels), lost_at)
        subject = Subject(engine, DETECT_EVERY, person)
        self.reasons, self.verified = [], []
        for number, pixel in enumerate(pixels):
            frame = shot(100 if levels is None else levels[number])
            frame[0, 0] = pixel
            views.number = engine.frame = number
            sighting = subject.follow(frame)
            self.reasons.append(sighting.reason)
            if sighting.box is not None and not person.trusts(number):
                self.verified.append(number)
                person.learn(views.embedding(frame, sighting.box))
        for number in person.take_others():
            self.reasons[number] = OTHER_PERSON
        self.calls, self.detected = embedder.calls, engine.detected


def test_of_a_face_that_is_tracked_one_of_six_frames_is_verified():
    run = Followed([0] * 48)
    assert run.reasons == [FOUND] * 48
    assert run.verified == [0, 6, 12, 18, 24, 30, 36, 42]
    assert run.calls == len(run.verified) + 1, "and the last frame"


@pytest.mark.parametrize("first", range(1, 14))
def test_another_person_in_the_track_is_refused_from_the_first_frame_on(first):
    run = Followed([0] * first + [100] * (20 - first))
    assert run.reasons == [FOUND] * first + [OTHER_PERSON] * (20 - first)
    assert run.reasons == Followed([0] * first + [100] * (20 - first), every=1).reasons


def test_another_person_at_the_end_of_a_clip_is_refused():
    assert Followed([0] * 9 + [100] * 2).reasons == [FOUND] * 9 + [OTHER_PERSON] * 2


def test_a_face_that_looks_unlike_the_last_verified_one_is_verified_at_once():
    levels = np.full((6, 90, 160, 1), 100)
    levels[3:5, 40:80, 100:120] = 200
    run = Followed([0, 0, 0, 100, 100, 0], levels=levels)
    assert run.reasons == [FOUND] * 3 + [OTHER_PERSON] * 2 + [FOUND] and run.detected == [0, 3, 4, 5]


@pytest.mark.parametrize("cut", [True, False])
def test_before_a_cut_or_a_loss_the_last_frame_is_verified(cut):
    levels, lost_at = ([60] * 4 + [160] * 3, ()) if cut else (None, [4])
    run = Followed([0, 0, 100, 100, 0, 0, 0], levels=levels, lost_at=lost_at)
    assert run.reasons == [FOUND] * 2 + [OTHER_PERSON] * 2 + [FOUND] * 3 and run.detected == [0, 4]


def test_where_the_detector_finds_the_subject_elsewhere_the_last_frame_is_verified():
    script = [[LARGE_RIGHT]] * 12 + [[SMALL_LEFT]] * 3
    assert (
        Followed([0] * 9 + [100] * 3 + [0] * 3, script=script).reasons == [FOUND] * 9 + [OTHER_PERSON] * 3 + [FOUND] * 3
    )


def test_a_head_that_turns_fast_is_known_by_the_looks_between():
    run = Followed([0, 0, 20, 35, 50, 65, 80, 80, 80])
    assert run.reasons == [FOUND] * 9 and run.detected == [0]
