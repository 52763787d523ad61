from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facefoundry import archive, codec, recipes
from facefoundry.errors import DataLoss, InvalidInput, Unusable
from facefoundry.faces import face_tar
from facefoundry.faces.alignments import BAD_LANDMARKS, NO_FACE, Alignments
from facefoundry.faces.crop import cut, face_matrix
from facefoundry.media.read import frame_digest, open_source
from facefoundry.storage.info import ExtractionInfo, FrameRate, ReasonCount
from facefoundry.work.workspace import Workspace
from services.extractor import pipeline
from services.extractor.boxes import iou, truncate_box
from services.extractor.functions import ExtractArgs, ExtractionOptions, FaceSample, InspectArgs, Inspection
from tests.services.child import do, workspace

PART = 8


def options(**changes):
    made = codec.from_values(ExtractionOptions, recipes.options(recipes.load("ffpp").extraction))
    return replace(made, **{"detect_every": 5, **changes})


def part_names(number):
    return f"faces-{number:05d}.tar", f"alignments-{number:05d}.safetensors"


class Run:
    """All that one extraction wrote and yielded."""

    def __init__(self, source, folder, changes=(), finished=None, part_frames=PART, load=pipeline.load_engine):
        made = workspace(folder, finished)
        chosen = options(**dict(changes))
        arguments = ExtractArgs(clip_files=(str(source),), name="the source", options=chosen, part_frames=part_frames)
        self.done = do(pipeline.extract(arguments, made, load), made)
        self.paths = self.done.parts
        self.parts = {name: path.read_bytes() for name, path in self.paths.items()}
        self.alignments = Alignments.from_bytes(self.parts["alignments.safetensors"])
        self.info = self.done.result.info

    def finished(self, count):
        """Paths of the first parts, by name."""
        return {name: self.paths[name] for number in range(count) for name in part_names(number)}

    def crops(self):
        found: dict[int, Any] = {}
        for name, data in self.parts.items():
            if name.startswith("faces-"):
                frames, crops = face_tar.unpack(data)
                found |= dict(zip(frames.tolist(), crops, strict=True))
        return found


def inspect(source, **arguments):
    (result,) = pipeline.inspect(
        InspectArgs(clip_files=(str(source),), max_total=1 << 40, **arguments), Workspace(Path())
    )
    return result.info


@pytest.fixture
def flat():
    return np.full((192, 192, 3), 120, np.uint8)


def test_every_frame_gets_a_row_and_every_face_its_crop(tmp_path, moving_face, folder_of):
    frames = moving_face(20)
    run = Run(folder_of(frames), tmp_path / "out")
    faces = run.alignments
    assert len(faces) == 20 and faces.found.all()
    crops = run.crops()
    assert sorted(crops) == list(range(20))
    for number in (0, 7, 13, 19):
        expected = cut(frames[number], face_matrix(faces.landmarks[number]), 256, 48)
        np.testing.assert_array_equal(crops[number], expected)
        assert int(faces.frame_digests[number]) == frame_digest(frames[number])
        assert int(faces.crop_digests[number]) == frame_digest(expected)


def test_parts_hold_their_frames_and_join_to_the_whole(tmp_path, moving_face, folder_of):
    run = Run(folder_of(moving_face(20)), tmp_path / "out")
    assert list(run.parts) == [
        *[name for number in range(3) for name in part_names(number)],
        "samples.tar",
        "alignments.safetensors",
    ]
    parts = [Alignments.from_bytes(run.parts[f"alignments-{number:05d}.safetensors"]) for number in range(3)]
    assert [len(part) for part in parts] == [8, 8, 4]
    np.testing.assert_array_equal(np.concatenate([part.boxes for part in parts]), run.alignments.boxes)


