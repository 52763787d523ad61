"""The command: what it loads, what it prints, how it ends."""

import json
import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "torch", "cv2", "av", "dlib", "h5py", "kubernetes", "matplotlib", "skimage")


def _run(*arguments, timeout=60):
    return subprocess.run(
        [sys.executable, "-m", "facefoundry", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plan", "--help"],
        ["run", "--help"],
        ["generate-models", "--help"],
        ["status", "--help"],
        ["cancel", "--help"],
        ["local", "--help"],
        ["report", "--help"],
        ["export-models", "--help"],
        ["export", "--help"],
        ["export", "ffpp", "--help"],
    ],
)
def test_help_loads_no_heavy_library(arguments):
    code = (
        "import sys\nfrom facefoundry.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "Usage: " in done.stdout
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_ffpps_spelling_of_a_mode_and_its_options_is_understood():
    shown = _run("generate_models", "--help").stdout
    for spelling in ("-i,", "-o,", "-it,", "--filelist", "--keep_temp_directories", "--convert_images"):
        assert spelling in shown
    assert "-i2," in _run("create_from_models", "--help").stdout


def test_wrong_input_ends_with_2_and_a_sentence(tmp_path):
    done = _run("generate-models", "-i", str(tmp_path), "-o", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "holds no clips" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_input_is_json_where_json_was_asked_for(tmp_path):
    done = _run("generate-models", "--json", "-i", str(tmp_path), "-o", str(tmp_path / "out"))
    assert done.returncode == 2
    assert json.loads(done.stdout)["reason"] == "NO_SEQUENCES"


def test_an_error_of_a_command_of_a_group_is_json_too(tmp_path):
    done = _run("export", "ffpp", str(tmp_path), str(tmp_path / "out"), "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["reason"] == "NO_RUN"


def test_an_unknown_recipe_field_is_named(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    done = _run("generate-models", "-i", str(tmp_path), "-o", str(tmp_path / "out"), "--set", "training.nothing=1")
    assert done.returncode == 2
    assert "training.nothing" in done.stderr


@pytest.fixture
def originals(tmp_path):
    """Folders as the FF++ script takes them: two models, three clips."""
    for pair in ("a_b", "c_d"):
        (tmp_path / "models" / pair).mkdir(parents=True)
        (tmp_path / "models" / pair / "encoder.h5").write_bytes(b"x")
    (tmp_path / "clips").mkdir()
    for name in "abc":
        (tmp_path / "clips" / f"{name}.mp4").write_bytes(b"x")
    return tmp_path


def _create(folder, pairs):
    (folder / "pairs.json").write_text(json.dumps(pairs))
    words = [
        "-i",
        folder / "models",
        "-i2",
        folder / "clips",
        "-o",
        folder / "out",
        "--filelist",
        folder / "pairs.json",
    ]
    return _run("create-from-models", *map(str, words))


@pytest.mark.parametrize(
    "pairs, printed",
    [
        ([["a", "b"], ["a", "c"], ["x", "y"]], "holds no model a_c, x_y; it has a_b, c_d"),
        ([["a", "b"], ["c", "d"]], "It contains only a, b, c"),
    ],
)
def test_create_from_models_names_what_its_filelist_asks_for_and_is_not_there(originals, pairs, printed):
    done = _create(originals, pairs)
    assert done.returncode == 2
    assert printed in done.stderr
    assert not (originals / "out").exists()


def test_models_that_cannot_be_exported_are_named_and_the_command_fails(originals):
    (originals / "models" / "a_b" / "model.json").write_text("{}")
    done = _run("export-models", "--json", str(originals / "models"), str(originals / "out"))
    messages = [json.loads(line)["message"] for line in done.stdout.splitlines()]
    assert done.returncode == 3
    assert any(message.startswith("a_b failed: ") and "BAD_MODEL" in message for message in messages)
    assert any("c_d is left out: its files are .h5 files of FF++ already" in message for message in messages)


def test_services_that_do_not_answer_are_named_by_status():
    addresses = ["--extractor", "127.0.0.1:1", "--trainer", "127.0.0.1:1", "--converter", "127.0.0.1:1"]
    done = _run("status", "--json", *addresses)
    assert done.returncode == 1
    services = json.loads(done.stdout)["services"]
    assert set(services) == {"extractor", "trainer", "converter"}
    assert all("127.0.0.1:1 does not answer" in row["detail"] for row in services.values())


def test_a_report_without_a_run_is_refused(tmp_path):
    done = _run("report", str(tmp_path))
    assert done.returncode == 2
    assert "run.json does not exist" in done.stderr
