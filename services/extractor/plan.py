"""Plans of extractions and inspections: which files are fetched, what runs on them, and where the result is stored.

A plan is made from the request and from manifests alone; no media is read.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from facefoundry import codec, recipes
from facefoundry.codec import JsonObject
from facefoundry.errors import InvalidInput
from facefoundry.recipes import ranges
from facefoundry.recipes.digests import digest_values
from facefoundry.storage import keys
from facefoundry.storage.info import ExtractionInfo
from facefoundry.storage.parts import ALIGNMENTS_OF_FACES, FACES
from facefoundry.storage.sources import find_source
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2
from facefoundry.work.plan import Job, Plan
from services.extractor import engines
from services.extractor.functions import (
    EXTRACT,
    INSPECT,
    Chosen,
    ExtractArgs,
    ExtractionOptions,
    FaceShares,
    InspectArgs,
    Inspection,
)

__all__ = ["ALGORITHM_VERSION", "EMBED_EVERY", "EMBED_EVERY_OF_FAKE", "plan_extraction", "plan_inspection"]

ALGORITHM_VERSION = 9
"""Version of what extractions compute.

Increment it when equal inputs give other boxes or crops: results and parts of another version are not reused.

2: the tracker returns only boxes that the detector could also return for the whole frame.
3 and 4: other such boxes are tried.
5: crops have the pixels of OpenCV 3.4.1.
6: frames are mirrored where a display matrix says so, and frame rates are those of time stamps.
7: faces that the detector is not sure of are found where a face was a moment ago, or once they are turned upright;
   landmarks of tilted faces are predicted upright; with `identity`, embeddings decide which face is the subject's.
"""

EMBED_EVERY = 6
"""Of six frames of a clip at least one has its face embedded, which takes three times as long as all else.

It divides the default of `detect_every`, because faces that the detector found are embedded too.
"""

EMBED_EVERY_OF_FAKE = 3
"""The same of a fake."""

WeightsFolder = Callable[[Store, str], Path | None]
"""Returns the folder with the weights of the engine of a given name; None if the engine's package contains them.

It may fetch them, from the store of the call.
"""


def plan_extraction(
    store: Store,
    request: extractor_pb2.ExtractRequest,
    weights_folder: WeightsFolder,
    part_frames: int,
    shares: FaceShares,
) -> Plan[ExtractArgs, ExtractionInfo]:
    """Plan an extraction.

    Args:
        store: The object store.
        request: The request.
        weights_folder: Returns the folder with an engine's weights.
        part_frames: Number of frames in each part.
        shares: Shares of frames with the subject's face below which there is a warning, or the clip is refused.

    Raises:
        InvalidInput: a field of the request is wrong.
        NotFound: the source does not exist.
    """
    recipe = recipes.resolve(request.recipe)
    which, subject = request.subject.WhichOneof("chosen"), request.subject
    if which == "rule":
        recipe.extraction.subject = subject.rule
    recipe.extraction.identity = recipe.extraction.identity or bool(which) or recipe.extraction.subject != "largest"
    person: JsonObject = {}
    if which == "point":
        person = {"kind": which, "frame": subject.point.frame, "x": subject.point.x, "y": subject.point.y}
    elif which == "picture":
        person = {"kind": which, "picture": base64.b64encode(subject.picture).decode()}
    options = codec.from_values(ExtractionOptions, recipes.options(recipe.extraction))
    # The faces of a fake change from one person to another by design, so it is followed as FF++ does.
    is_fake = "/conversions/" in request.source_uri
    follows = options.identity and not is_fake
    embed_every = EMBED_EVERY_OF_FAKE if is_fake else EMBED_EVERY
    chosen = codec.from_values(Chosen, {"kind": options.subject, **person}) if follows else None
    excluded = _excluded(request)
    left_out: JsonObject = {"excluded": [{**item} for item in excluded]} if excluded else {}
    source = find_source(store, request.source_uri, request.sequence_id)
    digest = keys.digest_of(
        {
            "source": source.digest,
            "options": digest_values(recipe.extraction),
            "version": recipe.version,
            "method": ALGORITHM_VERSION,
            **({"subject": person} if person else {}),
            **left_out,
            **({"embedded": embed_every} if is_fake or follows else {}),
            # The digest of a source is that of its bytes; that of a fake is not.
            **({"bytes": [part.sha256 for part in source.files.values()]} if is_fake else {}),
        }
    )

    def arguments(call: Store) -> ExtractArgs:
        engines.require_landmarks(recipe.extraction.engine)
        return ExtractArgs(
            clip_files=tuple(source.files),
            frame_rate=source.frame_rate,
            tolerate_damage=source.tolerate_damage,
            weights_dir=weights_folder(call, recipe.extraction.engine),
            name=request.sequence_id,
            options=options,
            part_frames=part_frames,
            chosen=chosen,
            shares=shares,
            is_fake=is_fake,
            embed_every=embed_every,
            excluded=tuple(excluded),
        )

    return Plan(
        kind="extraction",
        prefix=keys.extraction(digest),
        job=Job(
            source=source,
            files=source.files,
            function=EXTRACT,
            arguments=arguments,
        ),
        resumable=[FACES, ALIGNMENTS_OF_FACES],
        inputs={"source": source.uri, **left_out},
        options=recipes.options(recipe.extraction),
        info={"synthetic": is_fake},
    )


def _excluded(request: extractor_pb2.ExtractRequest) -> list[dict[str, int]]:
    """Return the ranges of excluded frames."""
    found = [{"first": 0, **ranges.range_of(item)} for item in request.excluded_frames]
    wrong = list(ranges.violations(found, "excluded_frames"))
    if wrong:
        listed = "; ".join(f"{each.field} {each.description}" for each in wrong)
        raise InvalidInput(f"The request is wrong: {listed}.", reason="EXCLUDED_FRAMES", violations=wrong)
    return found


def plan_inspection(
    store: Store, request: extractor_pb2.InspectRequest, weights_folder: WeightsFolder, max_total: int
) -> Job[InspectArgs, Inspection]:
    """Plan an inspection, a job whose result is returned and not stored; arguments as in `plan_extraction`.

    A clip with more than `max_total` pixels in all its frames is refused as it is read.

    Raises:
        InvalidInput: a field of the request is wrong.
        NotFound: the source does not exist.
    """
    engine = request.engine or recipes.load().extraction.engine
    engines.find(engine)
    source = find_source(store, request.source_uri)
    return Job(
        source=source,
        files=source.files,
        function=INSPECT,
        arguments=lambda call: InspectArgs(
            clip_files=tuple(source.files),
            frame_rate=source.frame_rate,
            tolerate_damage=source.tolerate_damage,
            weights_dir=weights_folder(call, engine),
            engine=engine,
            sample_frames=request.sample_frames,
            max_total=max_total,
        ),
    )