def test_the_result_says_what_the_extraction_is(tmp_path, moving_face, video_of):
    run = Run(video_of(moving_face(12)), tmp_path / "out")
    digest = run.alignments.content_digest()
    assert len(digest) == 64
    assert run.info == ExtractionInfo(
        content_digest=digest,
        frame_count=12,
        face_count=12,
        missing=[],
        frame_rate=FrameRate(30, 1),
        width=192,
        height=192,
        engine="dlib",
        rate_basis="stated",
        stated_frame_rate=FrameRate(30, 1),
    )
    assert run.done.result.content_digest == digest
    assert run.done.result.frames == {"FOUND": 12}
    assert set(run.done.result.versions) == {"decoder", "engine"}


def test_progress_only_grows_and_ends_at_the_last_frame(tmp_path, moving_face, folder_of):
    run = Run(folder_of(moving_face(20)), tmp_path / "out")
    done = [progress.done for progress in run.done.progress]
    assert done == sorted(done) and done[-1] == 20
    assert {progress.total for progress in run.done.progress} == {20}


def test_frames_without_a_face_have_a_reason_and_zero_rows(tmp_path, moving_face, folder_of, flat):
    frames = moving_face(10)
    frames[3:5] = [flat, flat]
    run = Run(folder_of(frames), tmp_path / "out")
    faces = run.alignments
    assert faces.reasons.tolist() == [0, 0, 0, NO_FACE, NO_FACE, 0, 0, 0, 0, 0]
    assert not faces.landmarks[3].any() and not faces.matrices[3].any() and faces.crop_digests[3] == 0
    assert sorted(run.crops()) == [0, 1, 2, 5, 6, 7, 8, 9]
    assert run.info.missing == [ReasonCount("NO_FACE", 2)] and run.info.face_count == 8


def test_a_clip_without_any_face_is_unusable(tmp_path, folder_of, flat):
    with pytest.raises(Unusable, match=r"None was found in 10 frames.*extraction\.engine=centerface") as caught:
        Run(folder_of([flat] * 10), tmp_path / "out")
    assert caught.value.reason == "NO_FACE_FOUND"


def test_a_clip_of_one_frame_is_enough(tmp_path, moving_face, folder_of):
    assert Run(folder_of(moving_face(1)), tmp_path / "out").info.face_count == 1


def test_landmarks_that_coincide_are_a_reason_and_no_crash(tmp_path, moving_face, folder_of, engine, monkeypatch):
    frames = moving_face(6)
    folder = folder_of(frames)
    true_landmarks = type(engine).landmarks

    def collapsed_in_frame_2(self, frame, box):
        points = true_landmarks(self, frame, box)
        return points * 0 + 5 if frame_digest(frame) == frame_digest(frames[2]) else points

    monkeypatch.setattr(type(engine), "landmarks", collapsed_in_frame_2)
    assert Run(folder, tmp_path / "out").alignments.reasons.tolist() == [0, 0, BAD_LANDMARKS, 0, 0, 0]


def test_boxes_and_landmarks_are_truncated_before_the_matrix(tmp_path, moving_face, folder_of, engine, monkeypatch):
    true_landmarks = type(engine).landmarks
    monkeypatch.setattr(type(engine), "landmarks", lambda self, frame, box: true_landmarks(self, frame, box) + 0.75)
    folder = folder_of(moving_face(4))
    whole = Run(folder, tmp_path / "truncate_box").alignments
    exact = Run(folder, tmp_path / "exact", {"integer_landmarks": False}).alignments
    np.testing.assert_array_equal(whole.landmarks % 1, 0)
    np.testing.assert_array_equal(exact.landmarks % 1, 0.75)
    np.testing.assert_allclose(whole.matrices, face_matrix(whole.landmarks), atol=1e-12)
    np.testing.assert_allclose(exact.matrices, face_matrix(exact.landmarks), atol=1e-12)


