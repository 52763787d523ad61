"""Tables of docs/api.md and docs/objects.md are those of the code."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from facefoundry.storage import keys, parts
from facefoundry.storage.frames import TarLimits
from facefoundry.v1 import converter_pb2, extractor_pb2, trainer_pb2
from services.converter.labels import Labels
from services.converter.servicer import ConverterServicer
from services.extractor.functions import PART_FRAMES
from services.extractor.servicer import ExtractorServicer
from services.trainer.servicer import TrainerServicer

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"`([^`]+)`")
SERVICES: dict[str, tuple[Any, type]] = {
    "Extractor": (extractor_pb2, ExtractorServicer),
    "Trainer": (trainer_pb2, TrainerServicer),
    "Converter": (converter_pb2, ConverterServicer),
}


def table(page: str, head: str) -> list[list[str]]:
    """The rows of the table of a page whose first column has this head, as cells."""
    text = (ROOT / "docs" / page).read_text()
    found = re.search(rf"^\| {head} \|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", text, re.MULTILINE)
    assert found, head
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


def test_the_api_page_lists_every_call_with_its_kind():
    listed: dict[tuple[str, str], bool] = {}
    services: list[str] = []
    for names, calls, kind in table("api.md", "service"):
        services = [f"{name}Service" for name in SERVICES] if names == "all three" else CODE.findall(names) or services
        for call in CODE.findall(calls):
            listed |= {(service, call): kind.startswith("server stream") for service in services}
    answered = {
        (f"{name}Service", call.name): call.server_streaming
        for name, (module, servicer) in SERVICES.items()
        for call in module.DESCRIPTOR.services_by_name[f"{name}Service"].methods
        if call.name in vars(servicer)
    }
    assert listed == answered


def test_the_page_on_the_bucket_lists_kinds_of_prefixes_in_their_order():
    listed = [CODE.findall(row[0])[0].partition("/")[0] for row in table("objects.md", "prefix")]
    assert listed == [kind for kind in keys.CLASSES if kind in listed]


def test_the_page_on_the_bucket_names_the_parts_as_the_code_does():
    listed = {name for row in table("objects.md", "part") for name in CODE.findall(row[0])}
    numbered = {
        each.name(0).replace("00000", "NNNNN") for each in vars(parts).values() if isinstance(each, parts.Numbered)
    }
    assert listed == {
        *numbered,
        *(parts.ALIGNMENTS, parts.WEIGHTS, "optimizer.safetensors", parts.LABELS, parts.SAMPLES),
        *("<level>.mp4", *map(parts.video, parts.MASKS)),
    }
    for name, number in (("frames-NNNNN.tar", TarLimits().frames), ("faces-NNNNN.tar", PART_FRAMES)):
        (row,) = (row for row in table("objects.md", "part") if name in row[0])
        assert f"up to {number} frames" in row[1]
    (labels,) = (row for row in table("objects.md", "part") if parts.LABELS in row[0])
    assert [*CODE.findall(labels[1])] == [field.name for field in fields(Labels)]


def test_the_page_on_the_bucket_links_every_schema():
    linked = [link for row in table("objects.md", "schema") for link in re.findall(r"\[(\w+)\]\((.+)\)", row[0])]
    assert linked == [(name, f"schemas/{name}.json") for name, _ in linked]
    written = {path.stem: path for path in (ROOT / "docs" / "schemas").iterdir()}
    assert sorted(name for name, _ in linked) == sorted(written)
    for path in written.values():
        Draft202012Validator.check_schema(json.loads(path.read_text()))
