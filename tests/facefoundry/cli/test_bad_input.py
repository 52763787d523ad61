"""What is wrong with a command's input is printed as a sentence, by field or file, before any work starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from pydantic import SecretStr

from facefoundry.cli.main import main
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.storage.store import Store
from tests.services.running import serving


def refused(capsys, *arguments):
    """Exit code and what was printed."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and not printed.out
    return caught.value.code, printed.err


@pytest.fixture
def folder(tmp_path):
    """A folder of three clips that nobody looks into."""
    made = tmp_path / "clips"
    made.mkdir()
    for name in ("033", "097", "100"):
        (made / f"{name}.mp4").write_bytes(b"x")
    return made


def filelist(tmp_path, text):
    path = tmp_path / "pairs.json"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[["033", "098"]]', "Expected the clips 098 in"),
        ('[["033", "033"]]', "pairs '033' with itself"),
        ('[["033", "097"], ["033", "097"]]', "repeats the pair '033', '097'"),
        ('[["033", "097"], ["097", "033"]]', "a pair needs one row for both directions"),
        ('[["../033", "097"]]', "Rename it"),
        ("033 097\n", "is not JSON"),
        ("\x00\xff", "is not JSON"),
        ('{"033": "097"}', 'must be a list of pairs such as [["033", "097"]]'),
        ('["033", "097"]', "must be a list of pairs"),
        ("[[33, 97]]", "must be a list of pairs"),
        ('[["033", "097", "100"]]', "must be a list of pairs"),
        ("[]", "must be a list of pairs"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_wrong_filelist(capsys, tmp_path, folder, text, complaint):
    path = filelist(tmp_path, text)
    code, printed = refused(capsys, "generate-models", "-i", folder, "-o", tmp_path / "out", "--filelist", path)
    assert code == 2 and complaint in printed and printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_filelist_that_is_no_file(capsys, tmp_path, folder):
    for path in (tmp_path / "gone.json", folder):
        code, printed = refused(capsys, "generate-models", "-i", folder, "-o", tmp_path / "out", "--filelist", path)
        assert code == 2 and f"Cannot read the filelist {path}" in printed


@pytest.mark.parametrize(("name", "proposal"), [("a_b", "a-b"), ("a b", "a-b"), ("Jürgen", "J-rgen"), ("李", "clip")])
def test_ids_that_consumers_cannot_split_are_refused_with_one_that_would_do(capsys, tmp_path, folder, name, proposal):
    (folder / f"{name}.mp4").write_bytes(b"x")
    code, printed = refused(capsys, "generate-models", "-i", folder, "-o", tmp_path / "out")
    assert code == 2 and f"{name!r}" in printed.replace(f"{folder}/", "") and f"{proposal!r}" in printed


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--set", "training.nothing=1"], "training.nothing"),
        (["--set", "nothing.seed=1"], "nothing"),
        (["--set", "training.batch_size"], "training.batch_size"),
        (["--set", "training.batch_size=many"], "training.batch_size"),
        (["--set", "training.batch_size=0"], "training.batch_size"),
        (["--set", "training.learning_rate=-1"], "training.learning_rate"),
        (["--set", "conversion.blur=100000"], "conversion.blur"),
        (["--set", "extraction.engine=no engine"], "extraction.engine"),
        (["--recipe", "preview", "--set", "training.start_from=base:nobody"], "'base:nobody'"),
        (["--recipe", "preview", "--set", "training.start_from=gone.safetensors"], "gone.safetensors, which does not"),
        (["--recipe", "best"], "'best'"),
        (["-it", "0"], "--iterations"),
        (["--fps", "fast"], "--fps"),
        (["--fps", "1001"], "--fps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_options_that_are_wrong(capsys, tmp_path, folder, arguments, complaint):
    code, printed = refused(capsys, "generate-models", "-i", folder, "-o", tmp_path / "out", *arguments)
    assert code == 2 and complaint in printed
    assert not (tmp_path / "out").exists()


def test_folders_that_are_none(capsys, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    for name, complaint in {
        "empty": "holds no clips: expected video files",
        "gone": "Cannot read the folder",
        "link": "Cannot read the folder",
        "pipe": "Cannot read the folder",
        "clips/033.mp4": "Cannot read the folder",
    }.items():
        code, printed = refused(capsys, "generate-models", "-i", tmp_path / name, "-o", tmp_path / "out")
        assert code == 2 and complaint in printed and str(tmp_path / name) in printed
    for name in ("empty", "gone", "pipe"):
        code, printed = refused(
            capsys, "train", "-i", tmp_path / name, "-i2", folder / "033.mp4", "-o", tmp_path / "out"
        )
        assert code == 2 and "Expected a video file or a folder of frames" in printed


def test_one_clip_makes_no_pair(capsys, tmp_path):
    (tmp_path / "033.mp4").write_bytes(b"x")
    code, printed = refused(capsys, "generate-models", "-i", tmp_path, "-o", tmp_path / "out")
    assert code == 2 and "Expected at least two clips in" in printed


def test_two_clips_of_one_name(capsys, tmp_path, folder):
    (folder / "033.avi").write_bytes(b"x")
    code, printed = refused(capsys, "generate-models", "-i", folder, "-o", tmp_path / "out")
    assert code == 2 and "033.avi" in printed and "033.mp4" in printed


def test_a_clip_that_is_its_own_other_side(capsys, tmp_path, folder):
    clip = folder / "033.mp4"
    code, printed = refused(capsys, "train", "-i", clip, "-i2", clip, "-o", tmp_path / "out")
    assert code == 2 and "with itself" in printed


def test_errors_are_objects_where_objects_were_asked_for(capsys, tmp_path, folder):
    with pytest.raises(SystemExit):
        main(["generate-models", "--json", "-i", str(folder), "--set", "training.nothing=1", "-o", str(tmp_path / "o")])
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert record["event"] == "error" and record["reason"].startswith("RECIPE")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_a_folder_that_may_not_be_read_is_a_clip_that_fails_and_no_crash(tmp_path, folder):
    """Only its upload can say what is wrong with it, and the others go on."""
    (folder / "secret").mkdir(mode=0o700)
    for above in (folder, *folder.parents):
        if "pytest-of-" in str(above):  # pytest's own folders are private too
            above.chmod(0o755)
    code = (
        "import os, sys, pathlib\nfrom facefoundry.dataset import plan\nos.setegid(65534); os.seteuid(65534)\n"
        "print(sorted(plan.find_clips(pathlib.Path(sys.argv[1]))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['033', '097', '100', 'secret']", done.stderr


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("secret_key", SecretStr("wrong"), "STORE_ACCESS_DENIED"),
        ("access_key", SecretStr("nobody"), "STORE_ACCESS_DENIED"),
        ("bucket", "there-is-none", "NO_SUCH_BUCKET"),
    ],
)
def test_a_wrong_key_or_bucket_of_the_services_is_named_for_each_pair_and_an_odd_clip_is_left_over(
    capfd, monkeypatch, tmp_path, folder, store, field, value, reason
):
    settings = store.settings
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process keeps its own
    with serving(Store(settings.model_copy(update={field: value})), tmp_path / "scratch") as services:
        places = [word for name, address in services.addresses.items() for word in (f"--{name}", address)]
        with pytest.raises(SystemExit) as caught:
            main(["generate-models", "-i", str(folder), "-o", str(tmp_path / "out"), *places])
    printed = capfd.readouterr().err
    (pair,) = RunFolder(FfppLayout(tmp_path / "out").run_folder()).load_pairs()
    (left_over,) = {"033", "097", "100"} - {pair.a, pair.b}
    assert caught.value.code == 3
    assert f"{left_over} is left out" in printed and "Paired by seed 0" in printed
    assert pair.failure.reason == reason
    assert f"{pair.id} failed: The store at {settings.endpoint} " in printed and f"[{reason}]" in printed
    assert "FACEFOUNDRY_STORE_" in printed and "Traceback" not in printed and "wrong" not in printed.split()
    assert list(store.list("")) == []
