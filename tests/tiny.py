"""A model of a few thousand parameters, for tests that need a whole pair and no quality."""

from __future__ import annotations

import json

from facefoundry import recipes
from facefoundry.v1 import extractor_pb2, recipe_pb2

MODEL: dict[str, object] = {
    "training.encoder_filters": [4, 4, 8, 8],
    "training.bottleneck": 8,
    "training.upscale_filters": 8,
    "training.decoder_filters": [8, 4, 4],
    "training.batch_size": 4,
}
"""Overrides of a recipe, by field path."""

SOURCE_URI = f"s3://facefoundry/sources/{0:040x}"
"""A well-formed URI of a source that no test stores."""


def assignments(**changes: object) -> list[str]:
    """Return the overrides as `field=value`; in the names of changes `__` stands for the dot."""
    fields = MODEL | {name.replace("__", "."): value for name, value in changes.items()}
    return [f"{field}={json.dumps(value)}" for field, value in fields.items()]


def flags(**changes: object) -> list[str]:
    """Return the recipe `preview` with the overrides as flags of the command."""
    return ["--recipe=preview", *(f"--set={assignment}" for assignment in assignments(**changes))]


def recipe(**changes: object) -> recipe_pb2.Recipe:
    """Return the resolved recipe `preview` with the overrides."""
    made = recipe_pb2.Recipe(name="preview")
    for assignment in assignments(**changes):
        recipes.override(made, assignment)
    return recipes.resolve(made)


def quick(chunk_frames: int) -> recipe_pb2.Recipe:
    """Return the resolved recipe `preview` without identity, with conversions in chunks of a few frames."""
    made = recipe_pb2.Recipe(name="preview")
    made.extraction.identity = False
    made.conversion.batch_size = 4
    made.conversion.chunk_frames = chunk_frames
    return recipes.resolve(made)


def extract_request(sequence_id: str = "033") -> extractor_pb2.ExtractRequest:
    """Return a valid request for an extraction of a source that no test stores."""
    name = recipe_pb2.Recipe(name="preview")
    return extractor_pb2.ExtractRequest(source_uri=SOURCE_URI, sequence_id=sequence_id, recipe=name)


def inspect_request() -> extractor_pb2.InspectRequest:
    """Return a valid request for an inspection of a source that no test stores."""
    return extractor_pb2.InspectRequest(source_uri=SOURCE_URI)
