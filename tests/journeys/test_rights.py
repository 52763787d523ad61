"""Rights in a dataset file reach all records of a dataset that is made, stopped while it is signed, and finished."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import yaml

from facefoundry.cli.main import main
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.rights import UNSTATED, Rights
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.local.store import ObjectStore
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from tests import tiny
from tests.clips import drifting_face, encode

CLIPS = 12
"""Number of clips, and of pairs: each clip is in two."""
CONSENT = {"basis": "consent", "evidence": "form 7", "subject": "P-7"}
LICENCE = {"basis": "licence", "licence": "CC-BY-4.0"}
CONTRACT = {"basis": "contract", "evidence": "file 12", "expires": "2020-02-29"}
RENEWED = {**CONTRACT, "expires": "2099-02-28"}
PLACE = "s3://facefoundry/datasets/twelve/"


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_rights_reach_every_record_of_a_dataset_that_a_run_makes_and_signs(new_command, tmp_path):
    command, clips, path, out = new_command(), tmp_path / "clips", tmp_path / "dataset.yaml", tmp_path / "out"
    clips.mkdir()
    for number in range(CLIPS):
        pictures = [picture // 16 * 16 + number for picture in drifting_face(10)]
        encode(clips / f"c{number:02}.mp4", pictures)
    overrides = {name: json.loads(value) for name, _, value in (text.partition("=") for text in tiny.assignments())}
    overrides |= {"training.iterations": 2, "extraction.identity": False}
    stated = {f"c{number:02}": (CONSENT, LICENCE, UNSTATED)[number % 3] for number in range(CLIPS)}
    values = {
        "name": "twelve",
        "sources": [{"kind": "folder", "path": "clips"}],
        "pairs": {"strategy": "round-robin", "partners": 2},
        "splits": {"kind": "none"},
        "recipe": {"name": "preview", "set": overrides},
        "rights": {"clips": {clip: each for clip, each in stated.items() if clip != "c01"} | {"c00": CONTRACT}},
    }
    path.write_text(yaml.safe_dump(values))
    with command.start("run", path, "-o", out, "--sign") as refused:
        printed = "".join(refused.communicate(timeout=800))
    assert refused.returncode == 2 and "c00 has rights that expired on 2020-02-29" in printed
    assert "c01 has no statement" in printed and not out.exists()
    assert command.objects() == {}, "nothing is uploaded or trained"

    stated["c00"] = RENEWED
    path.write_text(yaml.safe_dump(values | {"rights": {"clips": stated}}))
    with command.start("run", path, "-o", out, "--sign") as run:
        for line in run.stdout:
            if json.loads(line).get("stage") == "sign":
                run.send_signal(signal.SIGINT)
                break
        assert run.wait(800) == 130
    command.run("run", path, "-o", out, "--sign")
    verified = subprocess.run(
        [sys.executable, "-m", "facefoundry", "verify", out, "--json"], capture_output=True, text=True, check=False
    )
    found = json.loads(verified.stdout.splitlines()[-1])
    assert verified.returncode == 0, found
    assert found["signed"] == found["files"] and found["fakes"] == 2 * CLIPS

    digests = {
        clip: UNSTATED if each == UNSTATED else Rights.model_validate(each).digest for clip, each in stated.items()
    }
    layout = FfppLayout(out)
    folder = RunFolder(layout.run_folder())
    assert {clip: sequence.rights for clip, sequence in folder.load_run().sequences.items()} == digests
    pairs = list(folder.load_pairs())
    assert len(pairs) == CLIPS
    with pytest.raises(SystemExit):
        main(["datasheet", str(out)])
    sheet = (out / "datasheet.md").read_text()
    assert all(digest in sheet for digest in set(digests.values()))
    command.run("run", path, "-o", PLACE)
    with ObjectStore(command.local_dir / "store") as settings:
        store = Store(settings)
        for pair in pairs:
            assert pair.rights == {clip: digests[clip] for clip in (pair.a, pair.b)}
            index = json.loads(store.get_bytes(f"datasets/twelve/misc/index/{pair.id}.json"))
            assert index["rights"] == pair.rights
            for fake in pair.fakes:
                labels = json.loads(layout.labels(fake.id).read_bytes())
                info = manifest.load(store, keys.prefix_of(store.bucket, fake.uri, "conversions")).info
                both = digests[fake.target], digests[fake.source]
                assert (labels["target_rights"], labels["source_rights"]) == both
                assert (info["rights"], info["source_rights"]) == both
