"""What is measured of a fake, and gates: bars that the fakes of a dataset must reach.

`verdict` judges fakes by gates. docs/quality.md explains the measures, with figures of good and bad fakes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

__all__ = ["DEFAULT_GATES", "MEASURES", "Action", "FailedGate", "Gate", "Measure", "actions"]

Action = Literal["flag", "retrain", "drop"]


@dataclass(frozen=True)
class Measure:
    """A figure of a fake.

    Attributes:
        words: What it is, for people.
        fault: What a fake beyond a bar is said to do; `{value}` and `{bar}` stand for both numbers.
        better: Whether higher or lower figures are better.
        moves: Name and least value of the figure that says whether the target moves enough for this one to count.
        on_faces: Whether it is measured on the faces in the fake, for which a recipe needs `extraction.identity`.
    """

    words: str
    fault: str
    better: Literal["higher", "lower"]
    moves: tuple[str, float] | None = None
    on_faces: bool = False


MEASURES = {
    "swapped_share": Measure(
        "Share of frames that are swapped", "is swapped in few of its frames ({value:.0%}, not {bar:.0%})", "higher"
    ),
    "face_share": Measure(
        "Share of sampled frames in which a face is found in the fake",
        "shows no face in many frames (one is found in {value:.0%} of those sampled, not {bar:.0%})",
        "higher",
        on_faces=True,
    ),
    "identity": Measure(
        "How much nearer the face is to the source than to the target",
        "looks {like} (distances {target:.2f} and {source:.2f})",
        "higher",
        on_faces=True,
    ),
    "identity_gain": Measure(
        "How much nearer the face is to the source than the control's",
        "has gained little of the source's look (it is {positive:.3g} nearer than the control, not {bar:.3g})",
        "higher",
        on_faces=True,
    ),
    "mouth": Measure(
        "Correlation of the mouth's opening with the target's",
        "has a mouth that does not follow the target's (correlation {value:.2f}, not {bar:.2f})",
        "higher",
        ("mouth_motion", 0.02),
        on_faces=True,
    ),
    "head": Measure(
        "Correlation of the head's turn with the target's",
        "has a head that does not turn with the target's (correlation {value:.2f}, not {bar:.2f})",
        "higher",
        ("head_motion", 0.03),
        on_faces=True,
    ),
    "jitter": Measure(
        "Jitter of the landmarks, divided by the target's",
        "trembles ({value:.1f} times the target's jitter, not {bar:.1f})",
        "lower",
        on_faces=True,
    ),
    "mean_flicker": Measure(
        "Mean change between frames that the target does not have, 0 to 255",
        "flickers ({value:.1f} grey levels from frame to frame, not {bar:.1f})",
        "lower",
    ),
    "sharpness": Measure(
        "Sharpness of the swapped face, as a share of the target's",
        "is blurred ({value:.0%} of the target's sharpness, not {bar:.0%})",
        "higher",
    ),
    "seam": Measure(
        "Gradient at the mask's border, divided by the target's there",
        "has a seam ({value:.1f} times the target's gradient at the mask's border)",
        "lower",
    ),
    "colour_step": Measure(
        "Step in colour at the mask's border, in CIELAB",
        "has a step in colour at the mask's border ({value:.1f} in CIELAB, not {bar:.1f})",
        "lower",
    ),
    "loss": Measure("Last loss of the source's decoder", "has a high loss ({value:.4f}, not {bar:.4f})", "lower"),
}
"""The measures that gates know, by name. A fake has further figures, which nobody can call good or bad."""


def _known(name: str) -> str:
    if name not in MEASURES:
        raise ValueError(f"must be one of {', '.join(MEASURES)}")
    return name


_Name = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(MEASURES)})]
_Bar = Annotated[float, Field(allow_inf_nan=False)]


class Gate(BaseModel):
    """A bar for one measure, and what happens to a fake that does not reach it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: _Name = Field(description="Name of a measure in docs/quality.md.")
    min: _Bar | None = Field(None, description="The lowest value that passes.")
    max: _Bar | None = Field(None, description="The highest value that passes.")
    action: Action = Field(
        "flag",
        description="What happens to a fake that does not pass: flag, it is named; retrain, its pair is trained once "
        "more with another seed; drop, it is left out of the dataset.",
    )

    @model_validator(mode="after")
    def _has_a_bar(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        return self

    @property
    def bars(self) -> str:
        """Its bars in words, such as `at least 0.5`."""
        sides = (("at least", self.min), ("at most", self.max))
        return ", ".join(f"{words} {bar:g}" for words, bar in sides if bar is not None)

    def missed(self, value: float) -> float | None:
        """Return the bar that a value does not reach; None if it passes."""
        if self.min is not None and round(value, 4) < self.min:
            return self.min
        if self.max is not None and round(value, 4) > self.max:
            return self.max
        return None


DEFAULT_GATES = (
    Gate(measure="face_share", min=0.5),
    Gate(measure="identity", min=0.05),
    Gate(measure="identity_gain", min=0.12),
    Gate(measure="mouth", min=0.6),
    Gate(measure="sharpness", min=0.5),
    Gate(measure="seam", max=1.3),
)
"""The gates of a dataset that names none. They flag only."""


@dataclass(frozen=True)
class FailedGate:
    """A gate that a fake did not pass.

    Attributes:
        measure: Name of the measure.
        value: Its value.
        bar: The bar that it does not reach.
        action: What the gate asks for.
    """

    measure: str
    value: float
    bar: float
    action: Action


def actions(failed: Iterable[FailedGate]) -> set[Action]:
    """Return what failed gates ask for."""
    return {gate.action for gate in failed}
