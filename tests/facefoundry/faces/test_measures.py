"""How faces move, from landmarks made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.faces import measures


def faces(count: int = 20) -> NDArray[np.float32]:
    """Faces that do not move: eyes 100 pixels apart, jaw 200 wide, 200 high from chin to brows."""
    points = np.zeros((count, 68, 2), np.float32)
    points[:, 36:42], points[:, 42:48] = (50, 0), (150, 0)
    points[:, 0], points[:, 16], points[:, 8], points[:, 17:27] = (0, 0), (200, 0), (100, 160), (100, -40)
    points[:, 30] = (100, 40)
    points[:, 62] = points[:, 66] = (100, 80)
    return points


def turned(points: NDArray[np.float32], degrees: float, scale: float = 1.0) -> NDArray[np.float32]:
    angle = np.deg2rad(degrees)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points @ matrix.T + 7).astype(np.float32)


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (30, 1.0), (-80, 2.5)])
def test_opening_and_turn_do_not_depend_on_size_place_and_tilt(degrees: float, scale: float) -> None:
    points = faces()
    points[:, 66, 1] += 20
    points[:, 30, 0] += 30
    seen = turned(points, degrees, scale)
    assert measures.mouth_opening(seen) == pytest.approx(np.full((20, 1), 0.1), abs=1e-5)
    assert measures.head_turn(seen) == pytest.approx(np.tile([0.15, 0.2], (20, 1)), abs=1e-5)


def test_points_that_coincide_give_numbers() -> None:
    nothing = np.zeros((20, 68, 2), np.float32)
    assert not measures.mouth_opening(nothing).any() and not measures.head_turn(nothing).any()
    assert measures.jitter(np.zeros((1, 3, 68, 2), np.float32)) == 0


def test_a_motion_that_follows_correlates_and_one_that_does_the_opposite_anticorrelates() -> None:
    moves = np.sin(np.arange(20.0))[:, None]
    assert measures.correlation(2 * moves + 3, moves) == 1
    assert measures.correlation(-moves, moves) == -1


def test_columns_are_weighed_by_how_much_they_move() -> None:
    turns, nods = np.sin(np.arange(20.0)), 0.1 * np.cos(2 * np.arange(20.0))
    target = np.stack([turns, nods], axis=1)
    follows, only_nods = np.stack([turns, -nods], axis=1), np.stack([-turns, nods], axis=1)
    assert (measures.correlation(follows, target) or 0) > 0.95
    assert (measures.correlation(only_nods, target) or 0) < -0.95


def test_too_few_frames_or_no_motion_give_no_figure() -> None:
    moves = np.sin(np.arange(9.0))[:, None]
    assert measures.correlation(moves, moves) is None and measures.deviation(moves) is None
    still = np.ones((20, 1))
    assert measures.correlation(still, np.sin(np.arange(20.0))[:, None]) is None
    assert measures.deviation(still) == 0


def test_a_deviation_has_the_unit_of_the_motion() -> None:
    assert measures.deviation(np.where(np.arange(20) % 2, 0.2, 0.0)[:, None]) == 0.1


def test_a_steady_motion_is_no_jitter_and_trembling_is_measured_in_distances_between_the_eyes() -> None:
    run = faces(3)
    run += np.arange(3, dtype=np.float32)[:, None, None] * 5
    assert measures.jitter(run[None]) == pytest.approx(0, abs=1e-6)
    run[1, 17:] += (0, 2)
    assert measures.jitter(run[None]) == pytest.approx(0.02, abs=1e-4)
    run[1, :17] += 50  # the jaw is not made by the swap
    assert measures.jitter(run[None]) == pytest.approx(0.02, abs=1e-4)


def test_runs_are_consecutive_frames_that_may_all_be_used() -> None:
    frames = [0, 1, 2, 3, 5, 6, 7, 20, 21, 22]
    usable = np.ones(10, np.bool_)
    assert measures.runs_of_three(frames, usable).tolist() == [[0, 1, 2], [4, 5, 6], [7, 8, 9]]
    usable[5] = False
    assert measures.runs_of_three(frames, usable).tolist() == [[0, 1, 2], [7, 8, 9]]
    assert measures.runs_of_three([0, 2, 4], np.ones(3, np.bool_)).shape == (0, 3)


def test_landmarks_stay_as_they_were() -> None:
    points = faces()
    before = points.copy()
    measures.mouth_opening(points), measures.head_turn(points), measures.jitter(points[None, :3])
    assert np.array_equal(points, before)