def test_a_run_cut_after_any_part_and_gone_on_with_equals_an_unbroken_one(tmp_path, moving_face, folder_of, flat):
    frames = moving_face(28)
    frames[14:17] = [flat] * 3  # the box known at the start of part 2 is older than its predecessor's last frame
    folder = folder_of(frames)
    unbroken = Run(folder, tmp_path / "unbroken")
    for finished in (1, 2, 3):
        resumed = Run(folder, tmp_path / f"resumed-{finished}", finished=unbroken.finished(finished))
        assert resumed.done.resumed == tuple(unbroken.finished(finished))
        assert resumed.info == unbroken.info
        assert resumed.parts == {name: unbroken.parts[name] for name in resumed.parts}
        assert len(resumed.parts) == len(unbroken.parts) - 2 * finished


@pytest.mark.parametrize("lacking", [0, 1])
def test_finished_parts_after_a_gap_are_made_again(tmp_path, moving_face, folder_of, lacking):
    folder = folder_of(moving_face(28))
    unbroken = Run(folder, tmp_path / "unbroken")
    finished = unbroken.finished(3)
    del finished[part_names(1)[lacking]]
    resumed = Run(folder, tmp_path / "resumed", finished=finished)
    assert resumed.done.resumed == part_names(0)
    assert resumed.info == unbroken.info


def test_finished_parts_of_another_engine_build_are_made_again(tmp_path, moving_face, folder_of, engine):
    class Newer:
        build = "dlib 99"
        detect, near, tracker = engine.detect, engine.near, engine.tracker
        landmarks, second_landmarks = engine.landmarks, engine.second_landmarks

    folder = folder_of(moving_face(12))
    first = Run(folder, tmp_path / "first")
    again = Run(folder, tmp_path / "again", finished=first.finished(1), load=lambda name, weights_dir: Newer())
    assert again.done.resumed == ()
    assert again.info == first.info


def test_a_faces_part_that_does_not_belong_to_its_alignments_is_made_again(tmp_path, moving_face, folder_of):
    folder = folder_of(moving_face(12))
    finished = Run(folder, tmp_path / "first").finished(1)
    crops = dict(enumerate(np.zeros((PART, 256, 256, 3), np.uint8)))
    finished["faces-00000.tar"].write_bytes(face_tar.pack(crops))
    assert Run(folder, tmp_path / "again", finished=finished).done.resumed == ()


@pytest.mark.parametrize("damaged", [0, 1])
def test_a_finished_part_that_cannot_be_read_is_made_again(tmp_path, moving_face, folder_of, damaged):
    folder = folder_of(moving_face(12))
    finished = Run(folder, tmp_path / "first").finished(1)
    finished[part_names(0)[damaged]].write_bytes(b"something else")
    assert Run(folder, tmp_path / "again", finished=finished).done.resumed == ()


def test_frames_other_than_those_of_finished_parts_are_data_loss(tmp_path, moving_face, folder_of):
    frames = moving_face(12)
    finished = Run(folder_of(frames), tmp_path / "first").finished(1)
    frames[5] = 255 - frames[5]
    with pytest.raises(DataLoss, match="Frame 5"):
        Run(folder_of(frames, "changed"), tmp_path / "again", finished=finished)


def test_the_same_source_gives_the_same_bytes_every_time(tmp_path, moving_face, video_of):
    clip = video_of(moving_face(12))
    assert Run(clip, tmp_path / "one").parts == Run(clip, tmp_path / "two").parts


def test_detect_every_1_is_the_detector_on_each_frame(tmp_path, moving_face, folder_of, engine):
    frames = moving_face(6)
    faces = Run(folder_of(frames), tmp_path / "out", {"detect_every": 1}).alignments
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(faces.boxes[number], truncate_box(engine.detect(frame)[0]))


def test_tracked_boxes_overlap_those_of_the_detector_on_each_frame(tmp_path, moving_face, folder_of, engine):
    frames = moving_face(40)
    faces = Run(folder_of(frames), tmp_path / "out", {"detect_every": 20}, part_frames=40).alignments
    overlaps = [iou(box, engine.detect(frame)[0]) for box, frame in zip(faces.boxes, frames, strict=True)]
    assert np.mean(np.array(overlaps) >= 0.8) >= 0.95


