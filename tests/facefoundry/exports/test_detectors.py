"""The forms of detectors: what their loaders read, and what would go wrong in silence."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.dataset.layout import Layout
from facefoundry.errors import InvalidInput
from facefoundry.exports.caddm import CaddmExport, CaddmOptions
from facefoundry.exports.deepfakebench import DeepfakeBenchExport, DeepfakeBenchOptions
from facefoundry.exports.dfdc import DfdcExport, DfdcOptions
from facefoundry.exports.export import Export, O, Request
from facefoundry.exports.forehead import with_forehead
from facefoundry.exports.frames import Chosen
from facefoundry.exports.geometry import bench_matrix, moved
from facefoundry.exports.lipforensics import LipForensicsExport, LipForensicsOptions
from facefoundry.exports.makers import bench_lmdb
from facefoundry.exports.place import FolderPlace
from facefoundry.exports.plan import Made
from facefoundry.exports.realforensics import RealForensicsExport
from facefoundry.exports.run import Exported, export_dataset
from facefoundry.exports.sbi import SbiExport
from facefoundry.exports.whole import WholeOptions
from tests.facefoundry.exports.made import BOX, FAKE, FRAMES, PAIRS, REAL, UNSWAPPED, landmarks, load, write_labels

SHOWN = [frame for frame in range(FRAMES) if frame != UNSWAPPED]
"""The frames with a face."""


def _export(
    export: Export[O], layout: Layout, out: Path, *, options: O | None = None, levels: tuple[str, ...] = ()
) -> Exported:
    dataset = load(layout, out.parent / "alignments")
    done = export_dataset(export, dataset, FolderPlace(out), levels=levels, options=options, processes=2)
    assert not done.failed
    return done


def read(path: Path, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    """Read a picture."""
    return np.asarray(cv2.imread(str(path), flags), np.uint8)


@pytest.fixture(scope="module")
def bench(real_dataset: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export for DeepfakeBench with all frames of the level raw."""
    out = tmp_path_factory.mktemp("bench") / "out"
    _export(DeepfakeBenchExport(), real_dataset, out, options=DeepfakeBenchOptions(frames=0), levels=("raw",))
    return out


def test_a_crop_shows_the_face_where_its_landmarks_say(bench: Path) -> None:
    for folder, red in (
        ("original_sequences/youtube/raw", REAL),
        ("manipulated_sequences/Deepfakes/raw", FAKE),
    ):
        video = "002" if red == REAL else "002_003"
        pictures = bench / "FaceForensics++" / folder / "frames" / video
        assert sorted(path.name for path in pictures.iterdir()) == [f"{frame:03d}.png" for frame in SHOWN]
        for frame in SHOWN:
            crop = read(pictures / f"{frame:03d}.png")
            assert crop.shape == (256, 256, 3)
            points = np.load(bench / "FaceForensics++" / folder / "landmarks" / video / f"{frame:03d}.npy")
            assert points.shape == (81, 2) and points.dtype == np.int64
            for (x, y), (frame_x, frame_y) in zip(points[17:68], landmarks(frame)[17:68], strict=True):
                blue, green, shown = (int(value) for value in crop[y, x])
                assert abs(blue - frame_x) <= 1 and abs(green - frame_y) <= 1 and shown == red + frame


def test_a_mask_has_the_same_warp_as_its_crop(bench: Path) -> None:
    root = bench / "FaceForensics++" / "manipulated_sequences" / "Deepfakes"
    masks, looked_for = root / "c23" / "masks" / "002_003", root / "raw" / "masks" / "002_003"
    x, y, width, height = BOX
    for frame in SHOWN:
        mask = read(masks / f"{frame:03d}.png", cv2.IMREAD_GRAYSCALE)
        assert set(np.unique(mask)) == {0, 255}
        assert (looked_for / f"{frame:03d}.png").read_bytes() == (masks / f"{frame:03d}.png").read_bytes()
        inside = moved([[x + 3, y + 3], [x + width - 4, y + height - 4]], bench_matrix(landmarks(frame)))
        outside = moved([[x - 4, y + 9], [x + width + 3, y + 9]], bench_matrix(landmarks(frame)))
        for points, value in ((inside, 255), (outside, 0)):
            for column, row in np.rint(points).astype(int):
                if 0 <= column < 256 and 0 <= row < 256:
                    assert mask[row, column] == value


