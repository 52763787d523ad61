"""The values of a recipe message that enter digests, under names that never change.

If a field of the proto is renamed, only its name in `DIGEST_NAMES` changes, and every digest stays the same: `new_name`
stands for `old_name` as `{**_unchanged("first"), "new_name": "old_name", **_unchanged("last")}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf import json_format
from google.protobuf.message import Message

from facefoundry.codec import JsonObject

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
"""For each message: names of fields in the proto, and their names in digests."""

_DEFAULTS: Mapping[str, Mapping[str, object]] = {"TrainingOptions": {"face_size": 64}}
"""For each message: names in digests of fields that were added later, and the values that keep the digests from before.

A value has the type of the field in Python: a number for every integer, a list for a repeated field.
"""


def digest_values(message: Message) -> JsonObject:
    """Return the fields of a recipe message that are set, as JSON values under their names in digests."""
    kind = message.DESCRIPTOR.name
    defaults = _DEFAULTS.get(kind, {})
    json_values = json_format.MessageToDict(message, preserving_proto_field_name=True)
    values: JsonObject = {}
    for field, value in message.ListFields():
        name = DIGEST_NAMES[kind][field.name]
        if field.message_type is not None:
            items: Sequence[Message] = value
            values[name] = [digest_values(item) for item in items]
        elif name not in defaults or defaults[name] != value:  # not the JSON value: 64-bit integers are strings there
            values[name] = json_values[field.name]
    return values
