"""What a request asks for, from manifests alone: where it will be, what it is made of, what the child gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from facefoundry import recipes
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.recipes import ranges
from facefoundry.recipes.digests import digest_values
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.parts import ALIGNMENTS, WEIGHTS
from facefoundry.storage.sources import SourceFiles, find_source
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, recipe_pb2

__all__ = ["Plan", "of_conversion", "of_transcoding"]

# What conversions and transcodings compute. It counts up when equal inputs give other pixels, chunks or streams, so
# that older ones are not taken for new ones, and reals go through the same encoders as fakes. 2: Poisson's equation
# is solved here and no longer by cv2.seamlessClone. 3: chunks hold blend masks as pictures of their own, and levels
# are encoded by one thread. 4: outside the blend mask chunks hold differences from the target. 5: convolutions are
# computed by Winograd's filtering, each face in its frame's own place of a window. 6: masks have no colour, exact
# pixels are in CAVLC, and Winograd's filtering leaves out the channels that a point does not see.
_METHOD = 6

_LETTERS = {common_pb2.SIDE_A: "a", common_pb2.SIDE_B: "b"}
_OTHER = {"a": "b", "b": "a"}


@dataclass(frozen=True)
class Plan:
    """One piece of work.

    Attributes:
        kind: `conversion` or `transcoding`.
        prefix: Where its parts go.
        function: What the child runs.
        files: What the child reads, local name to part; the source's files among them.
        source: The source.
        arguments: What else the child gets.
        inputs: For the manifest: URIs and content digests of what it is made of.
        options: For the manifest: recipe fields that were used.
        info: For the manifest: facts that are known before the work.
    """

    kind: str
    prefix: str
    function: str
    files: dict[str, Part]
    source: SourceFiles
    arguments: dict[str, Any]
    inputs: dict[str, Any]
    options: dict[str, Any]
    info: dict[str, Any]


def of_conversion(store: Store, request: converter_pb2.ConvertRequest) -> Plan:
    """Plan a conversion.

    Raises:
        InvalidInput: a field of the request is wrong.
        NotFound: the model, the extraction or its source is not there.
    """
    target_id = keys.sequence_id(request.target_id, "target_id")
    source_id = keys.sequence_id(request.source_id, "source_id")
    side = _side(request.target_side)
    recipe = recipes.resolve(request.recipe)
    model = manifest.load(store, store.prefix_of(request.model_uri, "models", "model_uri"))
    extraction_prefix = store.prefix_of(request.target_extraction_uri, "extractions", "target_extraction_uri")
    extraction = manifest.load(store, extraction_prefix)
    trained_on = _check_side(model, extraction, side)
    source_uri = str(extraction.inputs.get("source", ""))
    source = find_source(store, source_uri, target_id, "source of the extraction")
    conversion = _conversion(recipe, extraction)
    options = recipes.options(conversion)
    levels = _levels(recipe, only_raw=request.control)
    levels_used = [recipes.options(level) for level in levels]
    decoder = side if request.control else _OTHER[side]
    digest = keys.digest_of(
        {
            "model": model.content_digest,
            "target": extraction.content_digest,
            "side": side,
            "control": request.control,
            "options": digest_values(conversion),
            "compression": [digest_values(level) for level in levels],
            "version": recipe.version,
            "method": _METHOD,
        }
    )
    return Plan(
        kind="conversion",
        prefix=keys.conversion(digest),
        function="services.converter.pipeline:convert",
        files={**source.files, ALIGNMENTS: extraction.part(ALIGNMENTS), WEIGHTS: model.part(WEIGHTS)},
        source=source,
        arguments={
            "frame_rate": source.frame_rate,
            "decoder": decoder,
            "options": options,
            "levels": levels_used,
            "control": request.control,
        },
        inputs={
            "model": request.model_uri,
            "model_digest": model.content_digest,
            "target": request.target_extraction_uri,
            "target_digest": extraction.content_digest,
            "source": source_uri,
            "source_digest": source.content_digest,
        },
        options={
            "recipe": recipe.name,
            "version": recipe.version,
            "method": _METHOD,
            "conversion": options,
            "compression": levels_used,
        },
        info={
            "synthetic": True,
            "target_id": target_id,
            "source_id": source_id,
            "target_side": side,
            "decoder_side": decoder,
            "control": request.control,
            "trained_on_target": trained_on,
            "rights": source.rights,
        },
    )


def of_transcoding(store: Store, request: converter_pb2.TranscodeRequest) -> Plan:
    """Plan a transcoding.

    Raises:
        InvalidInput: a field of the request is wrong.
        NotFound: the source is not there.
    """
    sequence_id = keys.sequence_id(request.sequence_id)
    recipe = recipes.resolve(request.recipe)
    source = find_source(store, request.source_uri, sequence_id)
    levels = _levels(recipe, only_raw=False)
    levels_used = [recipes.options(level) for level in levels]
    digest = keys.digest_of(
        {
            "source": source.content_digest,
            "frame_rate": source.frame_rate,
            "compression": [digest_values(level) for level in levels],
            "version": recipe.version,
            "method": _METHOD,
        }
    )
    return Plan(
        kind="transcoding",
        prefix=keys.conversion(digest),
        function="services.converter.pipeline:transcode",
        files=source.files,
        source=source,
        arguments={"frame_rate": source.frame_rate, "levels": levels_used},
        inputs={"source": request.source_uri, "source_digest": source.content_digest},
        options={"recipe": recipe.name, "version": recipe.version, "method": _METHOD, "compression": levels_used},
        info={
            "synthetic": False,
            "sequence_id": sequence_id,
            "rights": source.rights,
        },
    )


def _side(value: common_pb2.Side.ValueType) -> str:
    if value not in _LETTERS:
        name = common_pb2.Side.Name(value) if value in common_pb2.Side.values() else value
        message = f"Expected target_side SIDE_A or SIDE_B. Received {name}."
        violation = FieldViolation("target_side", "must be SIDE_A or SIDE_B")
        raise InvalidInput(message, reason="SIDE", violations=[violation])
    return _LETTERS[value]


def _check_side(model: Manifest, extraction: Manifest, side: str) -> bool:
    """Say whether the model was trained on this very target; refuse a target that was its other side."""
    content = {letter: model.inputs.get(f"content_{letter}") for letter in _OTHER}
    if extraction.content_digest == content[side]:
        return True
    if extraction.content_digest == content[_OTHER[side]]:
        received = f"side {_OTHER[side].upper()} of this model"
        raise InvalidInput(
            f"Expected the extraction of side {side.upper()}, as target_side says. Received that of {received}.",
            reason="WRONG_SIDE",
            violations=[FieldViolation("target_side", f"the target is {received}")],
        )
    return False


def _conversion(recipe: recipe_pb2.Recipe, extraction: Manifest) -> recipe_pb2.ConversionOptions:
    """The conversion options that this target needs; `discard` is left out where there are no frame ranges."""
    conversion = recipe_pb2.ConversionOptions()
    conversion.CopyFrom(recipe.conversion)
    if not conversion.frame_ranges:
        conversion.ClearField("discard")
        return conversion
    frame_ranges = recipes.options(conversion)["frame_ranges"]
    beyond = list(ranges.out_of_bounds(frame_ranges, int(extraction.info["frame_count"])))
    if beyond:
        listed = "; ".join(f"{violation.field} {violation.description}" for violation in beyond)
        raise InvalidInput(f"The target is too short: {listed}.", reason="FRAME_RANGES", violations=beyond)
    return conversion


def _levels(recipe: recipe_pb2.Recipe, *, only_raw: bool) -> list[recipe_pb2.Level]:
    return [level for level in recipe.compression.levels if level.name == "raw" or not only_raw]
