"""Parts and their commit record on a real store: what is not committed does not exist, what changed is lost."""

import hashlib
import json
from dataclasses import replace

import pytest

from facefoundry import __version__, codec
from facefoundry.errors import DataLoss, NotFound, Unusable
from facefoundry.storage import document, keys, manifest
from facefoundry.storage.info import ModelInfo, PreviewInfo, SourceInfo
from facefoundry.storage.manifest import Manifest, put_part
from facefoundry.storage.store import Store

PREFIX = keys.extraction("0123456789abcdef0123456789abcdef01234567")


def committed(store, **contents: bytes) -> Manifest:
    parts = tuple(put_part(store, PREFIX, name.replace("__", "."), content) for name, content in contents.items())
    made = Manifest(
        kind="extraction",
        inputs={"source": "s3://b/sources/x"},
        options={"engine": "dlib"},
        parts=parts,
        info={"frames": 3, "frame_rate": [30000, 1001]},
        content_digest="c" * 64,
    )
    manifest.commit(store, PREFIX, made)
    return made


def flip_a_bit(store, key: str) -> None:
    data, metadata = store.get_with_metadata(key)
    middle = len(data) // 2
    store.put_bytes(key, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], metadata=metadata)


def test_a_committed_prefix_is_read_back_as_it_was_written(store):
    made = committed(store, faces__tar=b"faces", alignments__safetensors=b"numbers")
    read = manifest.load(store, PREFIX)
    assert read == made
    assert [manifest.read_part(store, part) for part in read.parts] == [b"faces", b"numbers"]
    assert read.part("faces.tar").size == 5
    assert "facefoundry" in read.versions


def test_the_key_of_a_part_holds_its_sha256_between_stem_and_suffix(store, tmp_path):
    sha256 = hashlib.sha256(b"content").hexdigest()
    (tmp_path / "local").write_bytes(b"content")
    for data in (b"content", tmp_path / "local"):
        part = put_part(store, PREFIX, "faces-00001.tar", data)
        assert part == manifest.Part("faces-00001.tar", f"{PREFIX}/faces-00001-{sha256}.tar", 7, sha256)
    assert len(list(store.list(PREFIX))) == 1


def test_a_manifest_has_at_most_ten_thousand_parts(store):
    made = committed(store, faces__tar=b"faces")
    part = codec.to_values(made.parts[0])
    values = {**codec.to_values(made), "parts": [part] * 10_000}
    assert len(codec.from_values(Manifest, values).parts) == 10_000
    values["parts"] = [part] * 10_001
    document.put(store, f"{PREFIX}/manifest.json", json.dumps(values).encode())
    with pytest.raises(DataLoss, match="at most 10000 items") as caught:
        manifest.load(store, PREFIX)
    assert caught.value.reason == "BAD_MANIFEST"


@pytest.mark.parametrize("size", [-1, 2**53, 1.0, True, "5"])
def test_a_size_is_a_count_of_bytes(store, size):
    made = committed(store, faces__tar=b"faces")
    values = {**codec.to_values(made), "parts": [{**codec.to_values(made.parts[0]), "size": size}]}
    document.put(store, f"{PREFIX}/manifest.json", json.dumps(values).encode())
    with pytest.raises(DataLoss, match=r"parts\.0\.size") as caught:
        manifest.load(store, PREFIX)
    assert caught.value.reason == "BAD_MANIFEST"


def test_a_manifest_of_a_newer_version_is_told_with_both_versions(store):
    values = {
        **codec.to_values(committed(store)),
        "format": "facefoundry.manifest/4",
        "versions": {"facefoundry": "9.1"},
    }
    key = f"{PREFIX}/manifest.json"
    document.put(store, key, json.dumps({**values, "parts": "in another form"}).encode())
    for load in (manifest.load, manifest.load_if_committed):
        with pytest.raises(Unusable, match=r"version 9\.1 of FaceFoundry wrote") as caught:
            load(store, PREFIX)
        assert (caught.value.reason, caught.value.resource) == ("NEWER_FORMAT", key)
        assert __version__ in caught.value.message and "facefoundry.manifest/3" in caught.value.message


