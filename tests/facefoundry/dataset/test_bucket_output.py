"""A dataset in the bucket: copied by the server, whole before it has a manifest, and fetched as it would be on disk."""

from __future__ import annotations

import _thread
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from jsonschema import Draft202012Validator

import facefoundry
from facefoundry.cli.main import main
from facefoundry.client import Client
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import Estimate
from facefoundry.errors import Cancelled, DataLoss, InvalidInput, NotFound, Unusable
from facefoundry.planning.outputs import space_sentences
from facefoundry.planning.running import run
from facefoundry.storage import document
from facefoundry.storage.store import Store
from tests.facefoundry.dataset.fakes import FakeServices
from tests.facefoundry.dataset.made_in_bucket import LEVELS, edit, make, name_store, write
from tests.faults.proxy import Fault, Proxy

KNOWN_DIGESTS = "misc/report/digests.json"  # has the times of files


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset file of one pair."""
    return write(tmp_path, 2)


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset file of six clips."""
    return write(tmp_path_factory.mktemp("six"), 6)


@pytest.fixture(scope="module")
def made(new_store: Callable[[], Store], six: Path) -> Store:
    """A store with the dataset of six clips."""
    store = new_store()
    with pytest.MonkeyPatch.context() as patch:
        name_store(patch, store)
        make(six, f"s3://{store.bucket}/datasets/six/", store)
    return store


