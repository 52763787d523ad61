import numpy as np
import pytest

from services.extractor.boxes import iou, largest, nearest
from services.extractor.engines.base import Engine, Tracker
from services.extractor.tracking import NearestFace, Subject, is_cut, thumbnail

SMALL_LEFT, LARGE_RIGHT = (0, 40, 20, 20), (100, 40, 40, 40)


def boxes(*rows):
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def shot(level=100):
    return np.full((90, 160, 3), level, np.uint8)


class Scripted(Engine):
    """Detects what the script says for each frame; its tracker repeats the box and loses the face on request."""

    build = "scripted"

    def __init__(self, script, lost_at=()):
        self.script, self.lost_at = script, set(lost_at)
        self.frame = -1
        self.detected, self.tracked = [], []

    def detect(self, frame):
        self.detected.append(self.frame)
        return boxes(*self.script[self.frame])

    def tracker(self, frame, box):
        return ScriptedTracker(self, box)

    def landmarks(self, frame, box):
        raise AssertionError("tracking needs no landmarks")


class ScriptedTracker(Tracker):
    def __init__(self, engine, box):
        self.engine, self.box = engine, box

    def update(self, frame):
        self.engine.tracked.append(self.engine.frame)
        return None if self.engine.frame in self.engine.lost_at else self.box


def followed(engine, detect_every, frames=None):
    subject = Subject(engine, detect_every)
    found = []
    for number in range(len(engine.script)):
        engine.frame = number
        box = subject.follow(shot() if frames is None else frames[number]).box
        found.append(None if box is None else tuple(box))
    return found


def test_the_largest_face_of_the_first_frame_is_the_subject():
    assert followed(Scripted([[SMALL_LEFT, LARGE_RIGHT]]), 1) == [LARGE_RIGHT]


def test_afterwards_the_nearest_face_is_the_subject_even_if_another_is_larger():
    grown_stranger, subject = (0, 0, 80, 80), (90, 45, 30, 30)
    assert followed(Scripted([[SMALL_LEFT, LARGE_RIGHT], [grown_stranger, subject]]), 1)[1] == subject


def test_nearest_goes_by_true_centres_not_by_corners_or_sizes():
    # FF++ took (left, top, right, bottom) for (x, y, width, height) here, so that its centres lay off the faces.
    previous = (100, 100, 40, 40)
    same_corner_but_wide, same_centre = (100, 100, 200, 40), (80, 80, 80, 80)
    np.testing.assert_array_equal(nearest(boxes(same_corner_but_wide, same_centre), previous), same_centre)


def test_a_frame_without_a_face_does_not_reset_the_subject():
    script = [[LARGE_RIGHT], [], [(0, 40, 60, 60), (102, 40, 20, 20)]]
    assert followed(Scripted(script), 1) == [LARGE_RIGHT, None, (102, 40, 20, 20)]


def test_the_first_face_may_come_late():
    assert followed(Scripted([[], [], [SMALL_LEFT]]), 4) == [None, None, SMALL_LEFT]


def test_detect_every_1_never_tracks():
    engine = Scripted([[LARGE_RIGHT]] * 5)
    followed(engine, 1)
    assert engine.detected == [0, 1, 2, 3, 4] and engine.tracked == []


def test_the_detector_runs_every_nth_frame_and_the_tracker_in_between():
    engine = Scripted([[LARGE_RIGHT]] * 9)
    assert followed(engine, 4) == [LARGE_RIGHT] * 9
    assert engine.detected == [0, 4, 8] and engine.tracked == [1, 2, 3, 5, 6, 7]


def test_a_lost_face_is_detected_in_the_same_frame():
    engine = Scripted([[LARGE_RIGHT]] * 8, lost_at=[2])
    assert followed(engine, 6) == [LARGE_RIGHT] * 8
    assert engine.detected == [0, 2]


def test_while_there_is_no_face_the_detector_runs_on_every_frame():
    engine = Scripted([[], [], [], [LARGE_RIGHT], [LARGE_RIGHT]])
    followed(engine, 4)
    assert engine.detected == [0, 1, 2, 3] and engine.tracked == [4]


def test_a_shot_cut_brings_the_detector_at_once():
    engine = Scripted([[LARGE_RIGHT]] * 6)
    followed(engine, 10, frames=[shot(60)] * 3 + [shot(160)] * 3)
    assert engine.detected == [0, 3]


def box_of(subject):
    found = subject.follow(shot()).box
    return found if found is None else tuple(found)


