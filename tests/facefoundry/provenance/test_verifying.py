"""`facefoundry verify` tells by name what is not as it was signed, labelled or recorded."""

from __future__ import annotations

import json
import shutil

import pytest

from facefoundry.cli.main import main
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.provenance import boxes
from facefoundry.provenance.signing import sign_dataset
from facefoundry.provenance.verifying import verify_dataset
from tests.facefoundry.provenance.conftest import UNSWAPPED, label


def verified(layout, signer, frames=16):
    return verify_dataset(layout, signer.chain.decode(), frames=frames, processes=1)


def test_a_signed_dataset_is_verified_as_a_whole(signed, signer):
    made = verified(signed, signer)
    assert made.failed == [] and (made.signed, made.trusted, made.ingredients) == (10, 10, 8)
    assert (made.fakes, made.frames) == (2, 12)
    assert {row.what: row.state for row in made.table()} == {
        "signatures": "ok",
        "ingredients": "ok",
        "digests": "ok",
        "labels": "ok",
        "rights": "look",
    }
    assert "unstated for 1 of 2 clips" in made.rights[0]


def test_one_changed_byte_is_told_by_the_name_of_its_file(copy, signer):
    path = copy.fake_video("c23", "001_000")
    data = bytearray(path.read_bytes())
    data[-2000] ^= 1
    path.write_bytes(data)
    made = verified(copy, signer, frames=0)
    assert set(made.faults) == {"signatures", "digests"}
    assert all("c23/videos/001_000.mp4" in fault for fault in made.failed)
    assert "its bytes are not those that were signed" in made.faults["signatures"][0]


def test_a_swapped_frame_that_is_labelled_unswapped_is_told(copy, signer):
    label(copy, "000_001", UNSWAPPED, 4)
    made = verified(copy, signer)
    assert any("000_001.mp4" in fault and "frame 4 is labelled unswapped and differs" in fault for fault in made.failed)
    assert any("its labels are not those that were signed" in fault for fault in made.faults["digests"])


def test_a_real_video_that_was_renamed_to_a_fake_is_told(copy, signer):
    shutil.copyfile(copy.real_video("raw", "000"), copy.fake_video("raw", "000_001"))
    made = verified(copy, signer)
    assert any(
        "was signed as original_sequences/youtube/raw/videos/000.mp4" in fault for fault in made.faults["digests"]
    )
    assert any("frame 0 is labelled swapped and is the target's and 4 more" in fault for fault in made.faults["labels"])


def test_a_fake_that_was_signed_as_a_real_video_is_told(unsigned, signer, tmp_path):
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root, layout.root)
    shutil.copyfile(layout.fake_video("raw", "000_001"), layout.real_video("raw", "000"))
    sign_dataset(layout, signer)
    (fault,) = verified(layout, signer).failed
    assert "raw/videos/000_001.mp4, beside original_sequences/youtube/raw/videos/000.mp4: frame 0" in fault


def test_a_file_of_another_dataset_and_an_unsigned_one_are_told(copy, write, signer, unsigned):
    other = write("others")
    sign_dataset(other, signer)
    shutil.copyfile(other.real_video("c23", "000"), copy.real_video("c23", "000"))
    shutil.copyfile(unsigned.mask_video("masks", "000_001"), copy.mask_video("masks", "000_001"))
    made = verified(copy, signer, frames=0)
    assert made.faults == {
        "digests": [
            "original_sequences/youtube/c23/videos/000.mp4: it was signed as a file of the dataset others.",
        ],
        "signatures": [
            "manipulated_sequences/Deepfakes/masks/videos/000_001.mp4: it is not signed, and other videos are."
        ],
    }


def test_the_command_signs_verifies_and_exits_by_what_it_found(unsigned, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FACEFOUNDRY_LOCAL_DIR", str(tmp_path / "local"))
    out = tmp_path / "out"
    shutil.copytree(unsigned.root, out)

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments), "--json"])
        return caught.value.code or 0, capsys.readouterr().out

    code, printed = run("sign", out)
    assert code == 0 and "development certificate" in printed and "10 videos signed" in printed
    code, printed = run("verify", out, "--processes", "1")
    assert code == 0 and json.loads(printed.splitlines()[-1])["trusted"] == 10
    label(FfppLayout(out), "000_001")
    assert run("verify", out, "--processes", "1")[0] == 4
    assert run("sign", out, "--strip", tmp_path / "plain")[0] == 0
    assert boxes.manifest_of(FfppLayout(tmp_path / "plain").real_video("raw", "000")) is None
    assert run("sign", out, "--key", out / "misc" / "rights.json")[0] == 2
