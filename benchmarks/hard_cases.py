"""Makes hard cases of two real clips: few frames each, with the true landmarks of everybody in every frame.

The first clip shows the subject, the second one another person. Truth is what plain dlib finds in the clips' own
frames, moved as the faces are moved. It is NaN in frames in which most of a face is covered or outside the frame.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.landmarks import INNER, eye_distance
from benchmarks.material import write_clip
from benchmarks.reference.detection import PlainDlib
from facefoundry.media.read import open_source
from services.extractor.functions import Chosen

__all__ = ["CASES", "LARGEST", "OTHER", "SUBJECT", "Case", "Footage", "footage", "make", "read", "write"]

SUBJECT: Final = "subject"
OTHER: Final = "other"

LARGEST: Final = Chosen(kind="largest")
"""The choice of the largest face of the first frame."""

Frame = NDArray[np.uint8]
Points = NDArray[np.float64]

_COUNT: Final = 36
_EYES: Final = 44.0  # distance between the eyes of a head, pixels
_SIDE: Final = 200  # side of the square picture of a head, pixels


@dataclass(frozen=True)
class Footage:
    """Frames of one person.

    Attributes:
        frames: uint8 [h, w, 3], BGR.
        points: Landmarks, float64 [n, 68, 2], in frame pixels.
    """

    frames: list[Frame]
    points: Points


@dataclass(frozen=True)
class Case:
    """A hard case.

    Attributes:
        frames: uint8 [h, w, 3], BGR.
        people: The true landmarks of `SUBJECT` and, where there is one, `OTHER`: float64 [n, 68, 2].
        hidden: The same for frames in which most of the face, but not all of it, is covered or outside the frame.
        chosen: How a person who has seen the clip names the subject.
    """

    frames: list[Frame]
    people: Mapping[str, Points]
    hidden: Mapping[str, Points] = field(default_factory=dict)
    chosen: Chosen = LARGEST


@dataclass(frozen=True)
class _Layer:
    """A person in a scene: pictures [h, w, 3] of the head, and where their upper left corners are, float64 [n, 2]."""

    name: str
    footage: Footage
    places: ArrayLike


def footage(clip: Path, count: int = _COUNT) -> Footage:
    """Read the first frames of a clip.

    Raises:
        ValueError: one of them has no face that plain dlib finds.
    """
    finder, frames, points = PlainDlib(), list[Frame](), list[Points]()
    with open_source(clip) as source:
        for frame in source:
            faces = finder.faces(frame)
            if not len(faces):
                raise ValueError(
                    f"Expected a face in each of the first {count} frames of {clip}. Frame {len(frames)} has none. "
                    "Use another clip."
                )
            frames.append(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])  # as H.264 takes them
            points.append(faces[0])
            if len(frames) == count:
                break
    return Footage(frames, np.array(points))


def make(subject: Footage, other: Footage) -> dict[str, Case]:
    """Make all cases, by their names, of two people's frames, as many of each."""
    return {name: case(subject, other) for name, case in CASES.items()}


def write(folder: Path, cases: Mapping[str, Case]) -> None:
    """Write each case as `<name>.mp4`, and its truth as `<name>.json`, with the names of the fields of `Case`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in cases.items():
        write_clip(folder / f"{name}.mp4", case.frames, crf=10)
        truth = {"chosen": asdict(case.chosen), "people": _to_json(case.people), "hidden": _to_json(case.hidden)}
        (folder / f"{name}.json").write_text(json.dumps(truth))


def read(folder: Path) -> dict[Path, Case]:
    """Read what `write` wrote, by the paths of the clips; the cases have no frames."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        truth = json.loads(path.read_text())
        people, hidden = (_from_json(truth[key]) for key in ("people", "hidden"))
        found[path.with_suffix(".mp4")] = Case([], people, hidden, Chosen(**truth["chosen"]))
    return found


def _to_json(people: Mapping[str, Points]) -> dict[str, list[list[list[float]] | None]]:
    return {
        person: [each.round(2).tolist() if np.isfinite(each).all() else None for each in points]
        for person, points in people.items()
    }


def _from_json(people: Mapping[str, list[list[list[float]] | None]]) -> dict[str, Points]:
    return {
        person: np.array([np.full((68, 2), np.nan) if each is None else each for each in points], np.float64)
        for person, points in people.items()
    }


def _head(person: Footage, size: float = 1.0) -> Footage:
    """Cut a square picture of the head out of every frame, all at the same place; `size` is its size in heads."""
    eyes = float(np.median(eye_distance(person.points)))
    side = round(size * _SIDE / 2) * 2
    cut_side = round(_SIDE * eyes / _EYES)
    middle = person.points[:, INNER].mean(axis=(0, 1)) - (0, 0.2 * eyes)
    corner = np.rint(middle - cut_side / 2)
    move = np.column_stack([np.eye(2), -corner])
    method = cv2.INTER_AREA if cut_side > side else cv2.INTER_CUBIC
    pictures = []
    for frame in person.frames:
        cut = cv2.warpAffine(
            frame, move, (cut_side, cut_side), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )
        pictures.append(np.asarray(cv2.resize(cut, (side, side), interpolation=method), np.uint8))
    return Footage(pictures, (person.points - corner + 0.5) * (side / cut_side) - 0.5)


