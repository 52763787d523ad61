"""A dataset in a bucket has the version that it would have in a folder."""

from __future__ import annotations

import json

import facefoundry
from tests.facefoundry.dataset.made_in_bucket import make, name_store, write


def test_folder_bucket_and_what_is_fetched_have_one_version(store, tmp_path, monkeypatch):
    name_store(monkeypatch, store)
    place = f"s3://{store.bucket}/datasets/six/"
    dataset = write(tmp_path, 6)
    make(dataset, place, store)
    make(dataset, tmp_path / "folder", store)
    found = facefoundry.diff(tmp_path / "folder", place)
    assert found.differences == () and found.first.version == found.second.version
    version = found.first.version
    record = json.loads((tmp_path / "folder/misc/report/run.json").read_bytes())
    manifest = json.loads(store.get_bytes("datasets/six/manifest.json"))
    in_bucket = json.loads(store.get_bytes("datasets/six/misc/report/run.json"))
    assert {record["dataset_version"], manifest["version"], in_bucket["dataset_version"]} == {version}
    assert version[:12] in (tmp_path / "folder/report.html").read_text()
    fetched = facefoundry.fetch("six", tmp_path / "part", only=["raw", "labels", "masks"])
    assert fetched.version == version
    lacking = [(each.change, each.what, each.id) for each in facefoundry.diff("six", tmp_path / "part").differences]
    masks = [("removed", "mask", f"masks_{kind}") for kind in ("blend", "changed")]
    assert lacking == [("removed", "level", "c40"), *masks]
