"""Plans of conversions and transcodings: which files are fetched, what runs on them, and where the result is stored.

A plan is made from the request and from manifests alone; no media is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from facefoundry import codec, recipes
from facefoundry.codec import JsonObject
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.media.level import Level
from facefoundry.recipes import ranges
from facefoundry.recipes.digests import digest_values
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ConversionFacts, ExtractionInfo, VideoFacts
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.models import find_model
from facefoundry.storage.parts import ALIGNMENTS, CHUNKS, WEIGHTS
from facefoundry.storage.revocation import refuse_revoked
from facefoundry.storage.sources import find_source, synthetic
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, recipe_pb2
from facefoundry.work.plan import Job, Plan
from services.converter.functions import (
    CONVERT,
    TRANSCODE,
    Content,
    ConversionOptions,
    ConvertArgs,
    FakeRights,
    Letter,
    Start,
    TranscodeArgs,
)

__all__ = ["ALGORITHM_VERSION", "plan_conversion", "plan_transcoding"]

ALGORITHM_VERSION = 8
"""Version of what conversions and transcodings compute.

Increment it when equal inputs give other pixels, chunks or video streams: results of another version are not reused.
Transcodings have the same version, because real videos go through the same encoders as fakes.

2: Poisson's equation is solved by `poisson` and no longer by cv2.seamlessClone.
3: chunks hold blend masks as pictures of their own, and levels are encoded by one thread.
4: chunks hold differences from the target outside the blend mask.
5: convolutions are computed by Winograd's filtering, and the place of a face in a batch depends on its frame number.
6: mask videos have no colour, raw videos are coded in CAVLC, and Winograd's filtering skips channels whose kernel is 0.
7: faces are read, pasted and cloned with the pixels of OpenCV 3.4.1, labels count the pixels that changed outside the
mask or on its edge, and containers are those of FF++'s files.
8: frames are mirrored where a display matrix says so, and frame rates are those of time stamps.
"""

_LETTERS: dict[common_pb2.Side.ValueType, Letter] = {common_pb2.SIDE_A: "a", common_pb2.SIDE_B: "b"}
_OTHER: dict[Letter, Letter] = {"a": "b", "b": "a"}


def plan_conversion(store: Store, request: converter_pb2.ConvertRequest) -> Plan[ConvertArgs, ConversionFacts]:
    """Plan a conversion.

    Raises:
        InvalidInput: a field of the request is wrong.
        NotFound: the model, the extraction or its source does not exist.
        Unusable: one of them, or the rights to a clip, were revoked (REVOKED).
    """
    refuse_revoked(store, request.target_rights, request.source_rights)
    side = _LETTERS[request.target_side]
    decoder = side if request.control else _OTHER[side]
    recipe = recipes.resolve(request.recipe)
    conversion = _conversion(recipe)
    levels = _levels(recipe, only_raw=request.control)
    used, specs = _options(recipe, levels), _specs(levels)
    options = codec.from_values(ConversionOptions, recipes.options(conversion))
    model_prefix = keys.prefix_of(store.bucket, request.model_uri, ("models", "imports"), "model_uri")
    extraction_prefix = keys.prefix_of(
        store.bucket, request.target_extraction_uri, "extractions", "target_extraction_uri"
    )
    model, extraction = find_model(store, model_prefix), manifest.load(store, extraction_prefix)
    trained_as = _trained_as(model, extraction)
    if trained_as == _OTHER[side]:
        raise InvalidInput(
            f"Expected target_extraction_uri to be the extraction of side {side.upper()}, as target_side says. "
            f"Received the extraction on which the model trained as side {trained_as.upper()}. "
            "Change target_side or target_extraction_uri.",
            reason="WRONG_SIDE",
            violations=[FieldViolation("target_side", f"must be SIDE_{trained_as.upper()} for this extraction")],
        )
    _check_ranges(options, extraction)
    digest = keys.digest_of(
        {
            "model": model.content_digest,
            "target": extraction.content_digest,
            "side": side,
            "control": request.control,
            "options": digest_values(conversion),
            "compression": [digest_values(level) for level in levels],
            "version": recipe.version,
            "method": ALGORITHM_VERSION,
        }
    )
    uri = str(extraction.inputs.get("source", ""))
    source = find_source(store, uri, request.target_id, "source of the extraction")
    rights = FakeRights(request.target_rights or source.rights, request.source_rights or FakeRights().source_rights)
    return Plan(
        kind="conversion",
        prefix=keys.conversion(digest),
        job=Job(
            source=source,
            files={**source.files, ALIGNMENTS: extraction.part(ALIGNMENTS), WEIGHTS: model.part(WEIGHTS)},
            function=CONVERT,
            arguments=lambda _: ConvertArgs(
                clip_files=tuple(source.files),
                frame_rate=source.frame_rate,
                tolerate_damage=source.tolerate_damage,
                levels=specs,
                alignments=ALIGNMENTS,
                weights=WEIGHTS,
                decoder=decoder,
                control=request.control,
                options=options,
                target=Content(request.target_extraction_uri, extraction.content_digest),
                model=Content(request.model_uri, model.content_digest),
                start=codec.from_values(Start, {**model.inputs, **model.options}),
                rights=rights,
            ),
        ),
        resumable=[CHUNKS],
        inputs={
            "model": request.model_uri,
            "model_digest": model.content_digest,
            "target": request.target_extraction_uri,
            "target_digest": extraction.content_digest,
            "source": source.uri,
            "source_digest": source.content_digest,
        },
        options={**used, "conversion": recipes.options(conversion)},
        info={
            "synthetic": True,
            "target_id": request.target_id,
            "source_id": request.source_id,
            "target_side": side,
            "decoder_side": decoder,
            "control": request.control,
            "trained_on_target": trained_as == side,
            "rights": rights.target_rights,
            "source_rights": rights.source_rights,
        },
    )


def plan_transcoding(store: Store, request: converter_pb2.TranscodeRequest) -> Plan[TranscodeArgs, VideoFacts]:
    """Plan a transcoding.

    Raises:
        InvalidInput: a field of the request is wrong, or the source is a fake (SYNTHETIC).
        NotFound: the source does not exist.
    """
    recipe = recipes.resolve(request.recipe)
    if keys.kind_of(request.source_uri) == "conversions":
        raise synthetic(request.source_uri, "source_uri", "A conversion has its levels already.")
    source = find_source(store, request.source_uri, request.sequence_id)
    levels = _levels(recipe)
    digest = keys.digest_of(
        {
            "source": source.content_digest,
            "frame_rate": source.frame_rate,
            **({"tolerate_damage": True} if source.tolerate_damage else {}),
            "compression": [digest_values(level) for level in levels],
            "version": recipe.version,
            "method": ALGORITHM_VERSION,
        }
    )
    return Plan(
        kind="transcoding",
        prefix=keys.conversion(digest),
        job=Job(
            source=source,
            files=source.files,
            function=TRANSCODE,
            arguments=lambda _: TranscodeArgs(
                clip_files=tuple(source.files),
                frame_rate=source.frame_rate,
                tolerate_damage=source.tolerate_damage,
                levels=_specs(levels),
            ),
        ),
        resumable=[],
        inputs={"source": source.uri, "source_digest": source.content_digest},
        options=_options(recipe, levels),
        info={"synthetic": False, "sequence_id": request.sequence_id, "rights": source.rights},
    )


def _trained_as(model: Manifest, extraction: Manifest) -> Letter | None:
    """Return the side as which the extraction was used to train the model; None if it was not used."""
    for side in _OTHER:
        if extraction.content_digest == model.inputs.get(f"content_{side}"):
            return side
    return None


def _conversion(recipe: recipe_pb2.Recipe) -> recipe_pb2.ConversionOptions:
    """Return the recipe's conversion options; options without an effect are cleared.

    `discard` has no effect without frame ranges, and `clone` has no effect without `seamless`.
    """
    conversion = recipe_pb2.ConversionOptions()
    conversion.CopyFrom(recipe.conversion)
    if not conversion.frame_ranges:
        conversion.ClearField("discard")
    if not conversion.seamless:
        conversion.ClearField("clone")
    return conversion


def _check_ranges(options: ConversionOptions, extraction: Manifest) -> None:
    if not options.frame_ranges:
        return
    frame_count = extraction.info_as(ExtractionInfo).frame_count
    violations = list(ranges.out_of_bounds(options.frame_ranges, frame_count))
    if violations:
        listed = "; ".join(f"{violation.field} {violation.description}" for violation in violations)
        message = (
            f"Expected frame_ranges within the {frame_count} frames of the target. Received ranges beyond its end: "
            f"{listed}. Change the ranges in the recipe."
        )
        raise InvalidInput(message, reason="FRAME_RANGES", violations=violations)


def _levels(recipe: recipe_pb2.Recipe, *, only_raw: bool = False) -> list[recipe_pb2.Level]:
    return [level for level in recipe.compression.levels if level.name == "raw" or not only_raw]


def _specs(levels: Sequence[recipe_pb2.Level]) -> tuple[Level, ...]:
    return tuple(codec.from_values(Level, recipes.options(level)) for level in levels)


def _options(recipe: recipe_pb2.Recipe, levels: Sequence[recipe_pb2.Level]) -> JsonObject:
    return {
        "recipe": recipe.name,
        "version": recipe.version,
        "method": ALGORITHM_VERSION,
        "compression": [recipes.options(level) for level in levels],
    }
