"""Reads and writes `dataset.yaml`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from facefoundry.codec import JsonObject
from facefoundry.dataset.gates import Gate
from facefoundry.dataset.rights import Rights
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.formats import refuse_newer
from facefoundry.planning.dataset_file import FORMAT, DatasetFile

__all__ = ["dump", "invalid", "load", "loads", "rights_schema", "schema"]

_WIDTH = 100
_CHOICES = {"kind", "strategy"}
_HEAD = "A dataset: its clips, splits and pairs, and how it is made. docs/datasets.md explains it."


def load(path: Path) -> DatasetFile:
    """Read a dataset file.

    Raises:
        InvalidInput: the file cannot be read, is not YAML, or has a wrong field; the message names all of them
            (DATASET_FILE).
        Unusable: it has the format of a newer version (NEWER_FORMAT).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"Cannot read the dataset file {path}: {error.strerror}. Check its path and permissions."
        raise InvalidInput(message, reason="DATASET_FILE") from error
    except UnicodeDecodeError as error:
        message = f"The dataset file {path} is not UTF-8 text. `facefoundry plan SOURCES -o FILE` writes a new one."
        raise InvalidInput(message, reason="DATASET_FILE") from error
    return loads(text, str(path))


def loads(text: str, name: str = "dataset.yaml") -> DatasetFile:
    """Read a dataset file from its text; errors are as in `load`, and name the file."""
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        message = f"The dataset file {name} is not YAML: {error}. Correct the file."
        raise InvalidInput(message, reason="DATASET_FILE") from error
    if isinstance(values, dict):
        refuse_newer(values.get("format"), FORMAT, name)
    try:
        return DatasetFile.model_validate(values)
    except ValidationError as error:
        raise invalid(error, f"The dataset file {name}") from error


def invalid(error: ValidationError, what: str) -> InvalidInput:
    """Return the error about wrong fields of a dataset file, which names all of them.

    Args:
        error: What pydantic found.
        what: What is wrong, for the message.
    """
    violations = [_violation(problem["loc"], problem["msg"]) for problem in error.errors(include_url=False)]
    listed = "; ".join(f"{wrong.field}: {wrong.description}" for wrong in violations)
    message = f"{what} is wrong: {listed}. Correct this; ids that look like numbers need quotes."
    return InvalidInput(message, reason="DATASET_FILE", violations=violations)


def schema() -> JsonObject:
    """Return the JSON schema of a dataset file, by which editors complete and check it."""
    return _schema_of(DatasetFile)


def rights_schema() -> JsonObject:
    """Return the JSON schema of a record of rights in a file of its own."""
    return _schema_of(Rights)


def _schema_of(model: type[BaseModel]) -> JsonObject:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def dump(dataset: DatasetFile) -> str:
    """Return the text of a dataset file, with a comment above every field. `loads` reads it back as an equal value."""
    lines = [f"# {_HEAD}", *_fields(dataset)]
    return "\n".join(lines) + "\n"


def _fields(model: BaseModel, indent: str = "") -> Iterator[str]:
    fields = type(model).model_fields
    for name in sorted(fields, key=lambda name: name not in _CHOICES):  # what the other fields depend on, first
        field = fields[name]
        if not indent:
            yield ""
        if field.description:
            yield from _comment(field.description, indent)
        yield from _value(name, getattr(model, name), indent)


def _value(name: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield f"{indent}{name}:"
        if _CHOICES.intersection(type(value).model_fields):
            yield from _comment(_summary(value), indent + "  ")
        yield from _fields(value, indent + "  ")
    elif isinstance(value, tuple) and value and isinstance(value[0], Gate):
        yield f"{indent}{name}:"
        for part, field in Gate.model_fields.items():
            yield from _comment(f"{part}: {field.description}", indent + "  ")
        for gate in value:
            fields = gate.model_dump(exclude_none=True)
            text = yaml.safe_dump(fields, default_flow_style=True, width=_WIDTH, sort_keys=False)
            yield f"{indent}  - {text.strip()}"
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        yield f"{indent}{name}:"
        for item in value:
            yield from _comment(_summary(item), indent + "  ")
            yield f"{indent}  -"
            yield from _fields(item, indent + "    ")
    else:
        text = yaml.safe_dump({name: to_jsonable_python(value)}, allow_unicode=True, width=_WIDTH, sort_keys=False)
        yield from (indent + line for line in text.rstrip().splitlines())


def _summary(model: BaseModel) -> str:
    return (type(model).__doc__ or "").partition("\n\n")[0]


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix)


def _violation(place: tuple[int | str, ...], message: str) -> FieldViolation:
    return FieldViolation(".".join(str(part) for part in place) or "the file", message)
