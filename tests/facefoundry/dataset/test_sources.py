"""Sequences into the store and back."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from facefoundry.dataset import sources
from facefoundry.dataset.sources import TarLimits
from facefoundry.errors import DataLoss, InvalidInput, Unusable
from facefoundry.media.read import open_source
from facefoundry.storage import keys, manifest
from facefoundry.storage.sources import fetch, find_source
from facefoundry.storage.store import Store


def _fetch(store, uri, folder):
    folder.mkdir()
    found = find_source(store, uri, "clip")
    assert list(fetch(store, found.files, folder))[-1] == (found.size, found.size)
    return found, [folder / name for name in found.files]


def _frames(folder, numbers, start_value=0):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:04d}.png"), np.full((16, 24, 3), start_value + number, np.uint8))
    return folder


def test_a_video_is_stored_once_and_comes_back_as_it_was(store, tmp_path):
    path = tmp_path / "033.mp4"
    path.write_bytes(b"not looked into" * 100)
    seen = []
    uri = sources.upload(path, store=store, on_bytes=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (1500, 1500)
    before = list(store.list("sources/"))
    copy = tmp_path / "other-name.mp4"
    copy.write_bytes(path.read_bytes())
    assert sources.upload(copy, store=store) == uri
    assert list(store.list("sources/")) == before
    found, files = _fetch(store, uri, tmp_path / "got")
    assert [file.name for file in files] == ["clip.mp4"]
    assert [file.read_bytes() for file in files] == [path.read_bytes()]
    assert found.frame_rate is None


def test_a_source_larger_than_its_manifest_says_is_data_loss_and_is_not_downloaded(store, tmp_path):
    (tmp_path / "033.mp4").write_bytes(b"not looked into" * 100)
    uri = sources.upload(tmp_path / "033.mp4", store=store)
    prefix = keys.prefix_of(store.bucket, uri, "sources")
    made = manifest.load(store, prefix)
    manifest.commit(store, prefix, replace(made, parts=(replace(made.parts[0], size=1),)))
    found = find_source(store, uri, "clip")
    assert found.size == 1
    with pytest.raises(DataLoss, match=r"1 bytes.*sources/.*1500") as caught:
        list(fetch(store, found.files, tmp_path))
    assert (caught.value.reason, caught.value.resource) == ("WRONG_SIZE", made.parts[0].key)
    assert [path.name for path in tmp_path.iterdir()] == ["033.mp4"]


def test_a_folder_of_frames_is_stored_in_few_objects_and_decodes_to_the_same_frames(store, tmp_path):
    clip = _frames(tmp_path / "frames", range(7, 17))
    uri = sources.upload(clip, Fraction(30000, 1001), store=store, tar_limits=TarLimits(frames=4))
    found, files = _fetch(store, uri, tmp_path / "got")
    assert len(files) == 3
    assert found.frame_rate == (30000, 1001)
    with open_source(files, frame_rate=found.frame_rate) as source:
        assert [int(frame[0, 0, 0]) for frame in source] == list(range(7, 17))


def test_another_frame_rate_makes_another_source(store, tmp_path):
    clip = _frames(tmp_path / "frames", range(2))
    uris = {sources.upload(clip, Fraction(rate), store=store) for rate in (25, 30)}
    assert len(uris) == 2


def test_a_gap_in_frame_numbers_is_refused_with_the_missing_number(store, tmp_path):
    with pytest.raises(Unusable, match=r"Frame 3 of .*frames is missing") as caught:
        sources.upload(_frames(tmp_path / "frames", [1, 2, 4]), store=store)
    assert caught.value.reason == "FRAME_GAP"
    assert list(store.list("sources/")) == []


def test_two_pictures_of_one_number_are_refused(store, tmp_path):
    clip = _frames(tmp_path / "frames", [1])
    (clip / "1.jpg").write_bytes(b"x")
    with pytest.raises(Unusable, match=r"Frame 1 of .* appears twice: 0001\.png and 1\.jpg"):
        sources.upload(clip, store=store)


def test_an_empty_video_is_refused(store, tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(Unusable, match="is empty"):
        sources.upload(tmp_path / "a.mp4", store=store)


def test_a_missing_file_is_refused_by_name(store, tmp_path):
    with pytest.raises(InvalidInput, match=r"gone\.mp4"):
        sources.upload(tmp_path / "gone.mp4", store=store)


def test_a_large_clip_is_refused_by_its_size_alone(store, store_settings, tmp_path):
    small = Store(store_settings.model_copy(update={"max_source_bytes": 100}))
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x" * 101)
    clip = _frames(tmp_path / "frames", range(3))
    for large in (path, clip):
        with pytest.raises(Unusable, match="at most 100 are accepted") as caught:
            sources.upload(large, store=small)
        assert caught.value.reason == "TOO_LARGE" and str(large) in caught.value.message
    path.write_bytes(b"x" * 100)
    assert sources.upload(path, store=small)


def test_tars_of_large_frames_are_smaller(store, tmp_path):
    clip = _frames(tmp_path / "frames", range(7))
    sizes = [path.stat().st_size for path in clip.iterdir()]
    limits = TarLimits(bytes=2 * max(sizes) + 1)
    found, files = _fetch(store, sources.upload(clip, store=store, tar_limits=limits), tmp_path / "got")
    assert len(files) == 4
    with open_source(files, frame_rate=found.frame_rate) as source:
        assert [int(frame[0, 0, 0]) for frame in source] == list(range(7))


def test_hidden_files_are_no_frames(store, tmp_path):
    clip = _frames(tmp_path / "frames", [1, 2])
    (clip / "._1.png").write_bytes(b"what macOS leaves")
    found, _ = _fetch(store, sources.upload(clip, store=store), tmp_path / "got")
    assert found.size > 0
