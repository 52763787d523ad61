"""Print the chart's values.schema.json, made from schema.yaml and the settings classes: `python -m helm.schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from facefoundry.settings import Settings, StoreSettings
from services.converter.settings import ConverterSettings
from services.extractor.settings import ExtractorSettings
from services.trainer.settings import TrainerSettings, WorkerSettings

__all__ = ["CLASSES", "OWNED", "camel_case", "schema"]

Schema: TypeAlias = dict[str, Any]  # JSON Schema has values of many forms

# Settings classes by their name in schema.yaml.
CLASSES: dict[str, type[Settings]] = {
    "store": StoreSettings,
    "extractor": ExtractorSettings,
    "trainer": TrainerSettings,
    "converter": ConverterSettings,
    "worker": WorkerSettings,
}
# Settings that the templates derive from other values, by kind of process.
OWNED = {
    "store": {"endpoint", "access_key", "secret_key", "secure", "ca_file", "region", "bucket"}
    | {"public_endpoint", "signer_access_key", "signer_secret_key"},
    "service": {"listen", "health_listen", "metrics_listen", "tls_cert_file", "tls_key_file", "tls_client_ca_file"}
    | {"scratch_dir", "extractor_weights_dir", "import_buckets", "backend"},
    "worker": {"id", "termination_log", "parent", "scratch_dir", "scratch_bytes"},
}
_KEPT = ("type", "description", "default", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def camel_case(name: str) -> str:
    """Convert a name from snake_case to camelCase, which the chart's values use."""
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def schema() -> Schema:
    """Return the schema as a JSON object."""
    made: Schema = yaml.safe_load((Path(__file__).parent / "schema.yaml").read_text(encoding="utf-8"))
    definitions = made["$defs"]
    for name, definition in definitions.items():
        if "settings" in definition:
            definitions[name] = _settings(definition["settings"])
    for block in made["properties"].values():
        while "extends" in block:
            base = definitions[block.pop("extends")]
            block |= {key: value for key, value in base.items() if key not in block}
            block["properties"] = base["properties"] | block["properties"]
    for name in ("pod", "service"):
        del definitions[name]
    return made


def _settings(name: str) -> Schema:
    owned = OWNED.get(name, OWNED["service"])
    fields = CLASSES[name].model_json_schema()["properties"]
    properties = {
        camel_case(field): {key: facts[key] for key in _KEPT if key in facts}
        for field, facts in fields.items()
        if field not in owned
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
