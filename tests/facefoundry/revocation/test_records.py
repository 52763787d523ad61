"""Records that came from elsewhere, were used again or are damaged do not mislead a revocation: a real S3 server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from facefoundry import codec
from facefoundry.cli.revoke import revoke as command
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import FakeRecord, PairRecord, Retraining, RunRecord, SequenceRecord, TrainingRecord
from facefoundry.dataset.rights import RIGHTS_FILE, ClipRights, Rights
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.statements import ChangedPlace, Statement, load_statement, save_statement
from facefoundry.dataset.stored_dataset import DatasetManifest, IndexedFile
from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.revocation.folders import change_folder
from facefoundry.revocation.records import require_ids
from facefoundry.revocation.revoking import find, revoke
from facefoundry.storage import document, keys
from facefoundry.storage.manifest import Manifest, commit
from facefoundry.storage.store import Store

WITHDRAWN = Rights(basis="consent", subject="P-3", evidence="form 3")
OTHER = Rights(basis="consent", subject="P-8", evidence="form 8")
SOURCES = {record.digest: f"s3://b/sources/{character * 40}" for record, character in ((WITHDRAWN, "3"), (OTHER, "8"))}


def record(clips: dict[str, Rights], *pairs: str) -> RunRecord:
    found = {clip: SequenceRecord(source_uri=SOURCES[each.digest], rights=each.digest) for clip, each in clips.items()}
    return RunRecord("made", "", {}, sequences=found, pairs=[*pairs])


def write(folder: Path, clips: dict[str, Rights], *pairs: str) -> FfppLayout:
    """Write the records of a dataset, and a file for each clip and pair."""
    layout = FfppLayout(folder)
    RunFolder(layout.run_folder()).save_run(record(clips, *pairs))
    layout.filelist().write_text(json.dumps([pair.split("_") for pair in pairs]))
    layout.filelist().with_name(RIGHTS_FILE).write_bytes(codec.to_json(ClipRights.of(clips)))
    for path in (*(layout.real_video("raw", clip) for clip in clips), *(layout.labels(pair) for pair in pairs)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"made")
    return layout


@pytest.mark.parametrize("wrong", ["../../precious", "*", "a_b", "a/b", ""])
def test_a_record_with_ids_that_are_paths_removes_nothing(tmp_path: Path, wrong: str) -> None:
    layout, precious = write(tmp_path / "out", {"3": WITHDRAWN, "8": OTHER}, "3_8"), tmp_path / "precious"
    precious.mkdir()
    for place in (ChangedPlace(str(layout.root), (wrong,), ()), ChangedPlace(str(layout.root), (), (f"{wrong}_x",))):
        with pytest.raises(InvalidInput) as caught:
            change_folder(place)
        assert caught.value.reason == "SEQUENCE_ID"
    with pytest.raises(InvalidInput):
        require_ids("out", ["3"], [f"3_{wrong}"])
    assert precious.is_dir() and layout.real_video("raw", "3").is_file() and layout.real_video("raw", "8").is_file()


def test_links_are_not_followed(tmp_path: Path) -> None:
    layout, elsewhere = write(tmp_path / "out", {"3": WITHDRAWN, "8": OTHER}, "3_8"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "3.mp4").write_bytes(b"mine")
    link = layout.run_folder() / "3"
    link.symlink_to(elsewhere)
    videos = layout.real_video("raw", "3").parent
    videos.rename(videos.with_name("kept"))
    videos.symlink_to(elsewhere)
    place = ChangedPlace(str(layout.root), ("3",), ())
    with pytest.raises(InvalidInput) as caught:
        change_folder(place)
    assert caught.value.reason == "OUTSIDE" and "3" in RunFolder(layout.run_folder()).load_run().sequences
    videos.unlink()
    change_folder(place)
    assert not link.is_symlink() and (elsewhere / "3.mp4").read_bytes() == b"mine"


def test_an_id_that_is_used_again_by_another_person_stays(store: Store, tmp_path: Path) -> None:
    layout = write(tmp_path / "out", {"3": WITHDRAWN, "8": OTHER, "9": OTHER}, "3_8", "8_9")
    untold = write(tmp_path / "untold", {"8": OTHER})
    stopped, _ = revoke(store, "P-3", [layout.root])
    places = (*stopped.places, ChangedPlace(str(untold.root), ("8",), ()))
    save_statement(store, Statement(stopped.id, stopped.revoked, digests=stopped.digests, places=places))
    write(layout.root, {"3": OTHER, "8": OTHER, "9": OTHER}, "3_8", "8_9")
    revoke(store, "P-3", [layout.root])
    assert set(RunFolder(layout.run_folder()).load_run().sequences) == {"3", "8", "9"}
    assert layout.real_video("raw", "3").is_file() and layout.labels("3_8").is_file()
    assert untold.real_video("raw", "8").is_file()


def test_what_comes_back_in_a_place_of_the_statement_is_removed_again(store: Store, tmp_path: Path) -> None:
    clips, pairs = {"3": WITHDRAWN, "8": OTHER, "9": OTHER}, ("3_8", "8_9")
    layout = write(tmp_path / "out", clips, *pairs)
    assert revoke(store, "P-3", [layout.root])[0].ended
    assert find(store, "P-3", [layout.root]).is_empty
    write(layout.root, clips, *pairs)
    back = find(store, "P-3", [layout.root])
    assert not back.is_empty and not back.statement.ended
    assert revoke(store, "P-3", [layout.root])[0].ended and not layout.real_video("raw", "3").exists()
    document.put(store, "runs/made/run.json", codec.to_standard_json(record(clips, *pairs)))
    assert [place.where for place in find(store, "P-3").places] == ["runs/made"]


@pytest.mark.parametrize("in_bucket", [True, False])
def test_what_was_made_goes_though_a_retention_deleted_what_is_between(
    store: Store, tmp_path: Path, in_bucket: bool
) -> None:
    extraction, training, again, fake, second = (character * 40 for character in "abcde")
    made = record({"3": WITHDRAWN, "8": OTHER}, "3_8")
    made.sequences["3"].extraction_uri = store.uri(keys.extraction(extraction))
    made.sequences["3"].content_digest = "f" * 64
    pair = PairRecord("3_8", "3", "8", "done")
    pair.training = TrainingRecord(store.uri(f"trainings/{training}"), store.uri(keys.model(training, 6)))
    pair.fakes = [FakeRecord("3_8", "3", "8", uri=store.uri(keys.conversion(fake)))]
    pair.retraining = Retraining(training=TrainingRecord(store.uri(f"trainings/{again}")))
    pair.retraining.fakes = [FakeRecord("8_3", "8", "3", uri=store.uri(keys.conversion(second)))]
    if in_bucket:
        document.put(store, "runs/made/run.json", codec.to_standard_json(made))
        document.put(store, "runs/made/pairs/3_8.json", codec.to_standard_json(pair))
    folder = RunFolder(write(tmp_path / "out", {"3": WITHDRAWN, "8": OTHER}, "3_8").run_folder())
    if not in_bucket:
        folder.save_run(made)
        folder.save_pair(pair)
    expected = {keys.model(training, 6): "", keys.conversion(fake): "", keys.model(again, 6): ""}
    expected |= {keys.conversion(second): "", keys.extraction("1" * 40): "f" * 64}
    for prefix, content in expected.items():
        commit(store, prefix, Manifest("conversion", {"extraction": "7" * 40}, {}, (), {}, content))
    commit(store, stays := keys.conversion("2" * 40), Manifest("conversion", {"source": "8" * 40}, {}, (), {}, ""))
    statement, _ = revoke(store, "P-3", [folder.path.parent.parent])
    assert statement.ended and set(statement.results) == set(expected)
    assert not [key for prefix in expected for key in store.list(f"{prefix}/")] and list(store.list(f"{stays}/"))
    assert {extraction, training, again, fake, second} < statement.digests.keys()


def test_damaged_records_stop_no_withdrawal_and_leave_it_open(store: Store, tmp_path: Path) -> None:
    layout = write(tmp_path / "out", {"3": WITHDRAWN, "8": OTHER, "9": OTHER}, "3_8", "8_9")
    bad = ("datasets/x/manifest.json", f"extractions/{'9' * 40}/manifest.json", "runs/x/run.json")
    for key in bad[:2]:
        document.put(store, key, b"{}")
    document.put(store, bad[2], codec.to_standard_json(record({"../../precious": OTHER})))
    words = ["P-3", "--dataset", str(layout.root)]
    variables = {
        "FACEFOUNDRY_STORE_ENDPOINT": store.settings.endpoint,
        "FACEFOUNDRY_STORE_BUCKET": store.bucket,
        "FACEFOUNDRY_STORE_ACCESS_KEY": store.settings.access_key.get_secret_value(),
        "FACEFOUNDRY_STORE_SECRET_KEY": store.settings.secret_key.get_secret_value(),
    }
    dry = CliRunner(env=variables).invoke(command, words, catch_exceptions=False).output
    assert all(f"{key} cannot be read" in dry for key in bad) and "loses 1 clip (3) and 1 pair (3_8)" in dry
    for _ in range(2):
        done = CliRunner(env=variables).invoke(command, [*words, "--yes"])
        assert isinstance(done.exception, DataLoss) and all(key in done.exception.message for key in bad)
        assert "Nothing is left" not in done.output and not layout.real_video("raw", "3").exists()
        stored = load_statement(store, Statement.about("subject P-3"))
        assert stored and not stored.ended and store.exists(keys.revoked("3" * 40))
    store.delete(list(bad))
    assert "Nothing is left" in (output := CliRunner(env=variables).invoke(command, [*words, "--yes"]).output)
    assert "not looked into" not in output
    assert f"{layout.root} was not looked into" in CliRunner(env=variables).invoke(command, ["P-3", "--yes"]).output


def test_rights_of_the_bucket_that_have_other_digests_revoke_nothing(store: Store, tmp_path: Path) -> None:
    layout = write(tmp_path / "out", {"3": WITHDRAWN, "8": OTHER}, "3_8")
    listed = IndexedFile("misc/rights.json", "report", 1, "0" * 64)
    document.put(store, "datasets/x/manifest.json", document.encode(DatasetManifest("x", "ffpp", {}, (), (listed,))))
    forged = ClipRights({"8": OTHER.digest}, {OTHER.digest: WITHDRAWN})
    run_file = (layout.run_folder() / "run.json").relative_to(layout.root).as_posix()
    document.put(store, f"datasets/x/{run_file}", codec.to_standard_json(record({"8": OTHER}, "8_8")))
    document.put(store, "datasets/x/misc/rights.json", codec.to_standard_json(forged))
    found = find(store, "P-3", [layout.root])
    assert found.damaged == ("datasets/x/manifest.json",) and OTHER.digest not in found.statement.digests
    assert "8" * 40 not in found.statement.digests


def test_a_dataset_that_cannot_be_changed_stops_nothing_else(store: Store, tmp_path: Path) -> None:
    layout = write(tmp_path / "out", {"3": WITHDRAWN, "8": OTHER, "9": OTHER}, "3_8", "8_9")
    missing = IndexedFile("misc/gone.json", "report", 1, "0" * 64)
    document.put(store, "datasets/x/manifest.json", document.encode(DatasetManifest("x", "ffpp", {}, (), (missing,))))
    run_file = (layout.run_folder() / "run.json").relative_to(layout.root).as_posix()
    document.put(store, f"datasets/x/{run_file}", codec.to_standard_json(record({"3": WITHDRAWN}, "3_8")))
    with pytest.raises(DataLoss, match=r"datasets/x .*misc/gone\.json is missing"):
        revoke(store, "P-3", [layout.root])
    assert not layout.real_video("raw", "3").exists()
    stored = load_statement(store, Statement.about("subject P-3"))
    assert stored and not stored.ended