def test_a_restart_detects_and_knows_only_the_box_it_is_given():
    engine = Scripted([[LARGE_RIGHT], [SMALL_LEFT, LARGE_RIGHT], [SMALL_LEFT, LARGE_RIGHT]])
    subject = Subject(engine, 10)
    engine.frame = 0
    subject.follow(shot())
    subject.restart(SMALL_LEFT)
    engine.frame = 1
    assert box_of(subject) == SMALL_LEFT
    subject.restart(None)
    engine.frame = 2
    assert box_of(subject) == LARGE_RIGHT
    assert subject.detections == 3


def test_of_equal_faces_the_first_is_taken():
    twins = boxes((0, 0, 10, 10), (20, 0, 10, 10))
    np.testing.assert_array_equal(largest(twins), twins[0])
    np.testing.assert_array_equal(nearest(twins, (10, 0, 10, 10)), twins[0])


@pytest.mark.parametrize(
    ("other", "expected"),
    [((0, 0, 10, 10), 1), ((5, 0, 10, 10), 1 / 3), ((10, 0, 10, 10), 0), ((30, 30, 1, 1), 0), ((0, 0, 5, 5), 0.25)],
)
def test_intersection_over_union_by_hand(other, expected):
    assert iou((0, 0, 10, 10), other) == pytest.approx(expected)


def test_noise_and_small_motion_are_no_cut_but_another_picture_is():
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (180, 320, 3), dtype=np.uint8)
    noisy = np.clip(picture.astype(int) + random.integers(-20, 20, picture.shape), 0, 255).astype(np.uint8)
    assert not is_cut(thumbnail(picture), thumbnail(noisy))
    assert not is_cut(thumbnail(picture), thumbnail(np.roll(picture, 4, axis=1)))
    assert is_cut(thumbnail(shot(30)), thumbnail(shot(90)))


def test_a_face_that_the_detector_is_not_sure_of_is_found_where_it_was():
    faint = (101, 41, 40, 40)

    class Unsure(Scripted):
        def near(self, frame, box):
            assert tuple(box) == LARGE_RIGHT
            return boxes(faint)

    engine = Unsure([[LARGE_RIGHT], [], [SMALL_LEFT]], lost_at=[1])
    subject = Subject(engine, 10)
    engine.frame = 0
    first = subject.follow(shot())
    engine.frame = 1
    second = subject.follow(shot())
    assert (first.tracked, second.tracked) == (False, True)
    np.testing.assert_array_equal(second.box, faint)


def test_after_a_cut_or_a_while_the_place_of_the_last_face_is_not_searched():
    class Strict(Scripted):
        def near(self, frame, box):
            self.searched = self.frame
            return boxes()

    engine = Strict([[LARGE_RIGHT], *[[]] * 80], lost_at=[1])
    followed(engine, 10)
    assert engine.searched == 48
    engine = Strict([[LARGE_RIGHT], []])
    followed(engine, 10, frames=[shot(60), shot(160)])
    assert not hasattr(engine, "searched")


def test_where_no_face_is_found_what_the_engine_is_unsure_of_is_taken():
    class Unsure(Scripted):
        def __init__(self, script):
            super().__init__(script)
            self.searched = []

        def detect_unsure(self, frame):
            self.searched.append(self.frame)
            yield boxes() if self.frame else boxes(SMALL_LEFT)

    engine = Unsure([[], *[[]] * 80])
    assert followed(engine, 10)[:2] == [SMALL_LEFT, SMALL_LEFT]
    engine = Unsure([[LARGE_RIGHT], *[[]] * 80])
    engine.lost_at = {1}
    followed(engine, 10)
    # In 48 frames after the last face, then in one of ten.
    assert engine.searched == [*range(1, 49), 51, 61, 71]


def test_where_only_other_people_are_found_the_subject_is_searched_more_closely():
    class Closer(Scripted):
        looks = 0

        def detect_unsure(self, frame):
            for found in (boxes(), boxes(SMALL_LEFT), boxes(SMALL_LEFT, LARGE_RIGHT), boxes(LARGE_RIGHT)):
                self.looks += 1
                yield found

    class OnTheRight(NearestFace):
        def pick(self, frame, boxes, last):
            mine = boxes[boxes[:, 0] > 50]
            return mine[0] if len(mine) else None

    engine = Closer([[SMALL_LEFT]])
    engine.frame = 0
    sighting = Subject(engine, 12, OnTheRight()).follow(shot())
    np.testing.assert_array_equal(sighting.box, LARGE_RIGHT)
    assert sighting.seen == 2 and engine.looks == 3
