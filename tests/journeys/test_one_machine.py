"""Two clips in, two labelled fakes out, through the public command, a real store, real services and real training."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from jsonschema import Draft202012Validator

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.faces.alignments import Alignments
from facefoundry.local import ObjectStore, local_stack
from facefoundry.media.read import open_source
from facefoundry.model import weights
from facefoundry.storage import keys, manifest
from facefoundry.storage.parts import ALIGNMENTS
from facefoundry.storage.store import Store
from tests import tiny
from tests.clips import FRAMES, RATES
from tests.journeys.documents import SCHEMAS, check_numbers, documents
from tests.processes import environment_of

ITERATIONS = 600
VERIFIERS = Path(__file__).parents[2] / "examples" / "verify"
FAKES = {"astronaut_hopper": ("astronaut", "hopper"), "hopper_astronaut": ("hopper", "astronaut")}
TINY = tiny.flags(training__batch_size=2)


def _generate(clips, out):
    return ["generate-models", "-i", clips, "-o", out, *TINY, "-it", ITERATIONS, "--convert_images"]


@pytest.fixture(scope="module")
def finished(new_command, clips, tmp_path_factory):
    """One unbroken run: its command, output folder and events."""
    command, out = new_command(), tmp_path_factory.mktemp("out")
    events = command.run(*_generate(clips, out))
    return command, out, events


@pytest.fixture(scope="module")
def committed(finished):
    """Manifests of the fakes and alignments of the clips in the store after the run, by name."""
    command, out, _ = finished
    folder = _run_folder(out)
    with ObjectStore(command.local_dir / "store") as settings:
        store = Store(settings)
        fakes = {
            fake.id: manifest.load(store, keys.prefix_of(store.bucket, fake.uri, "conversions"))
            for pair in folder.load_pairs()
            for fake in pair.fakes
        }
        clips = {
            name: _alignments(store, keys.prefix_of(store.bucket, sequence.extraction_uri, "extractions"))
            for name, sequence in folder.load_run().sequences.items()
        }
    return fakes | clips


def _alignments(store, prefix):
    return Alignments.from_bytes(manifest.read_part(store, manifest.load(store, prefix).part(ALIGNMENTS)))


def _deepfakes(out):
    return out / "manipulated_sequences" / "Deepfakes"


def _models(out):
    return sorted((_deepfakes(out) / "models").iterdir())


def _frames(path):
    with open_source(path) as source:
        return source.info, np.stack(list(source))


def _digests(folder, pattern):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }


def _run_folder(out):
    return RunFolder(FfppLayout(out).run_folder())


def _pair(out):
    (pair,) = _run_folder(out).load_pairs()
    return pair


def test_a_pair_leaves_few_objects_between_its_stages(finished):
    command, out, _ = finished
    pair, sequences = _pair(out), _run_folder(out).load_run().sequences
    with ObjectStore(command.local_dir / "store") as settings:
        store = Store(settings)
        prefixes = ["sources", "trainings", "models"]
        prefixes += [
            keys.prefix_of(store.bucket, sequence.extraction_uri, "extractions") for sequence in sequences.values()
        ]
        prefixes += [f"{keys.prefix_of(store.bucket, fake.uri, 'conversions')}/chunk-" for fake in pair.fakes]
        objects = {prefix: len(list(store.list(prefix))) for prefix in prefixes}
    chunks = sum(-(-fake.frames // 256) for fake in pair.fakes)
    assert all(objects.values())
    assert sum(objects.values()) <= 40 + chunks, objects


def test_every_document_of_a_run_follows_its_schema_and_keeps_its_numbers_in_64_bit_floats(finished):
    with ObjectStore(finished[0].local_dir / "store") as settings:
        made = list(documents(Store(settings)))
    absent = {"upload", "sweep", "index", "dataset", "leaks", "balance", "rights", "tombstone", "statement"}
    assert absent | {each.kind for each in made} == set(SCHEMAS)
    for document in made:
        Draft202012Validator(SCHEMAS[document.kind]).validate(json.loads(document.data))
        check_numbers(document.data)


@pytest.mark.full
@pytest.mark.parametrize(
    ("folder", "commands"),
    [("go", [["go", "run", "."]]), ("node", [["npm", "ci", "--ignore-scripts", "--no-audit"], ["node", "verify.mjs"]])],
)
def test_a_verifier_in_another_language_verifies_every_object_and_finds_a_damaged_one(
    finished, tmp_path, folder, commands
):
    *prepare, run = commands
    shutil.which(run[0]) or pytest.skip(f"{folder} is not installed")
    shutil.copytree(VERIFIERS / folder, tmp_path / folder, ignore=shutil.ignore_patterns("node_modules"))
    for words in prepare:
        subprocess.run(words, cwd=tmp_path / folder, check=True)
    with ObjectStore(finished[0].local_dir / "store") as settings:
        store, environment = Store(settings), {**os.environ, **environment_of(settings)}

        def verify():
            done = subprocess.run(run, cwd=tmp_path / folder, env=environment, capture_output=True, text=True)
            return done.returncode, done.stdout, done.stderr

        keys = [key for key in store.list("") if re.search(r"-[0-9a-f]{64}\.|\.json$", key)]  # not names of lists
        written = sum(key.endswith(".json") and "/labels-" not in key for key in keys)
        assert verify() == (0, f"{written} documents and {len(keys) - written} parts verified, 0 unverified\n", "")
        damaged = next(key for key in keys if key.endswith("/manifest.json"))
        data, metadata = store.get_with_metadata(damaged)
        store.put_bytes(damaged, data.replace(b"1", b"2", 1), "application/json", metadata)
        try:
            code, printed, _ = verify()
        finally:
            store.put_bytes(damaged, data, "application/json", metadata)
        assert code == 1
        assert printed.startswith(f"{damaged}: expected SHA-256")
        assert f"{written - 1} documents" in printed and "1 unverified" in printed


@pytest.mark.parametrize("level", ["raw", "c23", "c40"])
def test_b17_every_level_has_fakes_and_real_videos_with_the_targets_frames_and_rate(finished, level):
    _, out, _ = finished
    for fake, (target, _) in FAKES.items():
        real_info, real = _frames(out / "original_sequences" / "youtube" / level / "videos" / f"{target}.mp4")
        info, frames = _frames(_deepfakes(out) / level / "videos" / f"{fake}.mp4")
        assert len(frames) == len(real) == FRAMES[target]
        assert info.frame_rate == real_info.frame_rate == (RATES[target], 1)
        assert info.pixel_format == real_info.pixel_format


def test_the_raw_real_video_is_the_clip_itself(finished, clips):
    _, out, _ = finished
    _, clip = _frames(clips / "hopper.mp4")
    _, real = _frames(out / "original_sequences" / "youtube" / "raw" / "videos" / "hopper.mp4")
    assert np.array_equal(clip, real)


@pytest.mark.parametrize("fake", FAKES)
def test_b01_each_fake_has_its_own_targets_frames_faces_and_the_other_side(finished, committed, fake):
    _, out, _ = finished
    target, source = FAKES[fake]
    a, b = _pair(out).id.split("_")
    conversion = committed[fake]
    assert (conversion.info["target_id"], conversion.info["source_id"]) == (target, source)
    assert conversion.info["target_side"] == {a: "a", b: "b"}[target]
    assert conversion.info["decoder_side"] == {a: "a", b: "b"}[source]
    sequences = _run_folder(out).load_run().sequences
    assert conversion.inputs["target"] == sequences[target].extraction_uri
    assert conversion.inputs["source"] == sequences[target].source_uri


@pytest.mark.parametrize("fake", FAKES)
def test_the_fake_differs_from_its_target_only_where_the_masks_say(finished, fake):
    _, out, _ = finished
    target = FAKES[fake][0]
    _, real = _frames(out / "original_sequences" / "youtube" / "raw" / "videos" / f"{target}.mp4")
    _, made = _frames(_deepfakes(out) / "raw" / "videos" / f"{fake}.mp4")
    changed = (real != made).any(axis=-1)
    masks = {name: _frames(_deepfakes(out) / name / "videos" / f"{fake}.mp4")[1] for name in ("masks", "masks_changed")}
    for mask in masks.values():
        assert set(np.unique(mask)) <= {0, 255}
    assert np.array_equal(changed, masks["masks_changed"][..., 0] == 255)
    labels = json.loads((_deepfakes(out) / "labels" / f"{fake}.json").read_text())
    swapped = np.array([row["swapped"] for row in labels["frames"]])
    assert labels["synthetic"] is True
    assert len(swapped) == FRAMES[target]
    assert swapped.mean() > 0.9
    assert np.array_equal(swapped, (masks["masks"] == 255).any(axis=(1, 2, 3)))


def test_b02_fakes_are_made_without_anything_temporary_being_kept(finished):
    command, out, _ = finished
    assert not {"--keep_temp_directories", "--keep-faces"} & {str(word) for word in _generate("", out)}
    assert not list(out.rglob("*.png")), "no face crops are left in the dataset"
    for fake, (target, _) in FAKES.items():
        assert len(_frames(_deepfakes(out) / "raw" / "videos" / f"{fake}.mp4")[1]) == FRAMES[target]
    assert not [key for key in command.objects() if "/checkpoints/" in key]


def test_b05_masks_labels_and_alignments_outlive_the_cleaning_up(finished, committed):
    _, out, _ = finished
    for fake, (target, _) in FAKES.items():
        for name in ("masks", "masks_blend", "masks_changed"):
            assert len(_frames(_deepfakes(out) / name / "videos" / f"{fake}.mp4")[1]) == FRAMES[target]
        assert len(json.loads((_deepfakes(out) / "labels" / f"{fake}.json").read_text())["frames"]) == FRAMES[target]
        assert len(committed[target]) == FRAMES[target], "alignments stay in the store"


def test_b18_a_pair_has_one_model_that_holds_both_decoders(finished):
    _, out, _ = finished
    (folder,) = (_deepfakes(out) / "models").iterdir()
    assert folder.name == _pair(out).id
    tensors, _ = weights.from_bytes((folder / "weights.safetensors").read_bytes(), weights.NETWORK_FORMAT)
    assert {name.partition("/")[0] for name in tensors} == {"encoder", "decoder_a", "decoder_b"}


def test_b03_the_mode_convert_makes_one_fake_of_a_model(finished, clips, tmp_path):
    command, out, _ = finished
    pair = _pair(out).id
    words = ["-i", clips / f"{pair.split('_')[1]}.mp4", "--model_path", _deepfakes(out) / "models" / pair]
    command.run("convert", *words, "--swap_model", "-o", tmp_path, *TINY)
    (made,) = (_deepfakes(tmp_path) / "raw" / "videos").iterdir()
    assert made.stem == "_".join(reversed(pair.split("_")))
    assert made.read_bytes() == (_deepfakes(out) / "raw" / "videos" / made.name).read_bytes()


def test_the_run_is_recorded_and_shown(finished):
    _, out, events = finished
    assert json.loads((out / "misc" / "filelist.json").read_text()) in (
        [["astronaut", "hopper"]],
        [["hopper", "astronaut"]],
    )
    pair = _pair(out)
    assert pair.state == "done"
    assert pair.training.iteration == ITERATIONS
    assert len(pair.training.previews) >= 3
    page = (out / "report.html").read_text()
    assert pair.id in page
    assert "data:image/jpeg" in page
    stages = {event["stage"] for event in events if event["event"] == "progress"}
    assert {"upload", "extract", "train", "convert", "transcode", "fetch", "pair"} <= stages


def test_the_same_command_again_redoes_nothing(finished, clips):
    command, out, _ = finished
    before = {key: size for key, size in command.objects().items() if not key.startswith("runs/")}
    videos = _digests(out, "*.mp4")
    command.run(*_generate(clips, out))
    after = {key: size for key, size in command.objects().items() if not key.startswith("runs/")}
    assert after == before
    assert _digests(out, "*.mp4") == videos


def test_convert_with_ranges_and_discard_gives_those_frames_of_the_whole_fake(finished, clips, tmp_path):
    command, out, _ = finished
    (model,) = (_deepfakes(out) / "models").iterdir()
    target, source = model.name.split("_")
    name, kept = f"{target}_{source}", [*range(5, 15), *range(30, FRAMES[target])]
    words = ["convert", "-i", clips / f"{target}.mp4", "--model_path", model, "-o", tmp_path]
    command.run(*words, *TINY, "-S", "-b", "2", "-M", "facehullandrect", "-d", "-fr", "5-14", "30-max")
    labels = json.loads((_deepfakes(tmp_path) / "labels" / f"{name}.json").read_text())
    assert [row["frame"] for row in labels["frames"]] == kept
    for folder in ("raw", "masks", "masks_blend", "masks_changed"):
        info, frames = _frames(_deepfakes(tmp_path) / folder / "videos" / f"{name}.mp4")
        of_whole, all_frames = _frames(_deepfakes(out) / folder / "videos" / f"{name}.mp4")
        assert info.frame_rate == of_whole.frame_rate
        assert np.array_equal(frames, all_frames[kept])


@pytest.fixture(scope="module")
def remade(finished, new_command, clips, tmp_path_factory):
    """The finished models in published form, with a damaged one and a folder without one, made into fakes elsewhere.

    It has addresses and no keys of the store. Returns its command and arguments, output folder, events and exit code.
    """
    _, made, _ = finished
    folder, pair = tmp_path_factory.mktemp("remade"), _models(made)[0].name
    published, given, out = folder / "published", folder / "clips", folder / "out"
    words = [sys.executable, "-m", "facefoundry", "export-models", str(made), str(folder / "exported")]
    subprocess.run(words, check=True, timeout=800)
    (published / "notes").mkdir(parents=True)
    shutil.copytree(folder / "exported" / pair, published / pair / "models")  # as FF++ leaves them
    shutil.copytree(folder / "exported" / pair, published / "again_hopper")
    (published / "again_hopper" / "decoder_A.h5").write_bytes(b"not HDF5")
    shutil.copytree(clips, given)
    shutil.copy(given / "astronaut.mp4", given / "again.mp4")
    command = new_command()
    # Identity changes no content, so it can be left out here.
    arguments = ["-i2", given, "-o", out, "--recipe=preview", "--set=extraction.identity=false"]
    with local_stack(command.local_dir, environment={"FACEFOUNDRY_SLOTS": str(os.cpu_count())}) as stack:
        places = [word for name, address in stack.addresses.items() for word in (f"--{name}", address)]
        words = [sys.executable, "-m", "facefoundry", "create-from-models", "-i", published, *arguments, *places]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FACEFOUNDRY_STORE")}
        done = subprocess.run([*map(str, words), "--json"], env=environment, capture_output=True, timeout=800)
        assert not list(Store(stack.store).list("runs/"))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return command, arguments, out, events, done.returncode


def test_published_models_make_the_same_fakes_in_another_store(finished, remade):
    _, made, _ = finished
    _, _, out, _, _ = remade
    for fake in FAKES:
        _, first = _frames(_deepfakes(made) / "raw" / "videos" / f"{fake}.mp4")
        _, second = _frames(_deepfakes(out) / "raw" / "videos" / f"{fake}.mp4")
        assert np.array_equal(first, second)
    assert _digests(_deepfakes(out) / "labels", "*.json") == _digests(_deepfakes(made) / "labels", "*.json")
    assert _digests(_models(out)[0], "weights.safetensors") == _digests(_models(made)[0], "weights.safetensors")


def test_a_folder_without_a_model_is_reported_and_stops_no_other(remade):
    _, _, out, events, code = remade
    ends = {event["item"]: event for event in events if event.get("stage") == "pair"}
    assert {name: end["state"] for name, end in ends.items()} == {
        "again_hopper": "failed",
        _models(out)[0].name: "done",
    }
    assert "again_hopper/decoder_A.h5, /: expected a weight file" in ends["again_hopper"]["message"]
    assert any("notes is not a model" in event["message"] for event in events if event["event"] == "message")
    assert code == 3


def test_models_in_either_form_are_the_same_work_and_a_filelist_chooses_among_them(finished, remade, tmp_path):
    _, made, _ = finished
    command, arguments, out, _, _ = remade
    pair = _models(made)[0].name
    videos = _digests(out, "*.mp4")
    (tmp_path / "pairs.json").write_text(json.dumps([pair.split("_")[::-1]]))
    events = command.run("create-from-models", "-i", made, *arguments, "--filelist", tmp_path / "pairs.json")
    ends = {event["item"]: event["message"] for event in events if event.get("stage") == "pair"}
    assert ends == {pair: "reused from the store"}
    assert _digests(out, "*.mp4") == videos


def test_killed_twice_and_run_again_it_ends_as_an_unbroken_run(finished, new_command, clips, tmp_path):
    _, unbroken, _ = finished
    command = new_command()
    # Short calls and frequent looks: however quick the machine, the training is seen on its way.
    environment = {"FACEFOUNDRY_LOCAL_CHECKPOINT_SECONDS": "0.3", "FACEFOUNDRY_LOCAL_STATUS_SECONDS": "0.1"}
    environment |= {"FACEFOUNDRY_WORKER_CALL_SECONDS": "0.1", "FACEFOUNDRY_POLL_SECONDS": "0.1"}
    environment["FACEFOUNDRY_LOCAL_WAITING_WORKER"] = "false"  # so that there is one worker, the one that trains
    # Identity changes no content, so it can be left out here.
    words = [*_generate(clips, tmp_path), "--set=extraction.identity=false"]
    process = command.start(*words, **environment)
    family = psutil.Process(process.pid)
    _until_iteration(process, ITERATIONS // 8)
    worker = next(child for child in family.children(recursive=True) if "services.trainer.worker" in child.cmdline())
    worker.kill()
    _until_iteration(process, ITERATIONS // 3)
    for child in [*family.children(recursive=True), family]:
        if child.is_running():
            child.kill()
    process.communicate()
    finished_parts = {key for key in command.objects() if key.startswith(("sources/", "extractions/"))}
    assert finished_parts

    command.run(*words, **environment)
    left = set(command.objects())
    assert {key for key in left if key.startswith(("sources/", "extractions/")) and "manifest" not in key} >= {
        key for key in finished_parts if "manifest" not in key
    }
    assert not [key for key in left if "/checkpoints/" in key], "checkpoints are deleted once the model is committed"
    assert _digests(_deepfakes(tmp_path) / "models", "weights.safetensors") == _digests(
        _deepfakes(unbroken) / "models", "weights.safetensors"
    )
    assert _digests(_deepfakes(tmp_path) / "raw", "*.mp4") == _digests(_deepfakes(unbroken) / "raw", "*.mp4")


def _until_iteration(process, iteration):
    """Read events until the training has reached an iteration."""
    for line in process.stdout:
        event = json.loads(line)
        if event.get("stage") == "train" and event["done"] >= iteration:
            assert event["done"] < ITERATIONS, "the training was too quick to be killed"
            return
    raise AssertionError(f"it ended before iteration {iteration}: {process.stderr.read()}")