def test_fields_that_a_later_version_added_are_ignored(store):
    made = committed(store, faces__tar=b"faces")
    values = {**codec.to_values(made), "later": {"field": 1}}
    document.put(store, f"{PREFIX}/manifest.json", json.dumps(values).encode())
    assert manifest.load(store, PREFIX) == made


def test_without_a_manifest_a_prefix_does_not_exist(store):
    put_part(store, PREFIX, "faces.tar", b"faces")
    assert manifest.load_if_committed(store, PREFIX) is None
    with pytest.raises(NotFound, match="not finished") as caught:
        manifest.load(store, PREFIX)
    assert (caught.value.reason, caught.value.resource) == ("NOT_COMMITTED", store.uri(PREFIX))


def test_a_missing_bucket_is_not_mistaken_for_unfinished_work(store_settings):
    with pytest.raises(NotFound) as caught:
        manifest.load_if_committed(Store(store_settings), PREFIX)
    assert caught.value.reason == "NO_SUCH_BUCKET"


def test_a_flipped_bit_is_data_loss_that_names_the_key(store, tmp_path):
    part = committed(store, faces__tar=b"0123456789" * 1000).part("faces.tar")
    flip_a_bit(store, part.key)
    for read in (
        lambda: manifest.read_part(store, part),
        lambda: manifest.fetch_part(store, part, tmp_path / "faces.tar"),
    ):
        with pytest.raises(DataLoss, match=part.key) as caught:
            read()
        assert (caught.value.reason, caught.value.resource) == ("DIGEST_MISMATCH", part.key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 4, 6])
def test_a_part_of_another_size_than_its_manifest_says_is_data_loss_that_names_the_key(store, tmp_path, size):
    made = committed(store, faces__tar=b"faces")
    manifest.commit(store, PREFIX, replace(made, parts=(replace(made.parts[0], size=size),)), replace=True)
    part = manifest.load(store, PREFIX).part("faces.tar")
    for read in (
        lambda: manifest.read_part(store, part),
        lambda: manifest.fetch_part(store, part, tmp_path / "faces.tar"),
    ):
        with pytest.raises(DataLoss, match=f"{size} bytes.*{part.key}.*has 5") as caught:
            read()
        assert (caught.value.reason, caught.value.resource) == ("WRONG_SIZE", part.key)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_gone_is_data_loss_that_names_the_key(store, tmp_path):
    part = committed(store, faces__tar=b"faces").part("faces.tar")
    store.delete([part.key])
    for read in (
        lambda: manifest.read_part(store, part),
        lambda: manifest.fetch_part(store, part, tmp_path / "faces.tar"),
    ):
        with pytest.raises(DataLoss, match=part.key) as caught:
            read()
        assert caught.value.reason == "PART_MISSING"
    assert list(tmp_path.iterdir()) == []


def test_a_fetched_part_appears_whole_in_place_of_what_was_there(store, tmp_path):
    part = committed(store, faces__tar=b"faces").part("faces.tar")
    (tmp_path / "faces.tar").write_bytes(b"something older and longer")
    assert manifest.fetch_part(store, part, tmp_path / "faces.tar") == tmp_path / "faces.tar"
    assert (tmp_path / "faces.tar").read_bytes() == b"faces"
    assert [path.name for path in tmp_path.iterdir()] == ["faces.tar"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: b"\xff\xfe no JSON",
        lambda record: b"[]",
        lambda record: json.dumps({**record, "format": "somebody.else/1"}).encode(),
        lambda record: json.dumps({name: record[name] for name in record if name != "parts"}).encode(),
        lambda record: json.dumps({**record, "parts": [{"name": "a"}]}).encode(),
        lambda record: json.dumps({**record, "parts": [{**record["parts"][0], "size": -1}]}).encode(),
        lambda record: json.dumps(
            {**record, "parts": [{**record["parts"][0], "key": "sources/elsewhere-" + "0" * 64}]}
        ).encode(),
    ],
)
def test_a_manifest_that_cannot_be_read_or_points_outside_is_data_loss(store, spoil):
    committed(store, faces__tar=b"faces")
    key = f"{PREFIX}/manifest.json"
    document.put(store, key, spoil(json.loads(store.get_bytes(key))))  # its digest is right: it was written so
    with pytest.raises(DataLoss, match=r"manifest\.json") as caught:
        manifest.load(store, PREFIX)
    assert caught.value.reason == "BAD_MANIFEST"


