"""Frame ranges and discard: which frames are swapped, which are written, what labels and digests say of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry import codec, recipes
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.faces.alignments import NO_FACE
from facefoundry.media.read import open_source
from facefoundry.recipes import ranges
from facefoundry.recipes.digests import digest_values
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ConversionFacts, ExtractionInfo, FrameRate
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.parts import MASKS
from facefoundry.v1 import common_pb2, converter_pb2, recipe_pb2
from facefoundry.work.workspace import Workspace
from services.converter import pipeline
from services.converter.functions import ConversionOptions, ConvertArgs, Start
from services.converter.plan import plan_conversion
from tests.services.child import do
from tests.services.converter.conftest import CONVERSION
from tests.sources import put_source

Arguments = Callable[..., tuple[ConvertArgs, Workspace]]

# The clip has 20 frames in chunks of 8; 3, 12 and 13 have no face, that of 19 lies outside.
RANGES = ({"last": 4}, {"first": 10, "last": 16})
WITHIN = [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16]
FACELESS = [3, 12, 13]


def collect(arguments: ConvertArgs, workspace: Workspace) -> tuple[dict[str, Path], ConversionFacts]:
    done = do(pipeline.convert(arguments, workspace), workspace)
    return done.parts, done.result.info


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with open_source(path) as source:
        return list(source)


def ranged(frame_ranges: tuple[dict[str, int], ...] = RANGES, *, discard: bool = False) -> ConversionOptions:
    return replace(CONVERSION, frame_ranges=frame_ranges, discard=discard)


@pytest.fixture
def whole(convert_arguments: Arguments) -> list[NDArray[np.uint8]]:
    """Raw frames of the conversion of all frames."""
    return decoded(collect(*convert_arguments())[0]["raw.mp4"])


@pytest.mark.parametrize("discard", [False, True])
def test_only_frames_within_the_ranges_are_swapped(
    convert_arguments: Arguments, clip: Any, whole: list[NDArray[np.uint8]], discard: bool
) -> None:
    parts, result = collect(*convert_arguments(options=ranged(discard=discard)))
    written = WITHIN if discard else list(range(20))
    rows = json.loads(parts["labels.json"].read_bytes())["frames"]
    assert [row["frame"] for row in rows] == written
    for row, frame in zip(rows, decoded(parts["raw.mp4"]), strict=True):
        number = row["frame"]
        swapped = number in WITHIN and number not in FACELESS
        assert row["swapped"] is swapped
        assert row["reason"] == (None if swapped else "NO_FACE" if number in WITHIN else "OUT_OF_RANGE")
        np.testing.assert_array_equal(frame, whole[number] if swapped else clip.frames[number])
    for name in ("c23", "c40", *MASKS):
        with open_source(parts[f"{name}.mp4"]) as source:
            assert source.info.frame_rate == clip.rate
            shown = [bool(frame.any()) for frame in source]
        assert len(shown) == len(written)
        assert name not in MASKS or shown == [row["swapped"] for row in rows]
    unswapped = {"NO_FACE": 3} if discard else {"NO_FACE": 3, "OUT_OF_RANGE": 8}
    assert (result.frame_count, result.swapped_count, result.unswapped) == (len(written), 9, unswapped)
    assert result.samples and set(result.samples) <= set(WITHIN) - set(FACELESS)
    assert result.quality["swapped_share"] == pytest.approx(9 / len(written))


@pytest.mark.parametrize("discard", [False, True])
def test_a_cut_conversion_with_ranges_goes_on_to_the_same_end(convert_arguments: Arguments, discard: bool) -> None:
    unbroken, result = collect(*convert_arguments(options=ranged(discard=discard)))
    chunk_files = {name: unbroken[name] for name in ("chunk-00000.tar", "chunk-00001.tar")}
    rest, resumed = collect(*convert_arguments(chunk_files=chunk_files, options=ranged(discard=discard)))
    assert resumed == result
    for name, path in rest.items():
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(unbroken[name].read_bytes()).digest(), name


@pytest.mark.parametrize(("number", "is_refused"), [(16, True), (18, False)])
def test_only_frames_that_are_kept_are_compared_with_the_extraction(
    convert_arguments: Arguments, clip: Any, tmp_path: Path, number: int, is_refused: bool
) -> None:
    digests = clip.alignments.frame_digests.copy()
    digests[number] ^= np.uint64(1)
    (tmp_path / "other").write_bytes(replace(clip.alignments, frame_digests=digests).to_bytes())
    arguments = convert_arguments(alignments=str(tmp_path / "other"), options=ranged(discard=True))
    if not is_refused:
        assert collect(*arguments)[1].swapped_count == 9
        return
    with pytest.raises(Unusable, match=f"frame {number} "):
        collect(*arguments)


def test_nothing_is_measured_between_frames_that_do_not_follow_each_other(convert_arguments: Arguments) -> None:
    apart = tuple({"first": number, "last": number} for number in (0, 2, 5, 8))
    _, result = collect(*convert_arguments(options=ranged(apart, discard=True)))
    assert result.swapped_count == 4
    assert result.quality["mean_flicker"] == 0
    together = ({"first": 5, "last": 8},)
    _, result = collect(*convert_arguments(options=ranged(together, discard=True)))
    assert result.quality["mean_flicker"] > 0


def test_ranges_without_any_face_are_refused(convert_arguments: Arguments) -> None:
    with pytest.raises(Unusable, match="within the frame ranges") as caught:
        collect(*convert_arguments(options=ranged(({"first": 12, "last": 13},))))
    assert caught.value.reason == "NO_FACE"


def test_taken_alignments_are_the_rows_of_their_frames(clip: Any) -> None:
    taken = clip.alignments.take([2, 3, 9])
    assert len(taken) == 3
    np.testing.assert_array_equal(taken.landmarks, clip.alignments.landmarks[[2, 3, 9]])
    assert taken.reasons.tolist() == [0, NO_FACE, 0]
    assert (taken.decoder, taken.frame_rate) == (clip.alignments.decoder, clip.alignments.frame_rate)


@pytest.fixture
def request_with(store: Any, tmp_path: Path) -> Callable[..., converter_pb2.ConvertRequest]:
    """Makes requests on a model and an extraction of 20 frames that are there by their manifests alone."""

    def put(prefix: str, kind: str, inputs: dict[str, Any], info: dict[str, Any], *names: str, **options: Any) -> str:
        parts = tuple(manifest.put_part(store, prefix, name, b"never read") for name in names)
        manifest.commit(store, prefix, Manifest(kind, inputs, options, parts, info, keys.digest_of({"of": prefix})))
        return str(store.uri(prefix))

    of = {name: keys.digest_of({"ranges": name}) for name in ("extraction", "model")}
    (tmp_path / "target.mp4").write_bytes(b"never read")
    source = put_source(store, tmp_path / "target.mp4")
    facts = ExtractionInfo(
        content_digest="0" * 64,
        frame_count=20,
        face_count=20,
        missing=[],
        frame_rate=FrameRate(25, 1),
        width=161,
        height=121,
        engine="dlib",
    )
    extraction = put(
        keys.extraction(of["extraction"]),
        "extraction",
        {"source": source},
        codec.to_values(facts),
        "alignments.safetensors",
    )
    begun = {"base_digest": "5" * 64, "content_a": "0" * 64}
    model = put(keys.model(of["model"], 1), "model", begun, {}, "weights.safetensors", common_iterations=500, seed="0")

    def make(*assignments: str) -> converter_pb2.ConvertRequest:
        recipe = recipe_pb2.Recipe(name="ffpp")
        for assignment in assignments:
            recipes.override(recipe, assignment)
        return converter_pb2.ConvertRequest(
            model_uri=model,
            target_extraction_uri=extraction,
            target_side=common_pb2.SIDE_A,
            target_id="033",
            source_id="097",
            recipe=recipe,
        )

    return make


def test_ranges_and_discard_are_part_of_the_digest(store: Any, request_with: Any) -> None:
    asked = [
        (),
        ("conversion.frame_ranges=0-9",),
        ("conversion.frame_ranges=0-10",),
        ("conversion.frame_ranges=0-9", "conversion.discard=true"),
    ]
    prefixes = [plan_conversion(store, request_with(*assignments)).prefix for assignments in asked]
    assert len(set(prefixes)) == len(asked)


def test_the_clone_is_part_of_the_digest_if_faces_are_cloned(store: Any, request_with: Any) -> None:
    asked = [
        ("conversion.clone=opencv-3.4.1",),
        ("conversion.clone=opencv-5",),
        ("conversion.clone=opencv-3.4.1", "conversion.seamless=false"),
        ("conversion.clone=opencv-5", "conversion.seamless=false"),
    ]
    plans = [plan_conversion(store, request_with(*assignments)) for assignments in asked]
    ours, fives, alphas = plans[0].prefix, plans[1].prefix, {planned.prefix for planned in plans[2:]}
    assert len({ours, fives, *alphas}) == 3
    assert [planned.job.arguments(store).options.clone for planned in plans] == ["opencv-3.4.1", "opencv-5", None, None]


def test_a_conversion_knows_how_the_training_of_its_model_began(store: Any, request_with: Any) -> None:
    assert plan_conversion(store, request_with()).job.arguments(store).start == Start("5" * 64, 500)


def test_a_conversion_of_all_frames_is_found_where_it_was_before_there_were_ranges(
    store: Any, request_with: Any
) -> None:
    planned = plan_conversion(store, request_with())
    before: dict[str, object] = {"mask": "facehullandrect", "erosion": 0, "blur": 2, "seamless": True}
    before |= {"clone": "opencv-3.4.1", "batch_size": 16, "chunk_frames": 256}
    assert planned.options["conversion"] == {**before, "mouth": "source", "detail": 0.0, "colours": "source"}
    conversion = recipes.load("ffpp").conversion
    conversion.ClearField("discard")
    assert digest_values(conversion) == before, "what was there before there were these fields"


@pytest.mark.parametrize(
    ("written", "field"),
    [("0-20", "[0]"), ("0-3,25-30", "[1]"), ("20-max", "[0]"), ("0-4,5-10,12-20", "[2]")],
)
def test_ranges_beyond_the_target_are_refused_by_field(store: Any, request_with: Any, written: str, field: str) -> None:
    with pytest.raises(InvalidInput, match="the 20 frames of the clip, 0-19") as caught:
        plan_conversion(store, request_with(f"conversion.frame_ranges={written}"))
    assert caught.value.reason == "FRAME_RANGES"
    assert [violation.field for violation in caught.value.violations] == [f"recipe.{ranges.FIELD}{field}"]


@pytest.mark.parametrize("written", ["0-19", "19-max", "min-max"])
def test_ranges_up_to_the_last_frame_are_taken(store: Any, request_with: Any, written: str) -> None:
    plan_conversion(store, request_with(f"conversion.frame_ranges={written}"))
