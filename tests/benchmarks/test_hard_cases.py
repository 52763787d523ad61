"""The hard cases: their frames show everybody where the truth says, on people made of coloured discs."""

import numpy as np
import pytest

from benchmarks import hard_cases
from benchmarks.hard_cases import CASES, OTHER, SUBJECT, Footage
from benchmarks.landmarks import is_found
from facefoundry.faces.mean_face import MEAN_FACE

COUNT = 12
GREEN, RED = (40, 220, 40), (40, 40, 220)


def person(colour):
    """A person whose face is a disc of one colour that moves a little, with a white spot at the tip of the nose."""
    jaw = np.column_stack([-np.cos(np.linspace(0, np.pi, 17)), np.sin(np.linspace(0, np.pi, 17))])
    face = np.concatenate([jaw * 0.7 + 0.5, MEAN_FACE]) * 90 + (130, 110)
    rows, columns = np.mgrid[:320, :360]
    frames, points = [], []
    for number in range(COUNT):
        points.append(face + np.array([3.0 * np.sin(number), 2.0 * np.cos(number)]))
        middle, nose = points[-1].mean(axis=0), points[-1][30]
        frame = np.full((320, 360, 3), 10, np.uint8)
        frame[np.hypot(columns - middle[0], rows - middle[1]) < 90] = colour
        spot = np.clip(6.5 - np.hypot(columns - nose[0], rows - nose[1]), 0, 1)[..., None]
        frames.append((frame + spot * (255 - frame.astype(float))).round().astype(np.uint8))
    return Footage(frames, np.array(points))


@pytest.fixture(scope="module")
def cases():
    return hard_cases.make(person(GREEN), person(RED))


def spot(frame, place):
    """The centre of the white spot around a place, (x, y), and the colour of what is around it."""
    (x, y), reach = place.round().astype(int), 12
    patch = frame[y - reach : y + reach + 1, x - reach : x + reach + 1].astype(float)
    weight = np.clip(patch.min(axis=2) - 60, 0, None)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.array([x + np.average(columns, weights=weight), y + np.average(rows, weights=weight)]), patch[0, reach]


@pytest.mark.parametrize("name", sorted(set(CASES) - {"dark", "blur-12"}))
def test_whoever_is_shown_is_where_the_truth_says(cases, name):
    case, checked = cases[name], 0
    for person, points in case.people.items():
        others = [other[:, 30] for who, other in case.people.items() if who != person]
        apart = np.array([np.linalg.norm(points[:, 30] - other, axis=1) for other in others]).reshape(-1, COUNT)
        for number in np.flatnonzero(is_found(points) & ~(apart < 120).any(axis=0)):
            x, y = points[number, 30]
            if not (20 < x < case.frames[0].shape[1] - 20 and 20 < y < case.frames[0].shape[0] - 20):
                continue
            if name == "hand" and 2 <= number < COUNT - 2:
                continue
            middle, colour = spot(case.frames[number], points[number, 30])
            np.testing.assert_allclose(middle, points[number, 30], atol=0.4)
            assert np.abs(colour - {SUBJECT: GREEN, OTHER: RED}[person]).max() < 40, (person, number)
            checked += 1
    assert checked >= 4


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_as_many_frames_and_truths_and_sides_that_h264_takes(cases, name):
    case = cases[name]
    assert len(case.frames) == COUNT and {len(points) for points in case.people.values()} == {COUNT}
    assert {frame.shape for frame in case.frames} == {case.frames[0].shape}
    assert case.frames[0].shape[0] % 2 == case.frames[0].shape[1] % 2 == 0
    assert is_found(case.people[SUBJECT])[0] and {frame.dtype for frame in case.frames} == {np.dtype(np.uint8)}


def test_who_is_hidden_or_away_has_no_truth(cases):
    shown = {
        name: {person: is_found(points).tolist() for person, points in case.people.items()}
        for name, case in cases.items()
    }
    thirds = [True] * 4 + [False] * 4 + [True] * 4
    assert shown["cut-to-another"] == {SUBJECT: thirds, OTHER: [not is_shown for is_shown in thirds]}
    assert all(shown["crossing-in-front"][SUBJECT]) and not all(shown["crossing-in-front"][OTHER])
    assert all(shown["crossing-behind"][OTHER]) and not all(shown["crossing-behind"][SUBJECT])
    hidden = is_found(cases["crossing-behind"].hidden[SUBJECT])
    assert (hidden == ~np.array(shown["crossing-behind"][SUBJECT])).all()
    in_frame = np.array(shown["exit-and-return"][SUBJECT]) | is_found(cases["exit-and-return"].hidden[SUBJECT])
    assert not in_frame.all() and in_frame.sum() > sum(shown["exit-and-return"][SUBJECT])
    away = shown["exit-and-return"][SUBJECT]
    assert away[0] and away[-1] and not away[COUNT // 2] and all(shown["exit-and-return"][OTHER])


def test_the_truth_is_read_as_it_was_written(tmp_path, cases):
    few = {name: cases[name] for name in ("exit-and-return", "dark")}
    hard_cases.write(tmp_path, few)
    for clip, read in hard_cases.read(tmp_path).items():
        case = few[clip.stem]
        assert clip.exists() and read.chosen == case.chosen
        for written, again in ((case.people, read.people), (case.hidden, read.hidden)):
            assert written.keys() == again.keys()
            for person, points in again.items():
                np.testing.assert_allclose(points, written[person], atol=0.006)
