"""`facefoundry look` finds out what it was given, and says what it cannot show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from facefoundry.cli.look import look
from facefoundry.errors import InvalidInput
from facefoundry.planning import looking
from facefoundry.storage.store import Store
from tests.facefoundry.checks.made import write_dataset
from tests.facefoundry.dataset.made_in_bucket import make, name_store, write


def test_a_dataset_gets_a_sheet_and_the_command_prints_where(tmp_path: Path) -> None:
    layout = write_dataset(tmp_path / "out", 1)
    done = CliRunner().invoke(look, [str(layout.root), "-o", str(tmp_path / "a.png"), "--json"], catch_exceptions=False)
    printed = json.loads(done.output)
    assert (printed["event"], printed["path"]) == ("sheet", str(tmp_path / "a.png"))
    assert [row.strip() for row in printed["rows"]] == ["000_001"]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_path_is_a_clip_a_dataset_or_neither(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"video")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0001.png").write_bytes(b"picture")
    (tmp_path / "notes.txt").write_text("text")
    found = [looking.clip_at(tmp_path / name) for name in ("clip.mp4", "frames", "", "missing")]
    assert [clip and clip.id for clip in found] == ["clip", "frames", None, None]
    with pytest.raises(InvalidInput) as caught:
        looking.clip_at(tmp_path / "notes.txt")
    assert caught.value.reason == "INPUT_FILE"


def test_what_is_nowhere_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FACEFOUNDRY_STORE_ACCESS_KEY", "FACEFOUNDRY_STORE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidInput, match="no such file or folder, and no keys"):
        CliRunner().invoke(look, ["celebs"], catch_exceptions=False)


def test_a_clip_has_no_pair(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"video")
    done = CliRunner().invoke(look, [str(tmp_path / "clip.mp4"), "033_097"])
    assert done.exit_code == 2 and "no PAIR after a clip" in done.output


def test_a_dataset_in_a_bucket_is_shown_by_the_pictures_of_its_report(
    new_store: Callable[[], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store()
    name_store(monkeypatch, store)
    make(write(tmp_path, 6), f"s3://{store.bucket}/datasets/six/", store)
    shown, runner = {}, CliRunner()
    for pair in ("", *json.loads(store.get_bytes("datasets/six/misc/report/run.json"))["pairs"][:1]):
        out = tmp_path / f"{pair or 'all'}.png"
        done = CliRunner().invoke(
            look, ["six", *filter(None, [pair]), "-o", str(out), "--json"], catch_exceptions=False
        )
        shown[pair] = json.loads(done.stdout.splitlines()[-1])["rows"]
        assert out.read_bytes().startswith(b"\x89PNG")
    assert len(shown.pop("")) == 3
    assert all(shown.values())
    with pytest.raises(InvalidInput) as caught:
        runner.invoke(look, ["seven", "-o", str(tmp_path / "seven.png")], catch_exceptions=False)
    assert caught.value.reason == "NO_SUCH_DATASET"