def test_an_error_about_a_manifest_names_the_wrong_field(store):
    committed(store, faces__tar=b"faces")
    key = f"{PREFIX}/manifest.json"
    document.put(store, key, json.dumps({**json.loads(store.get_bytes(key)), "content_digest": 7}).encode())
    with pytest.raises(DataLoss, match="content_digest: Input should be a valid string") as caught:
        manifest.load(store, PREFIX)
    assert (caught.value.reason, caught.value.resource) == ("BAD_MANIFEST", key)


@pytest.mark.parametrize(
    "info",
    [
        SourceInfo(kind="frames", file_name="frames", frame_rate="25/1", frame_count=3),
        ModelInfo(
            iterations=300,
            pair_id="000_003",
            losses=[(100, 0.25, 0.5), (200, 1, 5e-324)],
            previews=[PreviewInfo(100, "trainings/x/0000100.jpg")],
            seconds=1.5,
        ),
        ModelInfo(iterations=0, architecture={"bottleneck": 1024, "encoder_filters": [8, 16]}),
    ],
    ids=["source", "model", "imported model"],
)
def test_facts_are_read_as_they_were_written(store, info):
    made = Manifest("any", {}, {}, (), codec.to_values(info), "c")
    manifest.commit(store, PREFIX, made)
    assert manifest.load(store, PREFIX).info_as(type(info)) == info


def test_a_wrong_fact_is_data_loss_that_names_it():
    made = Manifest("model", {}, {}, (), {"iterations": "many"}, "c")
    with pytest.raises(DataLoss, match=r"manifest of this model is damaged.*iterations") as caught:
        made.info_as(ModelInfo)
    assert caught.value.reason == "BAD_MANIFEST"


def test_a_manifest_in_which_one_digit_changed_is_data_loss(store):
    committed(store, faces__tar=b"faces")
    key = f"{PREFIX}/manifest.json"
    data, metadata = store.get_with_metadata(key)
    assert b'"frames": 3' in data
    store.put_bytes(key, data.replace(b'"frames": 3', b'"frames": 7'), metadata=metadata)
    with pytest.raises(DataLoss, match=r"manifest\.json") as caught:
        manifest.load(store, PREFIX)
    assert (caught.value.reason, caught.value.resource) == ("BAD_MANIFEST", key)


def test_a_key_of_a_part_is_a_part_and_another_key_is_none(store):
    part = put_part(store, PREFIX, "0000010.jpg", b"picture")
    named = manifest.part_of_key(part.key)
    assert (named.name, named.key, named.sha256, named.has_size) == (part.name, part.key, part.sha256, False)
    assert manifest.read_part(store, named) == b"picture"
    with pytest.raises(DataLoss, match="status"):
        manifest.part_of_key(f"{PREFIX}/status.json")


def test_finished_parts_of_a_cut_off_writer_are_found_by_name(store):
    put = [
        put_part(store, PREFIX, name, name.encode())
        for name in ("faces-00000.tar", "alignments-00000.safetensors", "masks_blend.mp4", "notes", "a.b.json")
    ]
    store.put_bytes(f"{PREFIX}/status.json", b"{}")
    store.put_bytes(f"{PREFIX}/deeper/faces-{'0' * 64}.tar", b"x")
    store.put_bytes(f"{PREFIX}0/faces-{'0' * 64}.tar", b"x")
    found = manifest.find_parts(store, PREFIX)
    assert {name: (part.key, part.sha256) for name, part in found.items()} == {
        part.name: (part.key, part.sha256) for part in put
    }
    assert manifest.read_part(store, found["notes"]) == b"notes"


def test_of_two_racing_writers_either_manifest_is_whole(store):
    first = put_part(store, PREFIX, "faces.tar", b"by the first")
    made = committed(store, faces__tar=b"by the second")
    assert manifest.load(store, PREFIX) == made
    assert manifest.read_part(store, made.part("faces.tar")) == b"by the second"
    assert manifest.read_part(store, first) == b"by the first"


def test_asking_for_a_part_that_is_not_there_names_those_that_are(store):
    with pytest.raises(NotFound, match=r"faces\.tar"):
        committed(store, faces__tar=b"faces").part("weights.safetensors")
