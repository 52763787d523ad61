"""A dataset file becomes clips, splits and pairs: from folders, lists and the trees of known datasets."""

from __future__ import annotations

import json

import pytest

from facefoundry.dataset.plan import Pair
from facefoundry.dataset.rights import Rights
from facefoundry.errors import InvalidInput
from facefoundry.planning.clips import ListedObject
from facefoundry.planning.dataset_file import DatasetFile, NoSplits
from facefoundry.planning.draft import draft, plan
from facefoundry.planning.ids import assign_ids
from facefoundry.planning.resolve import resolve, splits_json
from tests.facefoundry.planning.known_trees import FFPP_LEAKS, touch, write_ffpp


def no_bucket(prefix):
    raise AssertionError(f"{prefix} was listed")


def drafted(tmp_path, *sources, list_objects=no_bucket, **changes):
    made = draft([str(source) for source in sources], tmp_path, name="x", recipe="ffpp", list_objects=list_objects)
    return DatasetFile.model_validate({**made.model_dump(), **changes})


def folder_of(tmp_path, *names):
    for name in names:
        touch(tmp_path / "clips" / f"{name}.mp4")
    return tmp_path / "clips"


def test_ffpps_own_splits_load_unchanged_and_its_seven_leaking_videos_are_reported(tmp_path):
    videos = {clip: video for video, clips in FFPP_LEAKS.items() for clip, _ in clips} | {"943": "same", "942": "same"}
    splits = {"train": [("943", "942")], "val": [], "test": []}
    for number, (clip, name) in enumerate(place for clips in FFPP_LEAKS.values() for place in clips):
        splits[name].append((clip, f"{number:03}"))
    root = write_ffpp(tmp_path / "FaceForensics++", splits, videos)
    dataset = drafted(tmp_path, root)
    assert dataset.sources[0].kind == "ffpp" and dataset.splits.kind == "given"
    resolved = resolve(dataset, tmp_path, no_bucket)
    assert {name: json.loads(text) for name, text in splits_json(resolved).items()} == {
        f"{name}.json": [list(pair) for pair in pairs] for name, pairs in splits.items()
    }
    assert {leak.what.rpartition(" ")[2]: leak.splits for leak in resolved.leaks} == {
        video: {split: (clip,) for clip, split in sorted(clips)} for video, clips in FFPP_LEAKS.items()
    }
    assert resolved.related == [Pair("943", "942")]
    assert sum("LEAK" in line for line in resolved.findings()) == 7


def test_the_same_clips_split_by_shares_do_not_leak(tmp_path):
    videos = {clip: video for video, clips in FFPP_LEAKS.items() for clip, _ in clips}
    root = write_ffpp(tmp_path / "ff", {}, videos, others=[*videos, *(f"{number:03}" for number in range(30))])
    for pairs in ({"strategy": "shuffle"}, {"strategy": "round-robin", "partners": 3}):
        resolved = resolve(drafted(tmp_path, root, pairs=pairs), tmp_path, no_bucket)
        assert resolved.leaks == [] and resolved.related == []
        assert all(resolved.split_of[pair.a] == resolved.split_of[pair.b] for pair in resolved.pairs)
        assert sum(len(resolved.pairs_of(name)) for name in ("train", "val", "test")) == len(resolved.pairs)


def test_celeb_df_has_its_real_clips_celebrities_and_test_list(tmp_path):
    root = tmp_path / "Celeb-DF-v2"
    for name in ("Celeb-real/id0_0000", "Celeb-real/id0_0001", "Celeb-real/id1_0000", "YouTube-real/00170"):
        touch(root / f"{name}.mp4")
    touch(root / "Celeb-synthesis" / "id0_id1_0000.mp4")
    (root / "List_of_testing_videos.txt").write_text("1 YouTube-real/00170.mp4\n1 Celeb-real/id0_0001.mp4\n")
    dataset = drafted(tmp_path, root, splits={"kind": "given"})
    assert dataset.sources[0].kind == "celeb-df"
    resolved = resolve(dataset, tmp_path, no_bucket)
    assert {clip.id: (clip.name, clip.split) for clip in resolved.clips.values()} == {
        "id0-0000": ("id0_0000", "train"),
        "id0-0001": ("id0_0001", "test"),
        "id1-0000": ("id1_0000", "train"),
        "00170": ("00170", "test"),
    }
    assert resolved.renamed["id0-0001"] == "id0_0001" and "00170" not in resolved.renamed
    assert [leak.what for leak in resolved.leaks] == ["subject celeb-df id0"]
    assert {frozenset(pair) for pair in resolved.pairs} == {
        frozenset({"id0-0000", "id1-0000"}),
        frozenset({"id0-0001", "00170"}),
    }


