"""The child's work on local files: convert and transcode."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry import archive
from facefoundry.errors import DataLoss, Unusable
from facefoundry.faces.alignments import NO_FACE
from facefoundry.faces.crop import crop_matrix, cut
from facefoundry.media import write
from facefoundry.media.read import DECODER, open_source
from facefoundry.media.video import Video
from facefoundry.model.network import SIDES, load
from facefoundry.storage.info import ConversionFacts
from facefoundry.storage.parts import CHUNKS, MASKS
from facefoundry.work.messages import PartsReady, Progress
from facefoundry.work.workspace import Workspace
from services.converter import chunks, pipeline
from services.converter.colours import of_target
from services.converter.composite import composite
from services.converter.finish import FinishOptions
from services.converter.functions import ConvertArgs, TranscodeArgs
from services.converter.mask import MaskOptions
from services.converter.samples import Samples, evenly
from tests.clips import stream_fields
from tests.services.child import Done, do, workspace
from tests.services.converter.conftest import CONVERSION, LEVELS

Arguments = Callable[..., tuple[ConvertArgs, Workspace]]
FACELESS = (3, 12, 13)
OUTSIDE = 19


def collect(arguments: ConvertArgs, workspace: Workspace) -> tuple[dict[str, Path], ConversionFacts]:
    done = do(pipeline.convert(arguments, workspace), workspace)
    return done.parts, done.result.info


def transcoded(clip: Any, folder: Path) -> Done:
    made = workspace(folder)
    return do(
        pipeline.transcode(TranscodeArgs(clip_files=(str(clip.path),), frame_rate=None, levels=LEVELS), made), made
    )


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with open_source(path) as source:
        return list(source)


def bytes_of(parts: dict[str, Path]) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in parts.items()}


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], Any]:
    """One unbroken conversion that several tests look at."""
    clip, weights = request.getfixturevalue("clip"), request.getfixturevalue("weights")
    folder = tmp_path_factory.mktemp("unbroken")
    (folder / "alignments").write_bytes(clip.alignments.to_bytes())
    arguments = ConvertArgs(
        clip_files=(str(clip.path),),
        frame_rate=None,
        levels=LEVELS,
        alignments=str(folder / "alignments"),
        weights=str(weights),
        decoder="b",
        control=False,
        options=CONVERSION,
    )
    return collect(arguments, workspace(folder / "work"))


def test_every_frame_gives_one_output_frame_one_of_each_mask_and_one_row(made: Any, clip: Any) -> None:
    parts, result = made
    videos = ["raw", "c23", "c40", *MASKS]
    expected = {f"{name}.mp4" for name in videos} | {"labels.json", "samples.tar"}
    assert set(parts) == expected | {"chunk-00000.tar", "chunk-00001.tar", "chunk-00002.tar"}
    for name in videos:
        with open_source(parts[f"{name}.mp4"]) as source:
            assert source.count() == len(clip.frames)
            assert source.info.frame_rate == clip.rate
            assert (source.info.width, source.info.height) == (161, 121)
    labels = json.loads(parts["labels.json"].read_bytes())
    assert labels["synthetic"] is True
    assert [row["frame"] for row in labels["frames"]] == list(range(len(clip.frames)))
    assert result.frame_count == 20
    assert result.swapped_count == 16
    assert result.unswapped == {"MASK_TOO_SMALL": 1, "NO_FACE": 3}


def test_b13_frames_without_a_face_are_the_targets_with_empty_masks_and_a_reason(made: Any, clip: Any) -> None:
    parts, _ = made
    rows = json.loads(parts["labels.json"].read_bytes())["frames"]
    raw = decoded(parts["raw.mp4"])
    masks = {name: decoded(parts[f"{name}.mp4"]) for name in MASKS}
    for number in (*FACELESS, OUTSIDE):
        reason = "MASK_TOO_SMALL" if number == OUTSIDE else "NO_FACE"
        expected = {"frame": number, "swapped": False, "reason": reason, "box": None, "changed_outside": 0}
        assert rows[number] == expected
        np.testing.assert_array_equal(raw[number], clip.frames[number])
        assert not any(masks[name][number].any() for name in MASKS)


def test_the_three_masks_are_exact(made: Any, clip: Any) -> None:
    parts, _ = made
    raw = decoded(parts["raw.mp4"])
    rows = json.loads(parts["labels.json"].read_bytes())["frames"]
    box, blend, changed = (decoded(parts[f"{name}.mp4"]) for name in MASKS)
    for number in (0, 7, 18):
        for mask in (box, blend, changed):
            assert set(np.unique(mask[number])) == {0, 255}
        x, y, width, height = rows[number]["box"]
        expected = np.zeros(raw[number].shape, np.uint8)
        expected[y : y + height, x : x + width] = 255
        np.testing.assert_array_equal(box[number], expected)
        really_changed = (raw[number] != clip.frames[number]).any(axis=2)
        np.testing.assert_array_equal(changed[number][:, :, 0] == 255, really_changed)
        assert (blend[number] > 0).sum() > (box[number] > 0).sum() * 0.5


@pytest.mark.parametrize("colours", ["source", "target"])
@pytest.mark.parametrize("taken", [FinishOptions(), FinishOptions("target", 1.0)])
def test_a_swapped_frame_shows_the_face_of_the_chosen_decoder_with_what_it_takes_from_the_target(
    convert_arguments: Arguments, clip: Any, weights: Path, taken: FinishOptions, colours: str
) -> None:
    options = replace(CONVERSION, **taken._asdict(), colours=colours)
    crop = cut(clip.frames[5], clip.alignments.matrices[5], 64, 0)
    shown = []
    for side in SIDES:
        parts, _ = collect(*convert_arguments(decoder=side, options=options))
        shown.append(decoded(parts["raw.mp4"])[5])
        face = np.asarray(load(weights).reconstruct(crop[None].astype(np.float32) / 255, side))[0]
        matrix, landmarks = clip.alignments.matrices[5], clip.alignments.landmarks[5]
        if colours == "target":
            face = of_target(face, crop, cv2.transform(landmarks[None], crop_matrix(matrix, 64, 0))[0])
        mask = MaskOptions("facehullandrect", 0, 2)
        patch = composite(clip.frames[5], face, matrix, landmarks, mask, "opencv-3.4.1", taken)
        assert patch is not None
        # Keras and NumPy differ in the last bits, and a face is rounded to whole grey levels up to three times.
        difference = np.abs(shown[-1].astype(int) - patch.apply(clip.frames[5]))
        assert difference.max() <= 2 and (difference > 1).mean() < 1e-3
    assert (shown[0] != shown[1]).any()


def test_a_resumed_conversion_equals_an_unbroken_one(convert_arguments: Arguments) -> None:
    unbroken, result = collect(*convert_arguments())
    cut_off: dict[str, Path] = {}
    arguments, made = convert_arguments()
    for message in pipeline.convert(arguments, made):
        if isinstance(message, PartsReady):
            cut_off |= {name: made.made_part(name) for name in message.parts}
        if len(cut_off) == 2:
            break
    assert set(cut_off) == {"chunk-00000.tar", "chunk-00001.tar"}
    rest, resumed = collect(*convert_arguments(chunk_files=cut_off))
    assert "chunk-00000.tar" not in rest and "chunk-00002.tar" in rest
    assert resumed == result
    assert bytes_of({**cut_off, **rest}) == bytes_of(unbroken)


def test_done_chunks_are_used_and_not_made_again(convert_arguments: Arguments, tmp_path: Path) -> None:
    parts, result = collect(*convert_arguments())
    chunk_files = {name: path for name, path in parts.items() if CHUNKS.matches(name)}
    arguments, made = convert_arguments(chunk_files=chunk_files, weights=str(tmp_path / "no-such-file"))
    done = do(pipeline.convert(arguments, made), made)
    rest, resumed = done.parts, done.result.info
    assert done.resumed == tuple(sorted(chunk_files))
    assert resumed == result
    assert not any(name.startswith("chunk-") for name in rest)


def test_the_control_has_the_raw_level_alone(convert_arguments: Arguments) -> None:
    parts, result = collect(*convert_arguments(control=True, decoder="a", levels=LEVELS[:1]))
    videos = {name for name in parts if name.endswith(".mp4")}
    assert videos == {"raw.mp4"}
    assert json.loads(parts["labels.json"].read_bytes())["control"] is True
    assert result.swapped_count == 16


def test_samples_show_six_swapped_frames(made: Any) -> None:
    parts, result = made
    assert len(result.samples) == 6
    assert not {*FACELESS, OUTSIDE} & set(result.samples)
    with tarfile.open(parts["samples.tar"]) as archive:
        names = archive.getnames()
        pictures = ("target", "swap", *MASKS)
        assert names == [f"{frame:06d}/{name}.jpg" for frame in result.samples for name in pictures]
        data = archive.extractfile(names[0])
        assert data is not None
        picture = cv2.imdecode(np.frombuffer(data.read(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (121, 161, 3)


def test_quality_says_that_nothing_outside_was_touched(made: Any) -> None:
    _, result = made
    quality = result.quality
    assert quality["changed_outside"] == 0
    assert quality["swapped_share"] == 0.8
    assert quality["mean_change"] > 1
    assert 0 < quality["changed_share"] < quality["box_share"] < 1


def test_other_pixels_than_the_extraction_saw_are_refused(
    convert_arguments: Arguments, clip: Any, tmp_path: Path
) -> None:
    digests = clip.alignments.frame_digests.copy()
    digests[5] += np.uint64(1)
    foreign = replace(clip.alignments, frame_digests=digests, decoder="av 1.0, libavcodec 1.2.3")
    (tmp_path / "foreign").write_bytes(foreign.to_bytes())
    with pytest.raises(Unusable, match="frame 5") as caught:
        list(pipeline.convert(*convert_arguments(alignments=str(tmp_path / "foreign"))))
    assert caught.value.reason == "DECODER_MISMATCH"
    assert DECODER in caught.value.message and "libavcodec 1.2.3" in caught.value.message


@pytest.mark.parametrize("count", [17, 16])
def test_a_source_longer_than_its_extraction_is_refused(
    convert_arguments: Arguments, clip: Any, tmp_path: Path, count: int
) -> None:
    names = ("boxes", "landmarks", "matrices", "reasons", "frame_digests", "crop_digests")
    shorter = replace(clip.alignments, **{name: getattr(clip.alignments, name)[:count] for name in names})
    (tmp_path / "shorter").write_bytes(shorter.to_bytes())
    with pytest.raises(Unusable, match=f"more than the {count} frames") as caught:
        list(pipeline.convert(*convert_arguments(alignments=str(tmp_path / "shorter"))))
    assert caught.value.reason == "DECODER_MISMATCH"


def test_a_target_without_any_face_is_refused(convert_arguments: Arguments, clip: Any, tmp_path: Path) -> None:
    faceless = replace(clip.alignments, reasons=np.full(20, NO_FACE, np.uint8))
    (tmp_path / "faceless").write_bytes(faceless.to_bytes())
    with pytest.raises(Unusable) as caught:
        list(pipeline.convert(*convert_arguments(alignments=str(tmp_path / "faceless"))))
    assert caught.value.reason == "NO_FACE"


def test_a_source_of_another_size_than_its_extraction_is_refused(
    convert_arguments: Arguments, clip: Any, tmp_path: Path
) -> None:
    (tmp_path / "wider").write_bytes(replace(clip.alignments, width=200).to_bytes())
    with pytest.raises(Unusable, match=r"200x121.*161x121") as caught:
        list(pipeline.convert(*convert_arguments(alignments=str(tmp_path / "wider"))))
    assert caught.value.reason == "SIZE_MISMATCH"


def test_a_target_whose_faces_are_all_outside_is_refused(
    convert_arguments: Arguments, clip: Any, tmp_path: Path
) -> None:
    landmarks, matrices = clip.alignments.landmarks.copy(), clip.alignments.matrices.copy()
    landmarks[:], matrices[:] = landmarks[OUTSIDE], matrices[OUTSIDE]
    (tmp_path / "outside").write_bytes(replace(clip.alignments, landmarks=landmarks, matrices=matrices).to_bytes())
    with pytest.raises(Unusable) as caught:
        list(pipeline.convert(*convert_arguments(alignments=str(tmp_path / "outside"))))
    assert caught.value.reason == "NOTHING_SWAPPED"


def test_samples_are_at_most_480_pixels_wide(tmp_path: Path) -> None:
    samples = Samples(tmp_path / "samples.tar", [4, 9])
    assert not samples.wants(3) and samples.wants(5)
    samples.add(5, {"swap": np.zeros((300, 960, 3), np.uint8), "masks": np.zeros((300, 960), np.uint8)})
    with tarfile.open(samples.close()) as archive:
        assert archive.getnames() == ["000005/swap.jpg", "000005/masks.jpg"]
        data = archive.extractfile("000005/swap.jpg")
        assert data is not None
        assert cv2.imdecode(np.frombuffer(data.read(), np.uint8), cv2.IMREAD_COLOR).shape == (150, 480, 3)
    assert samples.frames == [5] and not samples.wants(6) and samples.wants(9)


@pytest.mark.parametrize(("numbers", "chosen"), [(list(range(12)), [1, 3, 5, 7, 9, 11]), ([4, 8], [4, 8]), ([], [])])
def test_samples_are_evenly_spaced(numbers: list[int], chosen: list[int]) -> None:
    assert evenly(numbers) == chosen


def test_chunks_of_other_frames_are_refused(convert_arguments: Arguments) -> None:
    parts, _ = collect(*convert_arguments())
    wrong = {"chunk-00000.tar": parts["chunk-00001.tar"]}
    with pytest.raises(DataLoss, match=r"expected the frames 0 to 7 \(8\), received 8 to 15 \(8\)") as caught:
        list(pipeline.convert(*convert_arguments(chunk_files=wrong)))
    assert caught.value.reason == "BAD_CHUNK"


def test_a_chunk_of_another_format_is_refused_by_its_name(tmp_path: Path) -> None:
    index = b'{"format": "facefoundry.chunk/2", "rows": [{"frame": 0}]}'
    (tmp_path / "chunk.tar").write_bytes(archive.pack({"chunk.json": index}))
    with pytest.raises(DataLoss, match=r"expected the format facefoundry.chunk/3, received 'facefoundry.chunk/2'"):
        next(chunks.read(tmp_path / "chunk.tar", range(0), iter([])))


def test_progress_counts_frames_to_the_end(convert_arguments: Arguments) -> None:
    arguments, made = convert_arguments()
    seen = do(pipeline.convert(arguments, made), made).progress
    assert seen[-1] == Progress("encode", 20, 20)
    assert all(before.done <= after.done for before, after in pairwise(seen))


def test_large_frames_give_the_same_files_and_progress_goes_on_to_the_end(
    convert_arguments: Arguments, clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = bytes_of(collect(*convert_arguments())[0])
    monkeypatch.setattr(write, "MAX_PARALLEL_PIXELS", 0)
    arguments, made = convert_arguments()
    for done in (do(pipeline.convert(arguments, made), made), transcoded(clip, tmp_path / "real")):
        assert (done.progress[-1].stage, done.progress[-1].total) == ("encode", 60)
        assert all(before.done <= after.done for before, after in pairwise(done.progress))
        parts = bytes_of(done.parts)
        assert len(parts) in (3, len(expected))
        if len(parts) > 3:
            assert parts == expected


def test_a_conversion_that_is_refused_late_leaves_no_video_open(
    convert_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyAV's containers are not collected; the child that holds them open would keep their disk space."""
    monkeypatch.setattr(pipeline, "composite", lambda *_: None)
    arguments, made = convert_arguments()
    with pytest.raises(Unusable) as caught:
        list(pipeline.convert(arguments, made))
    assert caught.value.reason == "NOTHING_SWAPPED"
    opened = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [path for path in opened if path.startswith(str(made.folder)) and path.endswith(".mp4")]