def _scene(size: tuple[int, int], layers: Sequence[_Layer], chosen: Chosen) -> Case:
    """Draw people in front of a grey wall; later layers cover earlier ones.

    Args:
        size: Width and height, pixels, both even.
        layers: The people.
        chosen: How the subject is named.
    """
    width, height = size
    wall = np.repeat(np.linspace(90, 150, width)[None, :, None], height, axis=0).repeat(3, axis=2)
    people, hidden = ({layer.name: np.full(layer.footage.points.shape, np.nan) for layer in layers} for _ in range(2))
    frames = []
    for number in range(len(layers[0].footage.points)):
        frame, shown = wall.copy(), dict[str, Points]()
        for layer in layers:
            x, y = np.asarray(layer.places, np.float64)[number]
            if np.isnan(x):
                continue
            picture = layer.footage.frames[number]
            onto = np.array([[1, 0, x], [0, 1, y]])
            mask = cv2.warpAffine(_oval(picture.shape[0]), onto, size)[..., None]
            frame += mask * (cv2.warpAffine(picture, onto, size, borderMode=cv2.BORDER_REPLICATE) - frame)
            for name in [name for name, points in shown.items() if _part(mask, points) >= 0.5]:
                hidden[name][number] = shown.pop(name)
            points = layer.footage.points[number] + (x, y)
            inside = _part(np.ones((height, width, 1)), points)
            if inside >= 0.5:
                shown[layer.name] = points
            elif inside > 0:
                hidden[layer.name][number] = points
        frames.append(frame.round().astype(np.uint8))
        for name, points in shown.items():
            people[name][number] = points
    return Case(frames, people, hidden, chosen)


def _oval(side: int) -> NDArray[np.float64]:
    """Return the mask of a head in its square picture, float64 [side, side], with a soft edge."""
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    return np.asarray(np.clip((0.5 - np.hypot(rows, columns * 1.15)) / 0.06, 0, 1), np.float64)


def _part(mask: NDArray[np.float64], points: Points) -> float:
    """Return the part of the inner landmarks that lie in a mask [h, w, 1]."""
    columns, rows = points[INNER].round().astype(int).T
    inside = (columns >= 0) & (rows >= 0) & (columns < mask.shape[1]) & (rows < mask.shape[0])
    return float((mask[rows[inside], columns[inside]] > 0.5).sum() / len(rows))


def _still(count: int, x: float, y: float) -> Points:
    return np.tile(np.array([x, y], np.float64), (count, 1))


def _across(count: int, first: float, last: float) -> Points:
    return np.column_stack([np.linspace(first, last, count), np.zeros(count)])


def _crossing(subject: Footage, other: Footage, *, is_in_front: bool) -> Case:
    count, people = len(subject.points), (_head(subject), _head(other))
    first = _Layer(SUBJECT, people[0], _across(count, 10, 310))
    second = _Layer(OTHER, people[1], _across(count, 310, 10))
    nose = people[0].points[0, 30]
    chosen = Chosen(kind="point", x=float(nose[0]) + 10, y=float(nose[1]))
    return _scene((520, _SIDE), (second, first) if is_in_front else (first, second), chosen)


def _poster(subject: Footage, other: Footage) -> Case:
    count, size = len(subject.points), 1.5
    still = _head(Footage(other.frames[:1] * count, np.repeat(other.points[:1], count, axis=0)), size)
    layers = (
        _Layer(OTHER, still, _still(count, 10, 10)),
        _Layer(SUBJECT, _head(subject), _still(count, 20 + size * _SIDE, 100)),
    )
    return _scene((540, 320), layers, Chosen(kind="moving"))