def test_dfdc_has_the_real_clips_of_its_parts(tmp_path):
    for part, names in (("dfdc_train_part_0", ("aa", "bb")), ("dfdc_train_part_1", ("cc",))):
        facts = {f"{name}.mp4": {"label": "REAL", "split": "train", "original": None} for name in names}
        facts["zz.mp4"] = {"label": "FAKE", "split": "train", "original": "aa.mp4"}
        touch(tmp_path / "dfdc" / part / "metadata.json").write_text(json.dumps(facts))
        for name in (*names, "zz"):
            touch(tmp_path / "dfdc" / part / f"{name}.mp4")
    dataset = drafted(tmp_path, tmp_path / "dfdc")
    assert dataset.sources[0].kind == "dfdc"
    assert set(resolve(dataset, tmp_path, no_bucket).clips) == {"aa", "bb", "cc"}


def test_voxceleb_has_its_speakers_and_videos(tmp_path):
    for place in ("dev/mp4/id00012/21Uxsk56VDQ/00001", "dev/mp4/id00012/_x/00002", "test/mp4/id00017/_x/00001"):
        touch(tmp_path / "vox" / f"{place}.mp4")
    dataset = drafted(tmp_path, tmp_path / "vox", splits={"kind": "given"}, pairs={"strategy": "shuffle"})
    assert dataset.sources[0].kind == "voxceleb"
    with pytest.raises(InvalidInput, match="at least two clips of different people"):
        resolve(dataset, tmp_path, no_bucket)
    touch(tmp_path / "vox" / "dev" / "mp4" / "id00018" / "abc" / "00001.mp4")
    resolved = resolve(dataset, tmp_path, no_bucket)
    assert resolved.clips["id00012-x-00002"].keys == ("subject voxceleb id00012", "source video youtube _x")
    assert [leak.what for leak in resolved.leaks] == ["source video youtube _x"]