def test_real_videos_are_encoded_like_fakes(made: Any, clip: Any, tmp_path: Path) -> None:
    done = transcoded(clip, tmp_path / "real")
    parts, result = done.parts, done.result.info
    assert set(parts) == {"raw.mp4", "c23.mp4", "c40.mp4"}
    assert result.frame_count == 20
    for expected, frame in zip(clip.frames, decoded(parts["raw.mp4"]), strict=True):
        np.testing.assert_array_equal(frame, expected)
    for name, path in parts.items():
        assert stream_fields(path) == stream_fields(made[0][name])


def test_a_chunk_reads_back_as_it_was_written(convert_arguments: Arguments, clip: Any) -> None:
    parts, _ = collect(*convert_arguments())
    raw = decoded(parts["raw.mp4"])
    read_back = list(chunks.read(parts["chunk-00001.tar"], range(8, 16), iter(clip.frames[8:])))
    assert [row.frame for _, row, _ in read_back] == list(range(8, 16))
    for _, row, patch in read_back:
        assert (patch is None) == (not row.swapped)
        output = clip.frames[row.frame] if patch is None else patch.apply(clip.frames[row.frame])
        np.testing.assert_array_equal(output, raw[row.frame])


def test_a_chunk_with_a_picture_that_is_too_large_is_refused(
    convert_arguments: Arguments, clip: Any, tmp_path: Path
) -> None:
    parts, _ = collect(*convert_arguments())
    forged = tmp_path / "chunk-00000.tar"
    with tarfile.open(parts["chunk-00000.tar"]) as old, tarfile.open(forged, "w") as new:
        for member in old.getmembers():
            file = old.extractfile(member)
            assert file is not None
            data = bytearray(file.read())
            if member.name == "000000.png":
                data[16:24] = (50000).to_bytes(4, "big") * 2
            new.addfile(member, io.BytesIO(bytes(data)))
    with pytest.raises(DataLoss, match="another size"):
        list(chunks.read(forged, range(8), iter(clip.frames)))


@pytest.mark.parametrize("work", ["convert", "transcode"])
def test_every_frame_is_decoded_to_pixels_once(
    work: str, convert_arguments: Arguments, clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded_frames = []
    pixels = Video.to_bgr

    def counted(self: Any, frame: av.VideoFrame) -> NDArray[np.uint8]:
        decoded_frames.append(frame.pts)
        return pixels(self, frame)

    monkeypatch.setattr(Video, "to_bgr", counted)
    if work == "convert":
        collect(*convert_arguments())
    else:
        transcoded(clip, tmp_path / "real")
    assert len(decoded_frames) == len(set(decoded_frames)) == len(clip.frames)
