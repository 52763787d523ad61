"""Every field of a recipe reaches the stage that it is for."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from facefoundry.media.level import Level
from facefoundry.v1 import recipe_pb2
from services.converter.functions import ConversionOptions
from services.extractor.functions import ExtractionOptions

ROOT = Path(__file__).parents[2]
MESSAGES = recipe_pb2.DESCRIPTOR.message_types_by_name


@pytest.mark.parametrize("options", [ExtractionOptions, ConversionOptions, Level])
def test_a_stage_gets_every_field_of_its_message(options):
    assert [field.name for field in fields(options)] == list(MESSAGES[options.__name__].fields_by_name)


def test_the_training_reads_every_field_of_its_message():
    others = [ROOT / "facefoundry/model/architecture.py", ROOT / "services/trainer/bases.py"]
    modules = [*(ROOT / "services/trainer/worker").glob("*.py"), *others]
    code = "\n".join(path.read_text() for path in modules)
    assert [name for name in MESSAGES["TrainingOptions"].fields_by_name if f"options.{name}" not in code] == []