def test_a_list_states_subject_source_video_rights_and_split(tmp_path):
    folder_of(tmp_path, "a_1", "b")
    (tmp_path / "clips.csv").write_text(
        "clip,id,subject,source_video,rights,split\n"
        "clips/a_1.mp4,,ann,v1,a.yaml,train\nclips/b.mp4,bob-1,bob,,unstated,\ns3://clips/c.mp4,,ann,,,test\n"
    )
    (tmp_path / "a.yaml").write_text("{basis: licence, licence: CC0-1.0}")
    dataset = drafted(tmp_path, tmp_path / "clips.csv", splits={"kind": "none"})
    clips = resolve(dataset, tmp_path, no_bucket).clips
    assert {clip_id: (clip.keys, clip.rights, clip.split, clip.is_object) for clip_id, clip in clips.items()} == {
        "a-1": (("subject ann", "source video v1"), Rights(basis="licence", licence="CC0-1.0"), "train", False),
        "bob-1": (("subject bob",), "unstated", "", False),
        "c": (("subject ann",), None, "test", True),
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("path,subject\n", "Expected a header of the column clip"),
        ("clip,person\n", "Expected a header of the column clip"),
        ("clip\n", "has no rows"),
        ("clip\nnone.mp4\n", "clips that do not exist: .*none.mp4"),
        ("clip,split\nclips/a.mp4,dev\n", "Line 2 of"),
        ("clip,split\nclips/a.mp4,train,more\n", "Line 2 of"),
        ("clip,id\nclips/a.mp4,a_1\n", "line 2, id"),
        ("clip,id\nclips/a.mp4,x\nclips/b.mp4,x\n", "both have the id 'x'"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_its_line(tmp_path, text, complaint):
    folder_of(tmp_path, "a", "b")
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(InvalidInput, match=complaint):
        drafted(tmp_path, tmp_path / "clips.csv")


def test_a_prefix_of_a_bucket_is_listed_and_nothing_is_read(tmp_path):
    listed = [ListedObject(f"s3://clips/in/{name}", 7, "e1") for name in ("x/a.mp4", "b.MP4", "notes.txt")]
    dataset = drafted(
        tmp_path, "s3://clips/in/", list_objects=lambda prefix: listed if prefix == "s3://clips/in/" else []
    )
    clips = resolve(dataset, tmp_path, lambda _: listed).clips
    assert {clip.id: clip.location for clip in clips.values()} == {"x-a": listed[0].uri, "b": listed[1].uri}
    with pytest.raises(InvalidInput, match="Expected clips below s3://clips/in/"):
        resolve(dataset, tmp_path, lambda _: [])


def test_ids_are_valid_unique_and_those_of_their_clips():
    names = [(0, "033"), (0, "a_b"), (0, "a b"), (0, "a-b"), (1, "033"), (1, "ä"), (0, "x" * 150), (0, "x" * 151)]
    ids = assign_ids(names)
    assert len(set(ids)) == len(ids)
    assert all(len(made) <= 100 and made.replace("-", "").isalnum() and made.isascii() for made in ids)
    assert ids[3] == "a-b" and ids[0] != "033", "two clips 033 are told apart"
    turned = assign_ids(names[::-1])
    assert turned[::-1] == ids


def test_excluded_clips_and_their_pairs_are_left_out(tmp_path):
    clips = folder_of(tmp_path, "a", "b", "c", "d")
    (tmp_path / "pairs.json").write_text('[["a", "b"], ["c", "d"]]')
    changes = {"pairs": {"strategy": "filelist", "path": "pairs.json"}, "exclude": {"clips": ["b"]}}
    resolved = resolve(drafted(tmp_path, clips, **changes), tmp_path, no_bucket)
    assert resolved.pairs == [Pair("c", "d")] and resolved.left_over == ["a"]
    with pytest.raises(InvalidInput, match=r"exclude.clips names z"):
        resolve(drafted(tmp_path, clips, exclude={"clips": ["z"]}), tmp_path, no_bucket)


def test_a_filelist_of_other_clips_is_refused(tmp_path):
    clips = folder_of(tmp_path, "a", "b")
    (tmp_path / "pairs.json").write_text('[["a", "z"]]')
    with pytest.raises(InvalidInput, match="names clips that no source has: z"):
        resolve(drafted(tmp_path, clips, pairs={"strategy": "filelist", "path": "pairs.json"}), tmp_path, no_bucket)


def test_nearest_needs_measured_faces_and_pairs_by_them(tmp_path):
    dataset = drafted(tmp_path, folder_of(tmp_path, "a", "b", "c", "d"), pairs={"strategy": "nearest"})
    with pytest.raises(InvalidInput, match="plan --check"):
        resolve(dataset, tmp_path, no_bucket)
    features = {"a": (0.0,), "b": (9.0,), "c": (0.1,), "d": (9.1,)}
    assert set(resolve(dataset, tmp_path, no_bucket, features).pairs) == {Pair("a", "c"), Pair("b", "d")}


def test_given_splits_without_any_are_refused(tmp_path):
    dataset = drafted(tmp_path, folder_of(tmp_path, "a", "b"), splits={"kind": "given"})
    with pytest.raises(InvalidInput, match="no source gives splits"):
        resolve(dataset, tmp_path, no_bucket)


def test_the_python_function_writes_the_file_once(tmp_path):
    made = plan([folder_of(tmp_path, "a", "b")], tmp_path / "dataset.yaml")
    assert made.name == "clips" and made.sources[0].path == "clips" and made.splits == NoSplits()
    with pytest.raises(InvalidInput, match="exists"):
        plan([tmp_path / "clips"], tmp_path / "dataset.yaml")
    with pytest.raises(InvalidInput, match="does not exist"):
        plan([tmp_path / "nothing"], tmp_path / "other.yaml")
    assert not (tmp_path / "other.yaml").exists()


def test_clips_of_one_content_are_in_one_split_and_never_paired(tmp_path):
    clips = folder_of(tmp_path, *(f"c{number:02}" for number in range(20)))
    content = {f"c{number:02}": f"s3://bucket/sources/{number % 10}" for number in range(20)}
    shares = {"kind": "shares", "train": 0.6, "val": 0.2, "test": 0.2}
    for pairs in ({"strategy": "shuffle"}, {"strategy": "round-robin", "partners": 3}):
        dataset = drafted(tmp_path, clips, splits=shares, pairs=pairs)
        apart = resolve(dataset, tmp_path, no_bucket)
        assert any(apart.split_of[a] != apart.split_of[b] for a, b in zip(content, list(content)[10:], strict=False))
        resolved = resolve(dataset, tmp_path, no_bucket, content=content)
        assert {
            len({resolved.split_of[clip] for clip in content if content[clip] == uri}) for uri in content.values()
        } == {1}
        assert all(content[a] != content[b] for a, b in resolved.pairs) and resolved.leaks == []


def test_one_content_in_two_given_splits_is_a_leak_and_in_a_pair_of_a_filelist_it_is_named(tmp_path):
    folder_of(tmp_path, "a", "b", "c", "d")
    rows = "clips/a.mp4,train\nclips/b.mp4,train\nclips/c.mp4,test\nclips/d.mp4,test\n"
    (tmp_path / "clips.csv").write_text(f"clip,split\n{rows}")
    (tmp_path / "pairs.json").write_text('[["a", "b"], ["c", "d"]]')
    changes = {"splits": {"kind": "given"}, "pairs": {"strategy": "filelist", "path": "pairs.json"}}
    dataset = drafted(tmp_path, tmp_path / "clips.csv", **changes)
    content = dict.fromkeys("acd", "s3://bucket/sources/1")
    resolved = resolve(dataset, tmp_path, no_bucket, content=content)
    assert resolved.findings() == [
        "LEAK: content s3://bucket/sources/1 is in 2 splits (train: a; test: c, d).",
        "c_d pairs two clips of one subject, source video or content.",
    ]


@pytest.mark.parametrize(("clips", "sentence"), [("abc", "1 clip is in no pair: "), ("ab", "")])
def test_a_clip_without_a_partner_is_named(tmp_path, clips, sentence):
    dataset = drafted(tmp_path, folder_of(tmp_path, *clips), splits={"kind": "none"})
    findings = resolve(dataset, tmp_path, no_bucket).findings()
    assert [finding for finding in findings if "in no pair" in finding] == [
        f"{sentence}{clip}." for clip in resolve(dataset, tmp_path, no_bucket).left_over
    ]
    assert bool(findings) == bool(sentence)


def people(tmp_path, split_of=lambda subject: ""):
    """A list of two clips of each of ten people."""
    names = [(f"s{subject}-{take}", subject) for subject in range(10) for take in range(2)]
    folder_of(tmp_path, *(name for name, _ in names))
    rows = [f"clips/{name}.mp4,{subject},{split_of(subject)}" for name, subject in names]
    (tmp_path / "clips.csv").write_text("\n".join(["clip,subject,split", *rows]))
    return tmp_path / "clips.csv"


def test_a_split_by_shares_without_a_pair_is_refused_with_the_way_out(tmp_path):
    shares = {"kind": "shares", "train": 0.8, "val": 0.1, "test": 0.1}
    dataset = drafted(tmp_path, people(tmp_path), splits=shares)
    with pytest.raises(
        InvalidInput, match=r"val with (s\d)-0, \1-1; test with (s\d)-0, \2-1\..*splits\.seed"
    ) as caught:
        resolve(dataset, tmp_path, no_bucket)
    assert caught.value.reason == "SPLIT_EMPTY"
    assert [violation.field for violation in caught.value.violations] == ["splits.val", "splits.test"]
    larger = drafted(tmp_path, tmp_path / "clips.csv", splits=shares | {"train": 0.6, "val": 0.2, "test": 0.2})
    resolved = resolve(larger, tmp_path, no_bucket)
    assert [len(resolved.pairs_of(name)) for name in ("train", "val", "test")] == [6, 2, 2]
    without = drafted(tmp_path, tmp_path / "clips.csv", splits=shares | {"train": 1.0, "val": 0.0, "test": 0.0})
    assert len(resolve(without, tmp_path, no_bucket).pairs) == 10


def test_a_given_split_without_a_pair_is_named(tmp_path):
    listed = people(tmp_path, lambda subject: "test" if subject == 3 else "train")
    resolved = resolve(drafted(tmp_path, listed, splits={"kind": "given"}), tmp_path, no_bucket)
    assert resolved.findings()[0] == "The split test has clips, but no pair of two of them."
    assert not any("split val" in finding or "split train" in finding for finding in resolved.findings())


def test_gates_on_what_the_recipe_does_not_measure_are_named(tmp_path):
    folder = folder_of(tmp_path, "a", "b")
    gates = [{"measure": name, "min": 0.3, "action": "drop"} for name in ("mouth", "sharpness", "identity_gain")]

    def gate_findings(**changes):
        dataset = drafted(tmp_path, folder, splits={"kind": "none"}, **changes)
        return [finding for finding in resolve(dataset, tmp_path, no_bucket).findings() if "gate" in finding]

    (finding,) = gate_findings(gates=gates)
    assert finding.startswith("The gates on mouth, identity_gain would pass every fake")
    assert "extraction.identity: true" in finding
    assert gate_findings() == []
    assert gate_findings(gates=gates, recipe={"name": "ffpp", "set": {"extraction.identity": True}}) == []
    assert gate_findings(gates=gates, recipe={"name": "preview"}) == []
