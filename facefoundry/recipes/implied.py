"""Values of fields that were added to recipes later: what was computed before the fields existed.

Digests leave implied values out, so stored results are found. Levels of a request may leave these fields out, so lists
of levels that were written before stay valid.
"""

from __future__ import annotations

from google.protobuf import json_format
from google.protobuf.message import Message

from facefoundry.codec import JsonObject
from facefoundry.v1 import recipe_pb2

__all__ = ["complete", "implied"]


def implied(message: Message) -> JsonObject:
    """Return the implied values of a recipe message, by field."""
    if isinstance(message, recipe_pb2.TrainingOptions):
        return {"face_size": 64}
    if isinstance(message, recipe_pb2.Level):
        lossless = message.codec == "libx264rgb" and message.crf == 0
        # CAVLC is faster to write than CABAC and takes less than half the time to read, which counts where there are
        # very many bits: for a tenth more of them (benchmarks/raw_presets.py).
        return {"coder": "cavlc" if lossless else "cabac", "keyframe_interval": 250, "tagged": False}
    return {}


def complete(level: recipe_pb2.Level) -> None:
    """Set the fields of a level that are not set and have an implied value."""
    whole = json_format.ParseDict(implied(level), recipe_pb2.Level())
    whole.MergeFrom(level)
    level.CopyFrom(whole)