def test_label_sets_name_swapped_frames_and_their_masks_and_landmarks(bench: Path) -> None:
    sets = json.loads((bench / "dataset_json" / "FF-DF.json").read_bytes())
    assert set(sets) == {"FF-DF"} and set(sets["FF-DF"]) == {"FF-real", "FF-DF"}
    videos = {"train": ("002", "003"), "val": ("000", "001"), "test": ("005", "004")}
    for label, found in sets["FF-DF"].items():
        assert set(found) == {"train", "val", "test"}
        for split, (a, b) in videos.items():
            names = {a, b} if label == "FF-real" else {f"{a}_{b}", f"{b}_{a}"}
            assert set(found[split]["raw"]) == names
            for video in found[split]["raw"].values():
                assert video["label"] == label
                assert len(video["frames"]) == len(SHOWN)
                for path in video["frames"]:
                    assert path.startswith("./datasets/") and path.count("frames") == 1
                    local = bench / path.removeprefix("./datasets/")
                    assert local.is_file()
                    assert Path(str(local).replace("frames", "landmarks")).with_suffix(".npy").is_file()
                assert all((bench / path.removeprefix("./datasets/")).is_file() for path in video.get("masks", []))


def test_every_folder_that_its_rearrange_lists_is_there_and_has_only_videos(bench: Path) -> None:
    root = bench / "FaceForensics++"
    methods = ["DeepFakeDetection", "Deepfakes", "Face2Face", "FaceShifter", "FaceSwap", "NeuralTextures"]
    for parent, names in (("manipulated_sequences", methods), ("original_sequences", ["actors", "youtube"])):
        assert sorted(path.name for path in (root / parent).iterdir()) == names
        for level in (level for name in names for level in (root / parent / name).iterdir()):
            videos = {path.name for path in (level / "frames").iterdir() if path.is_dir()}
            expected = 2 * len(PAIRS) if level.parts[-2:] in (("Deepfakes", "raw"), ("youtube", "raw")) else 0
            assert len(videos) == expected


