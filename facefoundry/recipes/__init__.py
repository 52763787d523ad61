"""Recipes: the YAML files beside this module are values of `v1.Recipe`; there is no second schema.

A request names a shipped recipe and overrides fields of it; `resolve` makes the whole of it and checks ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.message import Message

from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.v1 import recipe_pb2

__all__ = ["DEFAULT", "load", "names", "options", "override", "resolve"]

DEFAULT = "ffpp"

Check = tuple[Callable[[Any], bool], str]


def _between(low: float, high: float) -> Check:
    return (lambda value: low <= value <= high), f"must be from {low:g} to {high:g}"


def _one_of(*words: str) -> Check:
    return (lambda value: value in words), "must be one of " + ", ".join(words)


def _each(low: int, high: int, count: int) -> Check:
    return (
        lambda values: len(values) == count and all(low <= value <= high for value in values)
    ), f"must be {count} numbers from {low} to {high}"


_CHECKS: dict[str, Check] = {
    "extraction.engine": _one_of("dlib", "face_alignment"),
    "extraction.crop_size": _between(64, 1024),
    "extraction.padding": _between(0, 256),
    "extraction.detect_every": _between(1, 1000),
    "training.encoder_filters": _each(1, 4096, 4),
    "training.bottleneck": _between(1, 8192),
    "training.upscale_filters": _between(1, 4096),
    "training.decoder_filters": _each(1, 4096, 3),
    "training.iterations": _between(1, 10_000_000),
    "training.batch_size": _between(1, 1024),
    "training.learning_rate": _between(1e-9, 1.0),
    "training.beta_1": _between(0.0, 0.9999),
    "training.beta_2": _between(0.0, 0.999999),
    "training.epsilon": _between(1e-12, 1.0),
    "training.precision": _one_of("float32", "tensorfloat32", "bfloat16"),
    "training.seed": _between(0, (1 << 63) - 1),
    "training.rotation_degrees": _between(0.0, 90.0),
    "training.zoom": _between(0.0, 0.5),
    "training.shift": _between(0.0, 0.5),
    "training.flip_probability": _between(0.0, 1.0),
    "training.warp_sigma": _between(0.0, 32.0),
    "conversion.mask": _one_of("facehullandrect", "facehull", "rect"),
    "conversion.erosion": _between(-64, 64),
    "conversion.blur": _between(0, 64),
    "conversion.batch_size": _between(1, 256),
    "conversion.chunk_frames": _between(1, 256),
    "rung.codec": _one_of("libx264rgb", "libx264"),
    "rung.crf": _between(0, 51),
    "rung.pixel_format": _one_of("gbrp", "yuv444p", "yuv420p"),
    "rung.preset": _one_of(
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
    ),
}


def names() -> list[str]:
    """Names of the shipped recipes, the default first."""
    found = sorted(
        entry.name.removesuffix(".yaml")
        for entry in resources.files(__name__).iterdir()
        if entry.name.endswith(".yaml")
    )
    return [DEFAULT, *(name for name in found if name != DEFAULT)]


@cache
def _read(name: str) -> recipe_pb2.Recipe:
    text = (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
    return json_format.ParseDict(yaml.safe_load(text), recipe_pb2.Recipe())


def load(name: str = DEFAULT) -> recipe_pb2.Recipe:
    """A shipped recipe, every field set.

    Raises:
        InvalidInput: there is none of that name.
    """
    if name not in names():
        raise _invalid(
            "RECIPE_UNKNOWN", [FieldViolation("recipe.name", f"must be one of {', '.join(names())}; got {name!r}")]
        )
    copy = recipe_pb2.Recipe()
    copy.CopyFrom(_read(name))
    return copy


def resolve(request: recipe_pb2.Recipe) -> recipe_pb2.Recipe:
    """The whole recipe that a request's name and overrides mean.

    Raises:
        InvalidInput: the name is unknown, the version differs, or values are out of range; all of them are named.
    """
    recipe = load(request.name or DEFAULT)
    if request.HasField("version") and request.version != recipe.version:
        raise _invalid(
            "RECIPE_VERSION",
            [
                FieldViolation(
                    "recipe.version", f"this service has {recipe.name} {recipe.version}, got {request.version!r}"
                )
            ],
        )
    _merge(request, recipe)
    violations = list(_violations(recipe))
    if violations:
        raise _invalid("RECIPE_RANGE", violations)
    return recipe


def override(request: recipe_pb2.Recipe, assignment: str) -> None:
    """Set one field of a request from text such as `training.batch_size=32`.

    Raises:
        InvalidInput: there is no such field, or the value does not fit it.
    """
    path, _, text = assignment.partition("=")
    try:
        record: Any = yaml.safe_load(text)
        if record is None or not path:
            raise json_format.ParseError("expected <stage>.<field>=<value>")
        for segment in reversed(path.split(".")):
            record = {segment: record}
        update = json_format.ParseDict(record, recipe_pb2.Recipe())
    except (json_format.ParseError, yaml.YAMLError) as error:
        detail = f"{error}; fields are such as training.iterations, conversion.mask"
        raise _invalid("RECIPE_FIELD", [FieldViolation(f"recipe.{path}", detail)]) from error
    _merge(update, request)


def options(message: Message) -> dict[str, Any]:
    """The set fields of a recipe message as JSON values, in the proto's names; what digests are made of."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _merge(update: Message, target: Message) -> None:
    """Merge like protobuf does, but a repeated field replaces instead of appending."""
    for field, value in update.ListFields():
        if field.is_repeated:
            target.ClearField(field.name)  # type: ignore[arg-type]
            getattr(target, field.name).extend(value)
        elif field.message_type is not None:
            getattr(target, field.name).SetInParent()
            _merge(value, getattr(target, field.name))
        else:
            setattr(target, field.name, value)


def _violations(recipe: recipe_pb2.Recipe) -> Iterator[FieldViolation]:
    for path, (accept, rule) in _CHECKS.items():
        stage, field = path.split(".")
        if stage == "rung":
            for index, rung in enumerate(recipe.ladder.rungs):
                if not accept(getattr(rung, field)):
                    yield _violation(f"recipe.ladder.rungs[{index}].{field}", rule, getattr(rung, field))
        else:
            value = getattr(getattr(recipe, stage), field)
            if not accept(value):
                yield _violation(f"recipe.{path}", rule, value)
    if recipe.extraction.padding * 2 >= recipe.extraction.crop_size:
        yield _violation("recipe.extraction.padding", "must be less than half of crop_size", recipe.extraction.padding)
    rung_names = [rung.name for rung in recipe.ladder.rungs]
    if not rung_names or len(set(rung_names)) != len(rung_names) or not all(name.isalnum() for name in rung_names):
        yield _violation("recipe.ladder.rungs", "must have distinct names of letters and digits", rung_names)
    if "raw" not in rung_names:
        yield _violation("recipe.ladder.rungs", "must have the lossless level 'raw'", rung_names)


def _violation(field: str, rule: str, value: object) -> FieldViolation:
    shown = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value
    return FieldViolation(field, f"{rule}; got {shown!r}")


def _invalid(reason: str, violations: list[FieldViolation]) -> InvalidInput:
    listed = "; ".join(f"{violation.field} {violation.description}" for violation in violations)
    return InvalidInput(f"The recipe cannot be used: {listed}.", reason=reason, violations=violations)
