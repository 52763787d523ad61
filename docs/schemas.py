"""Writes docs/schemas/*.json, the JSON schema of each document, from its dataclass: `python -m docs.schemas FOLDER`.

It also writes dataset.schema.json and rights.schema.json, those of dataset files and records of rights, beside it.
"""

from __future__ import annotations

import json
import re
import sys
from inspect import cleandoc
from pathlib import Path

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DataclassSchema

from facefoundry.checks import balance, leaks
from facefoundry.dataset import record, stored_dataset
from facefoundry.dataset.rights import ClipRights
from facefoundry.dataset.run_log import LogRecord
from facefoundry.dataset.statements import Statement
from facefoundry.planning import yaml_file
from facefoundry.storage import info
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.parts import LABELS_FORMAT
from facefoundry.storage.revocation import Tombstone
from facefoundry.storage.uploads import UploadRecord
from services.converter import chunks, labels
from services.trainer import worker_protocol
from services.trainer.signing import SigningKey
from services.trainer.sweep import SweepRecord

_DOCUMENTS = {
    "manifest": Manifest,
    "attempt": worker_protocol.Attempt,
    "status": worker_protocol.Status,
    "outcome": worker_protocol.Outcome,
    "sweep": SweepRecord,
    "signing": SigningKey,
    "labels": labels.Labels,
    "chunk": chunks.Index,
    "upload": UploadRecord,
    "tombstone": Tombstone,
    "statement": Statement,
    "run": record.RunRecord,
    "pair": record.PairRecord,
    "log": LogRecord,
    "dataset": stored_dataset.DatasetManifest,
    "index": stored_dataset.PairIndex,
    "rights": ClipRights,
    "leaks": leaks.LeakReport,
    "balance": balance.BalanceReport,
}
_FORMATS = {
    "labels": LABELS_FORMAT,
    "chunk": chunks.FORMAT,
    "run": record.FORMAT,
    "leaks": leaks.FORMAT,
    "balance": balance.FORMAT,
}
_INFO = {
    "source": info.SourceInfo,
    "extraction": info.ExtractionInfo,
    "model": info.ModelInfo,
    "conversion": info.ConversionInfo,
    "transcoding": info.TranscodingInfo,
}
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


class _Generator(GenerateJsonSchema):
    """Takes descriptions from the docstrings of dataclasses: of the class, and of its attributes."""

    def dataclass_schema(self, schema: DataclassSchema) -> JsonSchemaValue:
        made = super().dataclass_schema(schema)
        made["description"] = cleandoc(schema["cls"].__doc__ or "").partition("\n\nAttributes:")[0]
        described = {name: text for kind in schema["cls"].__mro__ for name, text in _attributes(kind.__doc__ or "")}
        for name, value in made["properties"].items():
            value.pop("title", None)  # it repeats the name
            if name in described:
                value["description"] = described[name]
        return made


def _attributes(docstring: str) -> list[tuple[str, str]]:
    section = cleandoc(docstring).partition("\nAttributes:\n")[2]
    return [(name, " ".join(text.split()).replace("None", "null")) for name, text in _ATTRIBUTE.findall(section)]


def schema(name: str) -> JsonSchemaValue:
    """Return the JSON schema of a document by the name of its file, such as `manifest`."""
    made = _schema(_DOCUMENTS[name])
    if name in _FORMATS:
        made["properties"]["format"]["const"] = _FORMATS[name]
    if name == "manifest":
        made["properties"]["kind"]["enum"] = [*_INFO, "checkpoint", "weights"]
        made["allOf"] = []
        for kind, facts in _INFO.items():
            of_kind = _schema(facts)
            made["$defs"] |= of_kind.pop("$defs", {}) | {facts.__name__: of_kind}
            then = {"properties": {"info": {"$ref": f"#/$defs/{facts.__name__}"}}}
            made["allOf"].append({"if": {"properties": {"kind": {"const": kind}}}, "then": then})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _schema(kind: type[object]) -> JsonSchemaValue:
    return TypeAdapter(kind).json_schema(schema_generator=_Generator)


def main() -> None:
    """Write the schemas to the folder of the first argument."""
    for name in _DOCUMENTS:
        Path(sys.argv[1], f"{name}.json").write_text(json.dumps(schema(name), indent=1, sort_keys=True) + "\n")
    for name, made in (("dataset", yaml_file.schema()), ("rights", yaml_file.rights_schema())):
        written = json.dumps(made, indent=1, sort_keys=True) + "\n"
        Path(sys.argv[1]).with_name(f"{name}.schema.json").write_text(written)


if __name__ == "__main__":
    main()
