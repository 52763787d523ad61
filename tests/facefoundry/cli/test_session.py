"""The name of a run, kept in its folder and no other's by accident, and the warning before a slow training."""

from __future__ import annotations

import pytest

from facefoundry import recipes
from facefoundry.cli.main import main
from facefoundry.cli.session import slow_training_warning
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.planning.making import run_name
from facefoundry.storage import keys


def test_two_folders_of_one_name_are_two_runs(tmp_path):
    names = [run_name(None, FfppLayout(tmp_path / user / "output")) for user in ("ann", "bob")]
    assert len(set(names)) == 2
    assert all(name.startswith("output-") for name in names)


def test_the_same_command_again_is_the_same_run(tmp_path):
    layout = FfppLayout(tmp_path)
    name = run_name(None, layout)
    assert list(tmp_path.iterdir()) == []
    RunFolder(layout.run_folder()).save_run(RunRecord(name, "facefoundry ...", {}))
    assert run_name(None, layout) == name
    assert run_name("chosen", layout) == "chosen"


@pytest.mark.parametrize("folder", ["out", "ä" * 80, "a b/c d", "x" * 200, "_.-"])
def test_every_folder_gives_a_name_that_is_a_key_and_a_label(tmp_path, folder):
    name = run_name(None, FfppLayout(tmp_path / folder))
    assert keys.run(name) == f"runs/{name}"
    assert len(name) <= 63


def test_a_command_of_the_script_says_once_that_rights_are_unstated(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FACEFOUNDRY_STORE_RETRY_SECONDS", "0")
    (tmp_path / "clips").mkdir()
    for name in ("a", "b"):
        (tmp_path / "clips" / f"{name}.mp4").write_bytes(name.encode())
    nowhere = [text for name in ("extractor", "trainer", "converter") for text in (f"--{name}", "127.0.0.1:9")]
    with pytest.raises(SystemExit):
        main(["generate-models", "-i", str(tmp_path / "clips"), "-o", str(tmp_path / "out"), *nowhere])
    assert capsys.readouterr().err.count("Rights are unstated for all clips, and labels and records") == 1
    assert RunFolder(FfppLayout(tmp_path / "out").run_folder()).load_run().rights == "unstated"


@pytest.mark.parametrize(
    ("recipe", "local", "warned"), [("ffpp", True, True), ("ffpp", False, False), ("preview", True, False)]
)
def test_a_training_that_would_take_months_on_this_machine_is_announced(recipe, local, warned):
    warning = slow_training_warning(recipes.load(recipe), on_this_machine=local)
    assert (warning is not None) is warned
    assert warning is None or ("200,000 iterations" in warning and "preview" in warning)
