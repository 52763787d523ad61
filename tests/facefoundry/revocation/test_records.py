"""Records that came from elsewhere, were used again or are damaged do not mislead a revocation: a real S3 server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facefoundry import codec
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import RunRecord, SequenceRecord
from facefoundry.dataset.rights import RIGHTS_FILE, ClipRights, Rights
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.statements import ChangedPlace, Statement, save_statement
from facefoundry.errors import InvalidInput
from facefoundry.revocation.folders import change_folder
from facefoundry.revocation.records import require_ids
from facefoundry.revocation.revoking import find, revoke
from facefoundry.storage import document
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