def _cut(subject: Footage, other: Footage) -> Case:
    count = len(subject.points)
    is_other = (np.arange(count) * 3 // count == 1)[:, None]
    place = _still(count, 60, 0)
    layers = (
        _Layer(SUBJECT, _head(subject), np.where(is_other, np.nan, place)),
        _Layer(OTHER, _head(other), np.where(is_other, place, np.nan)),
    )
    return _scene((320, _SIDE), layers, LARGEST)


def _exit(subject: Footage, other: Footage) -> Case:
    count = len(subject.points)
    out = np.sin(np.linspace(0, np.pi, count))
    places = np.column_stack([200 + 300 * out, np.zeros(count)])
    layers = (_Layer(OTHER, _head(other, 0.75), _still(count, 20, 30)), _Layer(SUBJECT, _head(subject), places))
    return _scene((460, _SIDE), layers, LARGEST)


def _small(subject: Footage, other: Footage) -> Case:
    """Make faces of 36 to 60 pixels, from one side of the jaw to the other."""
    count = len(subject.points)
    width = float(np.median(np.ptp(_head(subject).points[..., 0], axis=1)))
    frames, points = [], np.zeros_like(subject.points)
    for number, wanted in enumerate(np.linspace(36, 60, count)):
        head = _head(Footage([subject.frames[number]], subject.points[number : number + 1]), wanted / width)
        case = _scene((640, 360), [_Layer(SUBJECT, head, [[300, 120]])], LARGEST)
        frames += case.frames
        points[number] = case.people[SUBJECT][0]
    return Case(frames, {SUBJECT: points})


def _turned(subject: Footage, degrees: NDArray[np.float64]) -> Case:
    """Turn every frame around the middle of the face, to the left."""
    frames, points = [], np.zeros_like(subject.points)
    height, width = subject.frames[0].shape[:2]
    for number, (frame, angle) in enumerate(zip(subject.frames, degrees, strict=True)):
        x, y = subject.points[number, INNER].mean(axis=0)
        turn = cv2.getRotationMatrix2D((float(x), float(y)), float(angle), 1.0)
        turned = cv2.warpAffine(frame, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        frames.append(np.asarray(turned, np.uint8))
        points[number] = subject.points[number] @ turn[:, :2].T + turn[:, 2]
    return Case(frames, {SUBJECT: points})


def _tilt(subject: Footage, other: Footage) -> Case:
    return _turned(subject, np.full(len(subject.points), 45.0))


def _roll(subject: Footage, other: Footage) -> Case:
    return _turned(subject, 60 * np.sin(np.linspace(0, np.pi, len(subject.points))))


def _hand(subject: Footage, other: Footage) -> Case:
    """Move a plain shape of the skin's colour over one half of the face, and back."""
    nose = subject.points[0, 29].astype(int)
    colour = np.median(subject.frames[0][nose[1] - 3 : nose[1] + 4, nose[0] - 3 : nose[0] + 4], axis=(0, 1))
    frames = []
    for frame, points, near in zip(
        subject.frames, subject.points, np.sin(np.linspace(0, np.pi, len(subject.points))), strict=True
    ):
        eyes = float(eye_distance(points[None])[0])
        x, y = points[30] - (eyes * (1 + 2.5 * (1 - near)), 0)
        mask = np.zeros(frame.shape[:2], np.float32)
        cv2.ellipse(mask, (round(x), round(y)), (round(eyes), round(1.6 * eyes)), 0, 0, 360, 1.0, -1)
        soft = cv2.GaussianBlur(mask, (0, 0), eyes / 20)[..., None]
        frames.append((frame * (1 - soft) + soft * colour).round().astype(np.uint8))
    return Case(frames, {SUBJECT: subject.points})


def _blur(subject: Footage, other: Footage) -> Case:
    frames = [np.asarray(cv2.GaussianBlur(frame, (0, 0), 12), np.uint8) for frame in subject.frames]
    return Case(frames, {SUBJECT: subject.points})


def _dark(subject: Footage, other: Footage) -> Case:
    """Leave 10 % of the brightness, and add noise with a standard deviation of 2 levels."""
    random = np.random.default_rng(0)
    frames = [
        np.clip(0.1 * frame + random.normal(0, 2, frame.shape), 0, 255).round().astype(np.uint8)
        for frame in subject.frames
    ]
    return Case(frames, {SUBJECT: subject.points})


def _reflections(subject: Footage, other: Footage) -> Case:
    """Draw white spots that pass over both eyes, as on glasses."""
    frames = []
    for number, (frame, points) in enumerate(zip(subject.frames, subject.points, strict=True)):
        eyes = float(eye_distance(points[None])[0])
        offset = 0.3 * eyes * np.sin(2 * np.pi * number / len(subject.points))
        mask = np.zeros(frame.shape[:2], np.float32)
        for eye in (points[36:42], points[42:48]):
            x, y = eye.mean(axis=0) + np.array([offset, 0])
            cv2.ellipse(mask, (round(x), round(y)), (round(0.2 * eyes), round(0.14 * eyes)), 20, 0, 360, 0.9, -1)
        soft = cv2.GaussianBlur(mask, (0, 0), eyes / 40)[..., None]
        frames.append((frame * (1 - soft) + soft * 255).round().astype(np.uint8))
    return Case(frames, {SUBJECT: subject.points})


CASES: Final[dict[str, Callable[[Footage, Footage], Case]]] = {
    "crossing-in-front": lambda subject, other: _crossing(subject, other, is_in_front=True),
    "crossing-behind": lambda subject, other: _crossing(subject, other, is_in_front=False),
    "cut-to-another": _cut,
    "exit-and-return": _exit,
    "poster": _poster,
    "small-36-to-60": _small,
    "tilt-45": _tilt,
    "roll-to-60": _roll,
    "hand": _hand,
    "blur-12": _blur,
    "dark": _dark,
    "reflections": _reflections,
}
"""The functions that make the cases, by the names of the cases."""
