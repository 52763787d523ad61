"""The values of a recipe message that enter digests, under names that never change.

Renaming a field of the proto changes only the left column of the table here, so every digest stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

__all__ = ["DIGEST_NAMES", "digest_values"]


def _unchanged(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


DIGEST_NAMES: Mapping[str, Mapping[str, str]] = {
    "ExtractionOptions": _unchanged("engine crop_size padding integer_landmarks detect_every identity"),
    "TrainingOptions": _unchanged(
        "encoder_filters bottleneck upscale_filters decoder_filters iterations batch_size learning_rate beta_1 beta_2"
        " epsilon precision seed rotation_degrees zoom shift flip_probability warp_sigma face_size"
    ),
    "ConversionOptions": _unchanged("mask erosion blur seamless batch_size chunk_frames frame_ranges discard"),
    "FrameRange": _unchanged("first last"),
    "Level": _unchanged("name codec crf pixel_format preset"),
}
"""Name of a message's field in the proto, and its name in digests."""

_LEFT_OUT: Mapping[tuple[str, str], object] = {("TrainingOptions", "face_size"): 64}
"""Fields added later, with the value that stands for what was done before: it leaves digests as they were."""


def digest_values(message: Message) -> dict[str, Any]:
    """Convert the set fields of a recipe message to JSON values, under the names that they have in digests."""
    kind = message.DESCRIPTOR.name
    names = DIGEST_NAMES[kind]
    values = json_format.MessageToDict(message, preserving_proto_field_name=True)
    for field, value in message.ListFields():
        if field.message_type is not None:
            items: Sequence[Message] = value
            values[field.name] = [digest_values(item) for item in items]
    kept = {name: value for name, value in values.items() if _LEFT_OUT.get((kind, name)) != value}
    return {names[name]: value for name, value in kept.items()}