@pytest.fixture
def environment(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, as the environment names it."""
    name_store(monkeypatch, store)
    return store


@pytest.fixture
def filled(made: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store with the dataset, as the environment names it."""
    name_store(monkeypatch, made)
    return made


def main_code(words: list[str], expected: int) -> None:
    """Run the command; check its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert (caught.value.code or 0) == expected


def name_of(key: str) -> str:
    """Return the name of a file without its digest, and `index` for an index."""
    if "/misc/index/" in key:
        return "index"
    return re.sub(r"-[0-9a-f]{64}", "", key.rpartition("/")[2])


def tree(folder: Path, leave: tuple[str, ...] = ()) -> dict[str, bytes]:
    return {
        name: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not (name := path.relative_to(folder).as_posix()).startswith((KNOWN_DIGESTS, *leave))
    }


def test_what_is_fetched_is_what_a_folder_would_have(six, filled, tmp_path):
    make(six, tmp_path / "folder", filled)
    fetched = facefoundry.fetch("six", tmp_path / "fetched")
    assert (fetched.pairs, fetched.done, fetched.found, fetched.lost) == (3, fetched.files, 0, ())
    models = "manipulated_sequences/Deepfakes/models/"
    own = ("misc/report/run.json", "misc/report/pairs/", "report.html")
    on_disk, found = tree(tmp_path / "folder", (*own, models)), tree(tmp_path / "fetched")
    alike = {name: data for name, data in found.items() if not name.startswith(own)}
    assert {name: data for name, data in alike.items() if not name.endswith("samples.tar")} == on_disk
    record = filled.get_bytes("datasets/six/misc/report/run.json")
    assert found["misc/report/run.json"] == record, "the record stays as it was written"
    pages = [(tmp_path / name / "report.html").read_text() for name in ("folder", "fetched")]
    in_folder, in_fetched = (re.findall(r"data:image/jpeg[^\"]+", page) for page in pages)
    assert in_folder == in_fetched and in_folder, "the pictures of the report"


def test_what_is_there_does_not_come_again_and_a_damaged_file_does(filled, tmp_path, capsys):
    out = tmp_path / "out"
    facefoundry.fetch("six", out)
    before = tree(out)
    again = facefoundry.fetch("six", out)
    assert (again.found, again.replaced) == (again.files, ()) and tree(out) == before
    damaged, own = "original_sequences/youtube/raw/videos/0.mp4", out / "misc" / "notes.txt"
    (out / damaged).write_bytes(b"0 rav")
    own.write_text("mine")
    main_code(["fetch", "six", str(out)], 0)
    printed = capsys.readouterr().err
    assert f"as other bytes were there: {damaged}." in printed and f"{again.files - 1} were there before" in printed
    assert tree(out) == {**before, "misc/notes.txt": b"mine"}


def test_models_and_faces_come_when_they_are_asked_for(dataset, environment, tmp_path):
    edit(dataset, ("keep_models: false", "keep_models: true"), ("keep_faces: false", "keep_faces: true"))
    make(dataset, f"s3://{environment.bucket}/datasets/six/", environment)
    make(dataset, tmp_path / "folder", environment)
    facefoundry.fetch("six", tmp_path / "fetched", only=["models", "faces"])
    models = FfppLayout(tmp_path / "fetched").models()
    assert tree(models) == tree(FfppLayout(tmp_path / "folder").models()) and len(tree(models)) == 3
    names = {path.name for path in (tmp_path / "fetched").rglob("*") if path.is_file()}
    assert {"faces-00000.tar", "0.safetensors", "filelist.json"} <= names
    assert not {name for name in names if name.endswith((".mp4", ".html"))}


def test_no_video_passes_through_the_run_and_a_stopped_one_goes_on(dataset, environment, monkeypatch):
    store = environment
    with Proxy(store.settings.endpoint) as proxy:
        monkeypatch.setenv("FACEFOUNDRY_STORE_ENDPOINT", proxy.endpoint)
        services = Store(store.settings.model_copy(update={"public_endpoint": f"http://{proxy.endpoint}"}))
        place = f"s3://{store.bucket}/datasets/six/"
        stopped = Fault(status=403, code="AccessDenied")
        proxy.rule = lambda request: stopped if request.kind == "PUT" and "/masks/" in request.key else None
        records = run(dataset, place, cast(Client, FakeServices(services, LEVELS)))
        assert {pair.failure.reason for pair in records if pair.failure} == {"STORE_ACCESS_DENIED"}
        before = {key for key, size in store.sizes("datasets/six/manipulated_sequences/")}
        assert before and not list(store.list("datasets/six/misc/index/"))
        proxy.rule = None
        proxy.forget()
        make(dataset, place, services)
        read = {name_of(request.key) for request, _ in proxy.log if request.kind == "GET"}
        assert read <= {"manifest.json", "labels.json", "index", "log.json"}, "what the client reads"
        copied = {request.key for request, _ in proxy.log if request.kind == "PUT" and request.key.endswith(".mp4")}
        assert copied and not copied & before, "what was copied before is not copied again"
        sent = [request for request, _ in proxy.log if request.kind == "PUT" and request.size]
        assert {request.key.rpartition(".")[2] for request in sent} == {"json", "html"}
    videos = {key: store.get_with_metadata(key) for key in store.list("datasets/six/") if key.endswith(".mp4")}
    assert len(videos) == 2 * (2 + 3) + 2 * 2
    for data, metadata in videos.values():
        assert metadata == {"sha256": hashlib.sha256(data).hexdigest()}


def test_its_documents_follow_their_schemas(made):
    found = {key: json.loads(made.get_bytes(key)) for key in made.list("datasets/six/") if key.endswith(".json")}
    indexes = [key for key in found if "/misc/index/" in key]
    assert {len(found[key]["rights"]) for key in indexes} == {2}
    assert {digest for key in indexes for digest in found[key]["rights"].values()} == {"unstated"}
    rights = ["datasets/six/misc/rights.json"]
    for schema, keys in (("dataset", ["datasets/six/manifest.json"]), ("index", indexes), ("rights", rights)):
        rules = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / f"{schema}.json").read_text())
        for key in keys:
            Draft202012Validator(rules).validate(found[key])


def test_a_dataset_is_whole_before_it_has_a_manifest(dataset, environment, tmp_path):
    place = f"s3://{environment.bucket}/datasets/six/"
    with pytest.raises(NotFound, match="is empty") as caught:
        facefoundry.fetch("six", tmp_path / "fetched")
    assert caught.value.reason == "NO_SUCH_DATASET"
    with pytest.raises(KeyboardInterrupt):
        run(dataset, place, cast(Client, Dying(environment, LEVELS)))
    assert [key for key in environment.list("datasets/six/") if key.endswith(".mp4")]
    with pytest.raises(NotFound, match="run it again") as caught:
        facefoundry.fetch("six", tmp_path / "fetched")
    assert caught.value.reason == "DATASET_NOT_FINISHED"
    make(dataset, place, environment)
    assert facefoundry.fetch("six", tmp_path / "fetched").pairs == 1
    with pytest.raises(NotFound, match="has six"):
        facefoundry.fetch("seven", tmp_path / "fetched")


class Dying(FakeServices):
    """Services with which a run is interrupted in the middle."""

    def transcode(self, *arguments):
        _thread.interrupt_main()
        raise Cancelled("Interrupted.")


def test_what_a_failed_pair_lacks_is_told(six, environment, tmp_path, capsys):
    class Failing(FakeServices):
        def convert(self, request, on_progress):
            if "3" in (request.target_id, request.source_id):
                raise Unusable("No face.", reason="NO_FACE_FOUND")
            return super().convert(request, on_progress)

    run(six, f"s3://{environment.bucket}/datasets/six/", cast(Client, Failing(environment, LEVELS)))
    main_code(["fetch", "six", str(tmp_path / "out"), "--json"], 0)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "fetched" and events[-1]["pairs"] == 2
    (missing,) = events[-1]["missing"]
    assert "3" in missing["id"].split("_") and missing["reason"] == "NO_FACE_FOUND"
    assert len(list((tmp_path / "out" / "original_sequences").rglob("*.mp4"))) == 4 * 2


def test_bytes_that_changed_are_named_and_all_others_come(dataset, environment, tmp_path, capsys):
    make(dataset, f"s3://{environment.bucket}/datasets/six/", environment)
    key, other = sorted(key for key in environment.list("datasets/six/original_sequences/") if "/raw/" in key)
    environment.put_bytes(key, environment.get_bytes(key)[::-1])
    environment.delete([other])
    main_code(["fetch", "six", str(tmp_path / "out"), "--only", "raw,labels"], 3)
    printed = capsys.readouterr().err
    assert key in printed and other in printed
    found = tree(tmp_path / "out")
    assert not any(name.endswith(".partial") for name in found if name in key)
    assert len([name for name in found if name.endswith(".mp4")]) == 2 + 2 - 2
    assert {Path(name).parent.name for name in found if "labels" in name} == {"labels"}


def test_a_lost_run_record_is_named_and_all_others_come(dataset, environment, tmp_path, capsys):
    make(dataset, f"s3://{environment.bucket}/datasets/six/", environment)
    environment.delete(["datasets/six/misc/report/run.json"])
    main_code(["fetch", "six", str(tmp_path / "out")], 3)
    assert "misc/report/run.json" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "original_sequences").rglob("*.mp4"))) == 2 * 2


def test_a_folder_with_another_dataset_is_left_as_it_is(filled, tmp_path):
    facefoundry.fetch("six", tmp_path, only=["report"])
    record = tmp_path / "misc" / "report" / "run.json"
    record.write_text(record.read_text().replace('"name":"six"', '"name":"seven"'))
    before = tree(tmp_path)
    with pytest.raises(InvalidInput, match="has the dataset seven") as caught:
        facefoundry.fetch("six", tmp_path)
    assert caught.value.reason == "OUTPUT" and tree(tmp_path) == before


def test_a_cut_transfer_goes_on_where_it_was(filled, tmp_path, monkeypatch):
    path = tmp_path / "out" / "original_sequences/youtube/raw/videos/0.mp4"
    path.parent.mkdir(parents=True)
    path.with_name("0.mp4.partial").write_bytes(b"0 r")
    with Proxy(filled.settings.endpoint) as proxy:
        monkeypatch.setenv("FACEFOUNDRY_STORE_ENDPOINT", proxy.endpoint)
        facefoundry.fetch("six", tmp_path / "out", only=["raw"])
        ranges = {request.offset for request, _ in proxy.log if request.key.endswith("/raw/videos/0.mp4")}
    assert path.read_bytes() == b"0 raw" and ranges == {3}


def test_pairs_and_kinds_are_chosen(filled, tmp_path):
    facefoundry.fetch("six", tmp_path / "out", only=["c40"])
    filelist = tmp_path / "out" / "misc" / "filelist.json"
    first, *_ = json.loads(filelist.read_text())
    facefoundry.fetch("six", tmp_path / "one", only=["masks"], pairs=["_".join(reversed(first))])
    (tmp_path / "pairs.json").write_text(json.dumps([first]))
    facefoundry.fetch("six", tmp_path / "two", only=["masks"], pairs=[str(tmp_path / "pairs.json")])
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    masks = {path.stem for path in (tmp_path / "one").rglob("*.mp4")}
    assert masks == {"_".join(first), "_".join(reversed(first))}
    for only, pairs in ((["c99"], []), ([], ["1_99"])):
        with pytest.raises(InvalidInput, match="It has") as caught:
            facefoundry.fetch("six", tmp_path / "out", only=only, pairs=pairs)
        assert caught.value.reason == "FETCH"


def test_a_dataset_of_another_recipe_is_not_mixed_with_it(dataset, environment):
    place = f"s3://{environment.bucket}/datasets/six/"
    make(dataset, place, environment)
    before = environment.get_bytes("datasets/six/manifest.json")
    edit(dataset, ("extraction.identity: false", "extraction.identity: false, training.batch_size: 8"))
    with pytest.raises(InvalidInput, match=r"training\.batch_size is .*, not 8") as caught:
        make(dataset, place, environment)
    assert caught.value.reason == "OUTPUT"
    assert environment.get_bytes("datasets/six/manifest.json") == before


def test_a_later_run_never_writes_other_bytes_over_a_dataset(dataset, environment, tmp_path):
    class Later(FakeServices):
        def transcode(self, source_uri, sequence_id, recipe, on_progress):
            return super().transcode(source_uri, f"later {sequence_id}", recipe, on_progress)

    place = f"s3://{environment.bucket}/datasets/six/"
    make(dataset, place, environment)
    before = environment.get_bytes("datasets/six/original_sequences/youtube/raw/videos/0.mp4")
    (pair,) = run(dataset, place, cast(Client, Later(environment, LEVELS)))
    assert pair.failure and pair.failure.reason == "OUTPUT"
    assert "a gate asked for a second training. Choose another place" in pair.failure.message
    assert environment.get_bytes("datasets/six/original_sequences/youtube/raw/videos/0.mp4") == before
    fetched = facefoundry.fetch("six", tmp_path / "fetched")
    assert (fetched.pairs, fetched.missing, fetched.lost) == (1, (), ())


def test_a_run_that_adds_pairs_leaves_the_dataset_whole_until_it_ends(tmp_path, environment):
    (tmp_path / "pairs.json").write_text('[["0", "1"]]')
    dataset, place = write(tmp_path, 4), f"s3://{environment.bucket}/datasets/six/"
    edit(dataset, ("strategy: shuffle", "strategy: filelist"), ("seed: 0", "path: pairs.json"))
    make(dataset, place, environment)
    (tmp_path / "pairs.json").write_text('[["0", "1"], ["2", "3"]]')
    with pytest.raises(KeyboardInterrupt):
        run(dataset, place, cast(Client, Dying(environment, LEVELS)))
    fetched = facefoundry.fetch("six", tmp_path / "before")
    assert (fetched.pairs, fetched.lost) == (1, ())
    make(dataset, place, environment)
    assert facefoundry.fetch("six", tmp_path / "after").pairs == 2
    (tmp_path / "pairs.json").write_text('[["2", "3"]]')
    with pytest.raises(InvalidInput, match="1 other pairs: 0_1") as caught:
        make(dataset, place, environment)
    assert caught.value.reason == "OUTPUT"


def test_an_index_that_a_manifest_names_is_replaced_just_before_the_manifest(dataset, environment, monkeypatch):
    place = f"s3://{environment.bucket}/datasets/six/"
    make(dataset, place, environment)
    edit(dataset, ("keep_models: false", "keep_models: true"))
    with Proxy(environment.settings.endpoint) as proxy:
        monkeypatch.setenv("FACEFOUNDRY_STORE_ENDPOINT", proxy.endpoint)
        make(dataset, place, environment)
        written = [name_of(request.key) for request in proxy.written() if request.key.startswith("datasets/")]
    assert written[-2:] == ["index", "manifest.json"] and written.count("index") == 1


@pytest.mark.parametrize(
    "place", ["s3://", "s3://x/datasets/a", "s3://{}/datasets/", "s3://{}/conversions/a/", "s3://{}/datasets/../a/"]
)
def test_a_dataset_lies_in_its_own_place(dataset, environment, place):
    with pytest.raises(InvalidInput) as caught:
        run(dataset, place.format(environment.bucket), cast(Client, FakeServices(environment)))
    assert caught.value.reason == "OUTPUT"


def test_without_keys_there_is_no_output_in_a_bucket(dataset, environment, monkeypatch, tmp_path):
    monkeypatch.delenv("FACEFOUNDRY_STORE_ACCESS_KEY")
    place = f"s3://{environment.bucket}/datasets/six/"
    for use in (
        lambda: run(dataset, place, cast(Client, FakeServices(environment))),
        lambda: facefoundry.fetch("six", tmp_path),
    ):
        with pytest.raises(InvalidInput) as caught:
            use()
        assert caught.value.reason == "NO_KEYS"


def test_an_index_that_leads_out_of_the_folder_is_refused(filled, tmp_path):
    key = "datasets/six/manifest.json"
    for wrong in ("../misc/filelist.json", "/misc/filelist.json", "misc//filelist.json", "misc/file\\nlist.json"):
        text = filled.get_bytes(key).decode()
        document.put(filled, key, text.replace("misc/filelist.json", wrong).encode())
        with pytest.raises(DataLoss, match="Expected paths"):
            facefoundry.fetch("six", tmp_path / "out")
        document.put(filled, key, text.encode())


def test_the_space_of_the_copies_is_stated_before() -> None:
    place = "s3://bucket/datasets/six/"
    (sentence,) = space_sentences(place, Estimate(None, 1.0, 5e9, 2.5e9))
    assert place in sentence and "about 2.50 GB" in sentence
    for estimate in (None, Estimate(None, 1.0, 5e9, None)):
        assert "`plan --check --rates` estimates it" in space_sentences(place, estimate)[0]
    assert space_sentences("out", Estimate(None, 1.0, 5e9, 2.5e9)) == []
