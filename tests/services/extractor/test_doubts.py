import numpy as np
import pytest

from facefoundry.faces.alignments import NOT_SEARCHED, Alignments
from services.extractor import doubts

FRAME = np.zeros((4, 4, 3), np.uint8)
# Two faces: one is bright on the left, the other at the top.
FACES = [np.zeros((30, 30, 3), np.uint8) for _ in range(2)]
FACES[0][:, :12] = FACES[1][:12] = 200
TO_UNIT_SQUARE = np.array([[1 / 30, 0, 0], [0, 1 / 30, 0]])


def faces(count=8, **arrays):
    nothing = np.zeros(count, np.uint64)
    made = {
        "boxes": np.ones((count, 4), np.int32),
        "landmarks": np.ones((count, 68, 2), np.float32),
        "matrices": np.ones((count, 2, 3)),
        "reasons": np.zeros(count, np.uint8),
    }
    return Alignments(
        **made,
        **arrays,
        frame_digests=nothing,
        crop_digests=nothing,
        frame_rate=(25, 1),
        width=4,
        height=4,
        decoder="",
        engine="",
    )


def warned(whole, by_identity=False):
    found = doubts.warnings(whole, warn_share=0.5, by_identity=by_identity, swapped=np.zeros(len(whole), dtype=bool))
    return [(warning.reason, warning.message) for warning in found]


def test_nothing_is_said_about_a_clip_without_doubts():
    assert warned(faces(seen=np.ones(8, np.uint8), spreads=np.full(8, 0.02, np.float32))) == []


def test_points_that_are_far_apart_are_told():
    ((reason, message),) = warned(faces(spreads=np.array([0, 0, 0.2, 0.3, 0, 0, 0, 0], np.float32)))
    assert reason == "POINTS_UNSURE" and "2 frames (2 to 3)" in message


def test_faces_far_from_the_persons_own_are_told():
    embeddings = np.zeros((8, 128), np.float32)
    embeddings[:, 1] = 1.0
    embeddings[5, 0] = 0.55
    ((reason, message),) = warned(faces(embeddings=embeddings), by_identity=True)
    assert reason == "PERSON_UNSURE" and "1 frame (5)" in message
    assert warned(faces(embeddings=embeddings)) == []


def test_a_face_without_an_embedding_is_as_sure_as_the_one_before():
    embeddings = np.zeros((8, 128), np.float32)
    embeddings[[1, 4, 6], 1] = 1.0
    embeddings[4, 0] = 0.55
    ((reason, message),) = warned(faces(embeddings=embeddings), by_identity=True)
    assert reason == "PERSON_UNSURE" and "2 frames (4 to 5)" in message
    assert warned(faces(embeddings=np.zeros((8, 128), np.float32)), by_identity=True) == []


@pytest.mark.parametrize(("subject", "other", "reported"), [(0.5, 9, True), (6, 9, False), (0.5, 1, False)])
def test_a_still_face_is_told_only_beside_one_that_moves(subject, other, reported):
    motions = np.array([(np.nan, np.nan), (subject, other), (subject, other)], np.float32)
    assert doubts.still_face(motions) is reported


def test_of_many_spans_the_first_five_are_named():
    which = np.tile([True, False], 8)
    assert doubts.spans(which) == "8 frames (0, 2, 4, 6, 8, …)"


class Embedded:
    """Embeds landmarks as the number that the test wrote into them, and counts."""

    def __init__(self):
        self.frames = 0

    def __call__(self, frame, landmarks):
        self.frames += 1
        return np.full(128, landmarks[0, 0] / np.sqrt(128), np.float32)


def seen(people, rows):
    for index, (person, searched) in enumerate(rows):
        face = None if person is None else (np.full((68, 2), person, np.float32), np.eye(2, 3))
        people.see(index, FRAME, face, searched)
    return people.others(np.array([person is not None for person, _ in rows]))


def test_on_an_ordinary_clip_no_face_is_compared():
    embed = Embedded()
    rows = [(0, 1 if index % 12 == 0 else NOT_SEARCHED) for index in range(288)]
    assert not seen(doubts.PeopleSeen(embed, 12), rows).any()
    assert embed.frames == 0


def test_a_face_that_changes_slowly_is_compared_after_240_frames():
    embed = Embedded()
    people = doubts.PeopleSeen(embed, 12)
    for index in range(260):
        share = min(index / 200, 1.0)
        frame = ((1 - share) * FACES[0] + share * FACES[1]).astype(np.uint8)
        person = np.full((68, 2), share == 1, np.float32)
        people.see(index, frame, (person, TO_UNIT_SQUARE), 1 if index == 0 else NOT_SEARCHED)
    assert np.flatnonzero(people.others(np.ones(260, dtype=bool))).tolist() == list(range(240, 260))
    assert embed.frames == 2


def test_after_a_search_before_its_time_and_after_a_loss_faces_are_compared_again():
    quiet = [(0, NOT_SEARCHED)] * 5
    rows = [(0, 1), *quiet, (1, 1), *[(1, NOT_SEARCHED)] * 5, (None, 0), (0, 1), *quiet]
    assert seen(doubts.PeopleSeen(Embedded(), 12), rows).tolist() == [False] * 6 + [True] * 6 + [False] * 7


def test_while_there_are_several_faces_each_search_is_compared():
    rows = [(index >= 24, 2 if index % 12 == 0 else NOT_SEARCHED) for index in range(48)]
    assert np.flatnonzero(seen(doubts.PeopleSeen(Embedded(), 12), rows)).tolist() == list(range(24, 48))


def test_from_the_frame_on_in_which_a_face_changes_at_once_it_is_another_persons():
    for others in (range(6, 30), range(28, 30)):
        people = doubts.PeopleSeen(Embedded(), 12)
        for index in range(30):
            is_other = index in others
            face = np.full((68, 2), is_other, np.float32), TO_UNIT_SQUARE
            people.see(index, FACES[is_other], face, 1 if index == 0 else NOT_SEARCHED)
        assert np.flatnonzero(people.others(np.ones(30, dtype=bool))).tolist() == list(others)


def test_a_face_that_changes_for_a_moment_alone_is_not_compared():
    embed = Embedded()
    people = doubts.PeopleSeen(embed, 12)
    for index in range(30):
        face = np.zeros((68, 2), np.float32), TO_UNIT_SQUARE
        people.see(index, FACES[index in (6, 7)], face, 1 if index == 0 else NOT_SEARCHED)
    assert embed.frames == 0


@pytest.mark.parametrize(("frames", "is_reported"), [(4, False), (6, True)])
def test_a_face_that_is_itself_again_soon_was_not_another_persons(frames, is_reported):
    people = doubts.PeopleSeen(Embedded(), 12)
    others = range(20, 20 + frames)
    for index in range(40):
        person = int(index in others)
        face = np.full((68, 2), person, np.float32), TO_UNIT_SQUARE
        people.see(index, FACES[person], face, 1 if index == 0 else NOT_SEARCHED)
    reported = np.flatnonzero(people.others(np.ones(40, dtype=bool))).tolist()
    assert reported == (list(others) if is_reported else [])
