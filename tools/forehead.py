"""Fits the 13 points of the forehead of `facefoundry.exports.forehead` to hairlines that people marked.

    python -m tools.forehead CLONE

CLONE is a clone of the repository debruine/webmorphR.stim, whose photographs and points are under CC BY 4.0: 102
people, frontal and neutral, with 189 points of each, of which 134 to 144 are the hairline.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from demo.portraits import predictor_path
from facefoundry.exports.forehead import ANCHORS

_HAIRLINE = slice(134, 145)
_POINTS = 13
_SCALE = 0.3
_RIDGE = 1e-4


def main() -> None:
    """Print the weights, and the error on people who were left out of the fit."""
    parser = argparse.ArgumentParser(description="Fit the points of the forehead to marked hairlines.")
    parser.add_argument("clone", type=Path, help="clone of debruine/webmorphR.stim")
    finders = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(predictor_path()))
    faces = [
        _read(path, *finders) for path in sorted((parser.parse_args().clone / "inst/neutral_front").glob("[0-9]*.tem"))
    ]
    landmarks, hairlines = np.stack([face[0] for face in faces]), np.stack([face[1] for face in faces])
    eyes = np.linalg.norm(landmarks[:, 36:42].mean(axis=1) - landmarks[:, 42:48].mean(axis=1), axis=1)
    errors = []
    for person in range(len(faces)):
        others = np.arange(len(faces)) != person
        weights = _fit(landmarks[others], hairlines[others], eyes[others])
        found = weights @ landmarks[person, ANCHORS]
        errors.append(np.linalg.norm(found - hairlines[person], axis=1) / eyes[person])
    print(f"{len(faces)} people; error in distances between the eyes: mean {np.mean(errors):.3f}, "
          f"median {np.median(errors):.3f}, 95th percentile {np.quantile(errors, 0.95):.3f}")  # fmt: skip
    print(_fit(landmarks, hairlines, eyes).round(3).tolist())


def _read(
    path: Path, detector: Callable[..., list[dlib.rectangle]], predictor: dlib.shape_predictor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return dlib's landmarks [68, 2] of a photograph, and 13 points [13, 2] evenly spread along its hairline."""
    lines = path.read_text().splitlines()
    marked = np.array([[float(value) for value in line.split()[:2]] for line in lines[1 : int(lines[0]) + 1]])
    picture = cv2.resize(cv2.imread(str(path.with_suffix(".jpg"))), None, fx=_SCALE, fy=_SCALE)
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    shape = predictor(picture, max(detector(picture, 0), key=lambda box: box.area()))
    hairline = marked[_HAIRLINE]
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(hairline, axis=0), axis=1))]
    places = np.linspace(0, along[-1], _POINTS)
    points = np.array([[part.x, part.y] for part in shape.parts()]) / _SCALE
    return points, np.stack([np.interp(places, along, hairline[:, axis]) for axis in (0, 1)], axis=1)


def _fit(
    landmarks: NDArray[np.float64], hairlines: NDArray[np.float64], eyes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return weights [13, 4] of the anchors, which sum to 1 and are the same for a mirrored face."""
    left, right, root, nose = (landmarks[:, number] for number in ANCHORS)
    scale = eyes[:, None]
    as_is, mirrored = np.array([1.0, 1.0]), np.array([-1.0, 1.0])
    sides = [(left, right, nose, hairlines, as_is), (right, left, nose, hairlines[:, ::-1], mirrored)]
    from_root = np.concatenate(
        [np.stack([(point - root) / scale * turned for point in (a, b, c)], axis=2) for a, b, c, _, turned in sides]
    )
    targets = np.concatenate([(line - root[:, None]) / scale[:, None] * turned for *_, line, turned in sides])
    rows = from_root.reshape(-1, 3)
    ridge = _RIDGE * len(rows) * np.eye(3)
    solved = np.linalg.solve(rows.T @ rows + ridge, rows.T @ targets.transpose(0, 2, 1).reshape(-1, _POINTS)).T
    return np.column_stack([solved[:, :2], 1 - solved.sum(axis=1), solved[:, 2]])


if __name__ == "__main__":
    main()