def test_embeddings_come_when_asked_for(tmp_path, moving_face, folder_of, flat):
    frames = [*moving_face(2), flat]
    faces = Run(folder_of(frames), tmp_path / "out", {"identity": True}).alignments
    assert faces.embeddings.shape == (3, 128)
    assert faces.embeddings is not None
    assert 0 < np.linalg.norm(faces.embeddings[0] - faces.embeddings[1]) < 0.4
    assert not faces.embeddings[2].any()


@pytest.mark.parametrize("finished", [0, 2])
def test_six_samples_are_spread_over_the_frames_with_faces(tmp_path, moving_face, folder_of, flat, finished):
    frames = moving_face(40)
    frames[:4] = [flat] * 4
    folder = folder_of(frames)
    parts = Run(folder, tmp_path / "first").finished(finished) if finished else None
    samples = archive.unpack(Run(folder, tmp_path / "out", finished=parts).parts["samples.tar"])
    numbers = [int(name.removesuffix(".jpg")) for name in samples]
    assert len(numbers) == 6 and numbers == sorted(numbers)
    assert numbers[0] == 4 and numbers[-1] >= 34 and max(np.diff(numbers)) <= 2 * min(np.diff(numbers))
    picture = cv2.imdecode(np.frombuffer(samples[f"{numbers[1]:06d}.jpg"], np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(picture.astype(int) - frames[numbers[1]]).mean() < 4


def test_samples_of_large_frames_are_480_wide(tmp_path, portrait, folder_of):
    large = cv2.resize(portrait, (960, 960))
    samples = archive.unpack(Run(folder_of([large]), tmp_path / "out").parts["samples.tar"])
    picture = cv2.imdecode(np.frombuffer(samples["000000.jpg"], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (480, 480, 3)


def test_an_engine_that_is_not_there_is_refused(tmp_path, moving_face, folder_of):
    with pytest.raises(InvalidInput, match="cannot be used here"):
        Run(folder_of(moving_face(1)), tmp_path / "out", {"engine": "face_alignment"})


def test_inspect_reads_the_container_and_counts_faces_in_even_spaced_frames(moving_face, video_of, flat):
    frames = moving_face(9)
    frames[8] = flat
    found = inspect(video_of(frames), sample_frames=3, engine="dlib")
    looks = [sample.largest for sample in found.samples]
    assert looks[0] and looks[1] and looks[2] is None
    assert found == Inspection(
        frame_count=9,
        frame_rate=FrameRate(30, 1),
        width=192,
        height=192,
        rotation=0,
        codec="h264",
        samples=[FaceSample(0, 1, looks[0]), FaceSample(4, 1, looks[1]), FaceSample(8, 0)],
        mirrored=False,
        rate_basis="stated",
        stated_frame_rate=FrameRate(30, 1),
        remarks=[],
        damaged_count=0,
        cuts=[8],
    )


def test_inspect_with_no_samples_needs_no_engine(moving_face, folder_of):
    found = inspect(folder_of(moving_face(3)), sample_frames=0, engine="none", frame_rate=(24, 1))
    assert (found.frame_count, found.samples, found.frame_rate) == (3, [], FrameRate(24, 1))


def test_more_samples_than_frames_are_each_frame_once(moving_face, folder_of):
    found = inspect(folder_of(moving_face(2)), sample_frames=64, engine="dlib")
    assert [sample.frame for sample in found.samples] == [0, 1]


def test_extraction_reads_a_video_as_the_reader_does(tmp_path, moving_face, video_of):
    clip = video_of(moving_face(5))
    faces = Run(clip, tmp_path / "out").alignments
    with open_source(clip) as source:
        assert [frame_digest(frame) for frame in source] == faces.frame_digests.tolist()
