"""The C2PA manifests of real videos, fakes and masks, as the library takes them. Pure functions on records."""

from __future__ import annotations

from typing import Final

from facefoundry import __version__, codec
from facefoundry.codec import JsonObject, JsonValue
from facefoundry.provenance.videos import SignedFacts

__all__ = ["ASSERTION", "CLIP", "MODEL", "SOURCE", "TARGET", "ingredient", "manifest"]

ASSERTION: Final = "org.facefoundry.sequence"
"""Label of the assertion that holds `SignedFacts`."""
CLIP, TARGET, SOURCE, MODEL = "clip", "target", "source", "model"
_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_AGENT: JsonObject = {"name": "FaceFoundry", "version": __version__}
_DETECTORS: JsonObject = {"use": "constrained", "constraint_info": "to train and test detectors of face manipulation"}


def manifest(facts: SignedFacts) -> JsonObject:
    """Return the manifest of a video, without the ingredients that are signed files.

    A clip and a model are no signed files: the library keeps no digest of them, so `facts` has it.
    """
    made: JsonObject = {
        "claim_generator_info": [_AGENT],
        "title": facts.path.rpartition("/")[2],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": _actions(facts)}},
            {"label": "cawg.training-mining", "data": {"entries": _uses()}},
            {"label": ASSERTION, "data": codec.to_values(facts)},
        ],
    }
    if facts.kind == "real":
        return {**made, "ingredients": [ingredient(CLIP, facts.clip or "clip", "parentOf", "video/mp4")]}
    if facts.kind == "fake":
        model = ingredient(MODEL, "weights.safetensors", "inputTo", "application/octet-stream")
        return {**made, "ingredients": [model | {"data_types": [{"type": "c2pa.types.model"}]}]}
    return made


def ingredient(label: str, title: str, relationship: str, format_: str) -> JsonObject:
    """Return the definition of an ingredient.

    Args:
        label: The label by which the actions name it.
        title: Its name for people.
        relationship: `parentOf` or `inputTo`.
        format_: Its media type.
    """
    return {"label": label, "title": title, "relationship": relationship, "format": format_}


def _actions(facts: SignedFacts) -> list[JsonValue]:
    transcoded: JsonObject = {"action": "c2pa.transcoded", "softwareAgent": _AGENT}
    match facts.kind:
        case "real":
            return [_opened(CLIP), transcoded]
        case "fake":
            edited: JsonObject = {
                "action": "c2pa.edited",
                "description": "The face was replaced.",
                "digitalSourceType": f"{_TYPES}compositeWithTrainedAlgorithmicMedia",
                "softwareAgent": _AGENT,
                "parameters": {"ingredientIds": [SOURCE, MODEL]},
            }
            return [_opened(TARGET), edited, transcoded]
        case "mask":
            kind = f"{_TYPES}algorithmicMedia"
            return [{"action": "c2pa.created", "digitalSourceType": kind, "softwareAgent": _AGENT}]


def _opened(label: str) -> JsonObject:
    return {"action": "c2pa.opened", "parameters": {"ingredientIds": [label]}}


def _uses() -> JsonObject:
    """Return what the video may be used for: detectors, and no model that generates pictures."""
    return {
        "cawg.ai_training": _DETECTORS,
        "cawg.data_mining": _DETECTORS,
        "cawg.ai_inference": {"use": "allowed"},
        "cawg.ai_generative_training": {"use": "notAllowed"},
    }
