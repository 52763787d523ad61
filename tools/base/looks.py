"""Random heads and random pictures of them, each a function of its number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tools.heads.job import Colour, Head, Light, Look, Shot
from tools.heads.mesh import FACE, Pose

__all__ = ["heads"]

_REGIONS: Final = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "chin", "cheek", "asym")
_OPPOSITES: Final = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
)
_ANCESTRIES: Final = ("african", "asian", "caucasian")
_IRISES: Final[tuple[Colour, ...]] = (
    (0.05, 0.025, 0.01),
    (0.08, 0.04, 0.02),
    (0.10, 0.25, 0.40),
    (0.10, 0.20, 0.12),
    (0.2, 0.22, 0.25),
)
_HAIRS: Final[tuple[Colour, ...]] = (
    (0.01, 0.008, 0.006),
    (0.03, 0.015, 0.008),
    (0.1, 0.05, 0.025),
    (0.25, 0.16, 0.08),
    (0.3, 0.29, 0.28),
)
_MOUTHS: Final = (
    "mouthSmile*",
    "mouthFrown*",
    "mouthPucker",
    "mouthFunnel",
    "mouthStretch*",
    "mouthUpperUp*",
    "mouthLowerDown*",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthPress*",
    "mouthLeft",
    "mouthRight",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthDimple*",
)
_OTHERS: Final = (
    "browInnerUp",
    "browOuterUp*",
    "browDown*",
    "eyeSquint*",
    "eyeWide*",
    "cheekSquint*",
    "noseSneer*",
    "jawLeft",
    "jawRight",
    "jawForward",
    "cheekPuff",
)


def heads(targets: Path, skins: Path, count: int, shots: int) -> list[Head]:
    """Return random heads, each with random pictures; head k is the same however many there are.

    Args:
        targets: Folder of the targets.
        skins: Folder of the skins.
        count: Number of heads.
        shots: Pictures of each.
    """
    sliders, pictures = list(_sliders(targets)), sorted(_skins(skins))
    made = []
    for number in range(count):
        random = np.random.default_rng([19, number])
        made.append(Head(_look(random, f"{number:04d}", sliders, pictures), [_shot(random) for _ in range(shots)]))
    return made


def _skins(folder: Path) -> Iterator[str]:
    for picture in folder.glob("*/textures/*_diffuse*.png"):
        yield str(picture.relative_to(folder))


def _sliders(folder: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Yield what changes one thing of a face: the targets for less of it, and those for more, of both sides."""
    for region in _REGIONS:
        names = {path.name.removesuffix(".target.gz") for path in (folder / region).glob("*.target.gz")}
        for name in sorted(names):
            if name.startswith(("r-", "asymm", "asym-ear", "head-trans", "mouth-trans-in", "nose-trans-in")):
                continue
            less, more = next(
                ((name, name.removesuffix(low) + high) for low, high in _OPPOSITES if name.endswith(f"-{low}")),
                (name, ""),
            )
            if region == "asym" and name.endswith("-l"):
                less, more = name, f"{name[:-1]}r"
            elif any(name.endswith(f"-{high}") for _, high in _OPPOSITES) or (region == "asym"):
                continue
            sides = [[each] if not each.startswith("l-") else [each, f"r-{each[2:]}"] for each in (less, more)]
            yield tuple([f"{region}/{each}" for each in side if each in names] for side in sides)  # type: ignore[misc]  # two


def _look(random: np.random.Generator, name: str, sliders: list[tuple[list[str], list[str]]], skins: list[str]) -> Look:
    sex = random.choice(["female", "male"])
    old = random.choice([0.0, random.uniform(0, 1), random.uniform(0, 0.4)])
    ancestries = random.dirichlet([0.5] * 3)
    targets = {
        f"macrodetails/{ancestry}-{sex}-{age}": round(float(share * part), 4)
        for ancestry, share in zip(_ANCESTRIES, ancestries, strict=True)
        for age, part in (("young", 1 - old), ("old", old))
    }
    weight = random.choice(["minweight", "averageweight", "maxweight"])
    targets[f"macrodetails/universal-{sex}-{'old' if old > 0.5 else 'young'}-averagemuscle-{weight}"] = 0.6
    for less, more in sliders:
        strength = float(np.clip(random.normal(0, 0.25), -0.6, 0.6))
        targets |= dict.fromkeys(more if strength > 0 else less, round(abs(strength), 4))
    likely = [skin for skin in skins if f"_{sex}/" in skin and _ANCESTRIES[int(ancestries.argmax())] in skin]
    skin = str(random.choice(likely or skins))
    dark = "dark" in skin
    iris = _IRISES[random.integers(2 if dark else len(_IRISES))]
    hair = _HAIRS[random.integers(2 if dark else len(_HAIRS))]
    tone = random.uniform(0.7, 1.3) * random.uniform(0.9, 1.1, 3)
    return Look(name, targets, skin, iris, hair, _colour(tone), hair if random.random() < 0.6 else None, teeth=True)


def _shot(random: np.random.Generator) -> Shot:
    pose = Pose(
        yaw=float(np.clip(random.normal(0, 20), -42, 42)),
        pitch=float(np.clip(random.normal(0, 9), -22, 22)),
        roll=float(random.normal(0, 6)),
        centre=FACE,
    )
    actions = _actions(random)
    lights = [
        Light(
            (float(random.uniform(-1.2, 0.3)), float(random.uniform(-1.3, 1.3))),
            float(random.uniform(0.3, 2.6)),
            _colour(random.uniform(0.8, 1.0, 3)),
        )
        for _ in range(random.integers(1, 4))
    ]
    around = random.uniform(0.1, 0.6) * random.uniform(0.85, 1.15, 3)
    gaze = (float(random.normal(0, 10)), float(random.normal(0, 5)))
    return Shot(pose, actions, gaze, lights, _colour(around))


def _actions(random: np.random.Generator) -> dict[str, float]:
    """Return random face actions; in two pictures of five the mouth is shut, or nearly so."""
    actions = dict[str, float]()
    jaw = 0.0 if random.random() < 0.35 else float(random.uniform(0, 1) ** 1.3)
    actions["jawOpen"] = jaw
    for names, number, strength in ((_MOUTHS, 3, 0.7), (_OTHERS, 3, 0.8)):
        for name in random.choice(names, size=random.integers(0, number + 1), replace=False):
            value = float(random.uniform(0.1, strength))
            for side in ("Left", "Right") if name.endswith("*") else ("",):
                actions[name.rstrip("*") + side] = value * (float(random.uniform(0.7, 1.0)) if side else 1.0)
    blink = float(random.choice([0.0, random.uniform(0, 0.5), 1.0], p=[0.6, 0.32, 0.08]))
    actions |= {"eyeBlinkLeft": blink, "eyeBlinkRight": blink}
    return {name: round(value, 4) for name, value in actions.items() if value}


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue
