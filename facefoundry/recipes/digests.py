"""The values of a recipe message that enter digests, under names that never change.

If a field of the proto is renamed, only its name in `DIGEST_NAMES` changes, and every digest stays the same: `new_name`
stands for `old_name` as `{**_unchanged("first"), "new_name": "old_name", **_unchanged("last")}`.

A field that was added later has an implied value: what was computed before the field existed. Digests leave implied
values out, so stored results are found. `complete` sets them where a message was written before the field existed: in
lists of levels, and in the stored options of an attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf import json_format
from google.protobuf.message import Message

from facefoundry.codec import JsonObject
from facefoundry.v1 import recipe_pb2

__all__ = ["DIGEST_NAMES", "complete", "digest_values", "implied"]


def _unchanged(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


DIGEST_NAMES: Mapping[str, Mapping[str, str]] = {
    "ExtractionOptions": _unchanged("engine crop_size padding integer_landmarks detect_every identity subject"),
    "TrainingOptions": {
        **_unchanged("face_size encoder_filters bottleneck upscale_filters decoder_filters iterations batch_size"),
        **_unchanged("learning_rate"),
        "beta1": "beta_1",
        "beta2": "beta_2",
        **_unchanged("epsilon precision seed rotation_degrees zoom shift flip_probability warp_sigma"),
        **_unchanged("retry_learning_rate_factor augmentation common_iterations start_from start_decoder"),
        **_unchanged("colours shared_blocks dssim loss_weights"),
    },
    "ConversionOptions": _unchanged(
        "mask erosion blur seamless batch_size chunk_frames frame_ranges discard clone mouth detail colours"
    ),
    "FrameRange": _unchanged("first last"),
    "Level": _unchanged("name codec crf pixel_format preset coder keyframe_interval tagged"),
}
"""For each message: names of fields in the proto, and their names in digests."""


def digest_values(message: Message) -> JsonObject:
    """Return the fields of a recipe message that are set, as JSON values under their names in digests.

    Values that `implied` names are left out: they keep the digests from before the field existed.
    """
    kind = message.DESCRIPTOR.name
    left_out = implied(message)
    json_values = json_format.MessageToDict(message, preserving_proto_field_name=True)
    values: JsonObject = {}
    for field, value in message.ListFields():
        name = DIGEST_NAMES[kind][field.name]
        if field.message_type is not None:
            items: Sequence[Message] = value
            values[name] = [digest_values(item) for item in items]
        elif left_out.get(field.name) != value:  # not the JSON value: 64-bit integers are strings there
            values[name] = json_values[field.name]
    return values


def implied(message: Message) -> JsonObject:
    """Return the implied values of a recipe message, by field."""
    if isinstance(message, recipe_pb2.ExtractionOptions):
        return {"subject": "largest"}
    if isinstance(message, recipe_pb2.TrainingOptions):
        return {
            "face_size": 64,
            "retry_learning_rate_factor": 0.0,
            "augmentation": "two_stages",
            "common_iterations": 0,
            "start_from": "",
            "start_decoder": "a",
            "colours": "kept",
            "shared_blocks": 0,
            "dssim": 0.0,
            "loss_weights": "even",
        }
    if isinstance(message, recipe_pb2.ConversionOptions):
        return {"mouth": "source", "detail": 0.0, "colours": "source"}
    if isinstance(message, recipe_pb2.Level):
        lossless = message.codec == "libx264rgb" and message.crf == 0
        # CAVLC is faster to write than CABAC and takes less than half the time to read, which counts where there are
        # very many bits: for a tenth more of them (benchmarks/raw_presets.py).
        return {"coder": "cavlc" if lossless else "cabac", "keyframe_interval": 250, "tagged": False}
    return {}


def complete(message: Message) -> None:
    """Set the fields of a recipe message that are not set and have an implied value."""
    whole = json_format.ParseDict(implied(message), type(message)())
    whole.MergeFrom(message)
    message.CopyFrom(whole)