def test_a_picture_that_is_missing_from_a_folder_is_made_again(real_dataset: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = DeepfakeBenchOptions(frames=2)
    _export(DeepfakeBenchExport(), real_dataset, out, options=options, levels=("raw",))
    pictures = out / "FaceForensics++" / "manipulated_sequences" / "Deepfakes" / "raw" / "frames" / "002_003"
    gone, *others = sorted(pictures.iterdir())
    before = gone.read_bytes()
    gone.unlink()
    again = _export(DeepfakeBenchExport(), real_dataset, out, options=options, levels=("raw",))
    assert (again.items - again.found, again.done) == (1, again.items) and others
    assert gone.read_bytes() == before


def test_an_lmdb_has_what_the_folders_have_under_the_keys_of_the_lists(
    bench: Path, real_dataset: Layout, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = DeepfakeBenchOptions(frames=0, lmdb=True)
    _export(DeepfakeBenchExport(), real_dataset, out, options=options, levels=("raw",))
    folder = out / "lmdb" / "FaceForensics++_lmdb"
    assert [path.name for path in folder.iterdir()] == ["data.mdb"]
    with lmdb.open(str(folder), readonly=True, lock=False) as opened, opened.begin() as found:
        rows = {bytes(key).decode(): bytes(value) for key, value in found.cursor()}
    kept = {path.relative_to(bench).as_posix(): path for path in (bench / "FaceForensics++").rglob("*.*")}
    files = {name.replace("/", "\\"): path for name, path in kept.items() if path.suffix in (".png", ".npy")}
    assert set(rows) == set(files)
    for key, data in rows.items():
        if key.endswith(".png"):
            assert data == files[key].read_bytes()
        else:  # as its loader reads it
            points = np.frombuffer(data, np.uint32).reshape(81, 2)
            assert np.array_equal(points, np.load(files[key]).clip(0))
    label_sets = json.loads((out / "dataset_json" / "FF-DF.json").read_bytes())["FF-DF"].values()
    videos = [video for splits in label_sets for levels in splits.values() for video in levels["raw"].values()]
    listed = [path for video in videos for path in (*video["frames"], *video.get("masks", []))]
    assert set(listed) <= set(rows) and len(listed) == 6 * len(PAIRS) * len(SHOWN)


def test_an_lmdb_grows_beyond_the_size_that_it_begins_with(
    real_dataset: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_lmdb, "_FIRST_BYTES", 1 << 16)
    options = DeepfakeBenchOptions(frames=0, lmdb=True)
    dataset = load(real_dataset, tmp_path / "alignments")
    plan = DeepfakeBenchExport().plan(dataset, Request(("raw",), options))
    (item,) = (item for item in plan.items if isinstance(item, Made))
    folder = tmp_path / item.outputs[0]
    folder.parent.mkdir(parents=True)
    files = {name: str(path) for name, path in item.sources.items()}
    entries: list[bench_lmdb.Entry] = item.arguments["entries"]  # type: ignore[assignment]  # as the sandbox gets it
    made = list(bench_lmdb.database(str(tmp_path), str(folder.parent.relative_to(tmp_path)), entries, **files))
    with lmdb.open(str(folder.parent), readonly=True, lock=False) as opened:
        assert opened.stat()["entries"] == 8 * len(PAIRS) * len(SHOWN) + 4 * len(PAIRS) * len(SHOWN)
    assert len(made) == 6 * len(PAIRS) and folder.stat().st_size > 1 << 16


def test_a_root_that_the_loader_would_misread_is_refused(text_dataset: Layout, tmp_path: Path) -> None:
    for root in ("./my_frames", "/absolute", ".\\datasets"):
        with pytest.raises(InvalidInput) as caught:
            _export(DeepfakeBenchExport(), text_dataset, tmp_path / "out", options=DeepfakeBenchOptions(root=root))
        assert caught.value.reason == "ROOT"
    assert not (tmp_path / "out").exists()


def test_frames_are_evenly_spread_and_runs_have_no_gap() -> None:
    some = Chosen((0, 1, 2, 4, 5, 6, 7, 9), (0, 1, 2, 4, 5, 6, 7, 9))
    assert some.evenly(3).places == (0, 4, 9)
    assert some.evenly(0) == some.evenly(99) == some
    assert some.longest_run(3).places == (4, 5, 6)
    assert some.longest_run(99).rows == (4, 5, 6, 7)
    assert some.every(3).places == (0, 6, 9)
    assert Chosen((), ()).longest_run(5).places == ()


def test_sbi_has_whole_frames_of_real_videos_with_81_points(real_dataset: Layout, tmp_path: Path) -> None:
    _export(SbiExport(), real_dataset, tmp_path / "out")
    root = tmp_path / "out" / "data" / "FaceForensics++"
    assert json.loads((root / "train.json").read_bytes()) == [["002", "003"]]
    assert not (root / "manipulated_sequences").exists()
    folder = root / "original_sequences" / "youtube" / "raw"
    assert len(list((folder / "frames").iterdir())) == 2 * len(PAIRS)
    for frame in SHOWN:
        assert read(folder / "frames" / "002" / f"{frame:03d}.png")[7, 9].tolist() == [9, 7, REAL + frame]
        points = np.load(folder / "landmarks" / "002" / f"{frame:03d}.npy")
        boxes = np.load(folder / "retina" / "002" / f"{frame:03d}.npy")
        assert points.shape == (1, 81, 2) and boxes.shape == (1, 2, 2)
        assert points.dtype == np.int32  # cv2.fillConvexPoly takes no other
        assert np.allclose(points[0, :68], landmarks(frame), atol=1)
        assert np.allclose(boxes[0], [landmarks(frame).min(axis=0), landmarks(frame).max(axis=0)], atol=1)
    with pytest.raises(InvalidInput, match="level raw"):
        _export(SbiExport(), real_dataset, tmp_path / "other", levels=("c23",))


def test_caddm_has_an_entry_for_every_picture_and_the_target_of_each_fake(real_dataset: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _export(CaddmExport(), real_dataset, out, levels=("raw",))
    for split in ("train", "val", "test"):
        entries = json.loads((out / f"{split}_images" / "ldm.json").read_bytes())
        pictures = {f"./{path.relative_to(out).with_suffix('')}" for path in (out / f"{split}_images").rglob("*.png")}
        assert set(entries) == pictures and len(entries) == 4 * len(SHOWN)
        for key, entry in entries.items():
            assert np.shape(entry["landmark"]) == (68, 2)
            assert entry["label"] == int("manipulated" in key)
            assert (out / f"{entry['source_path']}.png").is_file()
            assert Path(entry["source_path"]).parent.name == Path(key).parent.name[:3]


def test_caddm_names_a_fake_without_a_face_and_keeps_its_target(text_dataset: Layout, tmp_path: Path) -> None:
    write_labels(text_dataset, "1000_1001", [UNSWAPPED])
    plan = CaddmExport().plan(load(text_dataset, tmp_path), Request(("c23",), CaddmOptions()))
    assert plan.left_out == ("1000_1001: none of its frames shows a face.",)
    names = [item.name for item in plan.items if isinstance(item, Made)]
    assert f"val_images/original_sequences/youtube/c23/frames/{plan.numbers['1000']}" in names


def test_lipforensics_has_runs_of_frames_and_whole_pairs(dataset_copy: Layout, tmp_path: Path) -> None:
    write_labels(dataset_copy, "1001_1000", [0, 1, 2, 5, 6, 7])
    done = _export(
        LipForensicsExport(), dataset_copy, tmp_path / "out", options=LipForensicsOptions(clip=5), levels=("raw",)
    )
    root = tmp_path / "out" / "data" / "datasets" / "Forensics"
    assert {path.stem for path in (root / "Deepfakes" / "c0" / "images").iterdir()} == {
        "000_001", "001_000", "002_003", "003_002",
    }  # fmt: skip
    assert json.loads((root / "splits" / "val.json").read_bytes()) == []
    assert [sentence.partition(":")[0] for sentence in done.record.left_out] == ["1000_1001", "1001_1000"]
    names = sorted(path.stem for path in (root / "RealFF" / "c0" / "images" / "000").iterdir())
    assert names == ["0004", "0005", "0006", "0007", "0008"]
    points = np.load(root / "Deepfakes" / "c0" / "landmarks" / "000_001" / "0004.npy")
    assert points.shape == (68, 2) and points.dtype == np.float32
    with pytest.raises(InvalidInput) as caught:
        _export(LipForensicsExport(), dataset_copy, tmp_path / "other", levels=("raw",))
    assert caught.value.reason == "NO_FAKES"


def test_forms_that_label_videos_leave_out_fakes_with_unswapped_frames(real_dataset: Layout, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--partial") as caught:
        _export(RealForensicsExport(), real_dataset, tmp_path / "out")
    assert caught.value.reason == "NO_FAKES"
    _export(RealForensicsExport(), real_dataset, tmp_path / "out", options=WholeOptions(partial=True))
    root = tmp_path / "out" / "data" / "Forensics"
    assert (root / "csv_files" / "train_fake.csv").read_text() == "002_003.avi 1\n003_002.avi 1\n"
    assert (root / "csv_files" / "val_real.csv").read_text() == "000.avi 0\n001.avi 0\n"
    assert (root / "Real" / "c0" / "videos" / "002.mp4").is_file()
    track = np.load(root / "Deepfakes" / "c23" / "landmarks" / "002_003.npy")
    assert track.shape == (FRAMES, 68, 2) and track.dtype == np.float32
    assert np.allclose(track[UNSWAPPED], landmarks(UNSWAPPED), atol=0.01)  # on the line between its neighbours


def test_dfdc_has_each_original_in_the_part_of_its_fakes(real_dataset: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = DfdcOptions(partial=True, boxes=True, crops=True, diffs=True)
    _export(DfdcExport(), real_dataset, out, options=options)
    seen = set[str]()
    for part in out.glob("dfdc_train_part_*"):
        assert 0 <= int(part.name.rpartition("_")[2]) < 50
        metadata = json.loads((part / "metadata.json").read_bytes())
        assert set(metadata) == {path.name for path in part.glob("*.mp4")} and not seen & set(metadata)
        assert len({entry["split"] for entry in metadata.values()}) == 1
        seen |= set(metadata)
        for name, entry in metadata.items():
            assert entry["label"] == ("FAKE" if "_" in name else "REAL")
            assert entry["original"] == (f"{name[:3]}.mp4" if "_" in name else None)
            assert entry["original"] is None or entry["original"] in metadata
    assert len(seen) == 4 * len(PAIRS)
    x, y, width, height = BOX
    assert json.loads((out / "boxes" / "002.json").read_bytes()) == {
        "0": [[x / 2, y / 2, (x + width) / 2, (y + height) / 2]]
    }
    crop = read(out / "crops" / "002_003" / "0_0.png")
    diff = read(out / "diffs" / "002_003" / "0_0_diff.png", cv2.IMREAD_GRAYSCALE)
    assert crop.shape[:2] == diff.shape == (height + 2 * (height // 3), width + 2 * (width // 3))
    assert np.count_nonzero(diff > 20) == width * height
    with pytest.raises(InvalidInput, match="one level"):
        _export(DfdcExport(), real_dataset, tmp_path / "other", levels=("raw", "c23"))


def test_the_forehead_is_above_the_brows_and_follows_the_face() -> None:
    points = landmarks(0).astype(np.float64)
    whole = with_forehead(points)
    order = whole[[77, 75, 76, 68, 69, 70, 71, 80, 72, 73, 79, 74, 78]]
    assert np.all(np.diff(order[:, 0]) > 0)
    assert np.all(order[:, 1] < points[17:27, 1].max())
    assert np.allclose(order[:, 1], order[::-1, 1], atol=0.01)
    turn = np.array([[0.6, -0.8, 7.0], [0.8, 0.6, -5.0]]) * [[2, 2, 1], [2, 2, 1]]
    assert np.allclose(with_forehead(moved(points, turn)), moved(whole, turn))
