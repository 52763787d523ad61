"""A person withdraws: one of six people in 12 pairs, with real services, trainings, signatures and an export."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from facefoundry import codec
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.statements import Statement
from facefoundry.local.store import ObjectStore
from facefoundry.provenance import credentials
from facefoundry.provenance.signing import sign_dataset
from facefoundry.provenance.verifying import verify_dataset
from facefoundry.storage.store import Store
from tests import tiny
from tests.clips import drifting_face, encode
from tests.facefoundry.revocation.made import GONE, PAIRS, PEOPLE, expect_whole, names_of, write

KILLED_AFTER = (0, 1, 2, 3, 6, 12)
"""Numbers of lines that the command prints before it is killed: while it buries, changes datasets, removes results."""


def variables_of(settings):
    return {
        "FACEFOUNDRY_STORE_ENDPOINT": settings.endpoint,
        "FACEFOUNDRY_STORE_BUCKET": settings.bucket,
        "FACEFOUNDRY_STORE_ACCESS_KEY": settings.access_key.get_secret_value(),
        "FACEFOUNDRY_STORE_SECRET_KEY": settings.secret_key.get_secret_value(),
    }


def revoke(settings, *options, killed_after=None):
    """Run the command, or kill it after some lines of what it removes next; return its exit code."""
    words = [sys.executable, "-m", "facefoundry", "revoke", "P-3", *map(str, options)]
    environment = {**os.environ, **variables_of(settings)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()  # it has found what there is
        lines = 0
        while lines != killed_after and process.stderr.readline():
            lines += 1
        if killed_after is not None:
            process.kill()
        process.communicate(timeout=600)
    return process.returncode


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_person_of_six_in_12_pairs_withdraws_and_nothing_is_left(new_command, tmp_path, summarize):
    command, clips, out, exported = new_command(), tmp_path / "clips", tmp_path / "out", tmp_path / "ffpp"
    clips.mkdir()
    for number in PEOPLE:
        pictures = [picture // (1 + number) * 2 for picture in drifting_face(12, first=9 * number)]
        encode(clips / f"{number}.mp4", pictures)
    overrides = {name: json.loads(value) for name, _, value in (text.partition("=") for text in tiny.assignments())}
    overrides |= {"training.iterations": 20, "extraction.identity": False}
    path = write(tmp_path, **overrides)
    with command.start("run", path, "-o", out) as process:  # 12 trainings
        process.communicate(timeout=2000)
    assert process.returncode == 0
    command.run("run", path, "-o", "s3://facefoundry/datasets/six/")
    command.run("export", "ffpp", out, exported)
    signer = credentials.development(tmp_path / "signer")
    layout = layout_of(out)
    sign_dataset(layout, signer)
    statement_file = tmp_path / "P-3.json"
    with ObjectStore(command.local_dir / "store") as settings:
        store = Store(settings)
        before, codes = len(store.objects("")), []
        assert expect_whole(store) == len(PAIRS)
        for lines in KILLED_AFTER:
            codes.append(revoke(settings, "--dataset", out, "--yes", killed_after=lines))
            assert expect_whole(store, lists=False) in (len(PAIRS), len(PAIRS) - 4)
        assert codes.count(-9) > 3, "a kill can come too late, after the end"
        assert revoke(settings, "--dataset", out, "--yes", "--statement", statement_file) == 0
        statement = codec.from_json(Statement, statement_file.read_bytes())
        assert statement.ended and names_of(statement, store, out) == []
        assert expect_whole(store) == len(PAIRS) - 4
        kinds = Counter(prefix.partition("/")[0] for prefix in statement.results)
        assert kinds == {"sources": 1, "extractions": 1, "trainings": 4, "models": 4, "conversions": 8 + 1}
        after = len(store.objects(""))
    made = verify_dataset(layout, credentials.roots(tmp_path / "signer"), only_trusted=True)
    assert not made.failed and made.signed == made.files > 0
    summarize(
        f"revoke: of {before} objects {after} are left, {len(statement.digests)} of them tombstones; "
        f"{codes.count(-9)} kills; {made.files} videos verify"
    )
    update = command.run("export", "ffpp", out, exported, "--update")[-1]
    assert update["removed"] and update["dataset_version"] == RunFolder(layout.run_folder()).load_run().dataset_version
    assert not [found for found in exported.rglob("*") if GONE in found.stem.split("_")]

    # The services refuse the clip under any name, and without any rights.
    (clips / f"{GONE}.mp4").rename(clips / "another.mp4")
    (tmp_path / "again.json").write_text(json.dumps([["another", "0"], ["1", "2"]]))
    quick = {"training__iterations": 20, "extraction__identity": False}
    options = ["--filelist", tmp_path / "again.json", "--convert_images", *tiny.flags(**quick)]
    with command.start("generate-models", "-i", clips, "-o", tmp_path / "again", *options) as process:
        process.communicate(timeout=600)
    again = RunFolder(layout_of(tmp_path / "again").run_folder())
    assert process.returncode == 3 and again.load_run().failures["another_0"].reason == "REVOKED"
    assert again.load_pair("1_2").state == "done"
    with ObjectStore(command.local_dir / "store") as settings:
        named = names_of(statement, Store(settings))
        assert all(key.startswith("runs/again") for key in named), "only the record of the refusal names it"
