"""`facefoundry verify` tells by name what is not as it was signed, labelled or recorded."""

from __future__ import annotations

import json
import shutil

import pytest

from facefoundry import codec
from facefoundry.cli.main import main
from facefoundry.dataset import files
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.rights import ClipRights, Rights
from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.provenance import boxes, credentials
from facefoundry.provenance.signing import sign_dataset
from facefoundry.provenance.verifying import verify_dataset
from tests.facefoundry.provenance.conftest import RIGHTS, UNSWAPPED, label


def verified(layout, signer, frames=16, **options):
    return verify_dataset(layout, signer.chain.decode(), frames=frames, processes=1, **options)


def test_a_signed_dataset_is_verified_as_a_whole(signed, signer):
    made = verified(signed, signer)
    assert made.failed == [] and (made.signed, made.trusted, made.ingredients) == (10, 10, 8)
    assert (made.fakes, made.frames) == (2, 12)
    assert {row.what: row.state for row in made.table()} == {
        "files": "look",
        "signatures": "look",
        "ingredients": "ok",
        "digests": "ok",
        "labels": "ok",
        "rights": "look",
    }
    assert "unstated for 1 of 2 clips" in made.rights[0]
    found = {row.what: row.found for row in made.table()}
    assert found["files"].startswith("12 videos and labels by the records, and no masks_blend, masks_changed;")
    assert "0 by somebody who is trusted, 10 by a development certificate" in found["signatures"]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """The development certificate of another machine."""
    return credentials.development(tmp_path_factory.mktemp("stranger"))


def test_with_given_authorities_what_nobody_trusted_signed_is_at_fault(signed, unsigned, signer, stranger):
    assert verified(signed, stranger, frames=0).failed == [], "without them, it is only counted"
    made = verified(signed, stranger, frames=0, only_trusted=True)
    assert len(made.failed) == len(made.faults["signatures"]) == 10
    assert f"but {credentials.DEVELOPMENT}." in made.failed[0]
    assert len(verified(unsigned, stranger, frames=0, only_trusted=True).faults["signatures"]) >= 10
    assert verified(signed, signer, frames=0, only_trusted=True).failed == []


def test_each_missing_file_of_the_records_is_told(copy, unsigned, signer, tmp_path):
    gone = [
        copy.fake_video("c23", "000_001"),
        copy.fake_video("c23", "001_000"),
        copy.real_video("raw", "001"),
        copy.mask_video("masks", "000_001"),
        copy.labels("001_000"),
    ]
    for path in gone:
        path.unlink()
    made = verified(copy, signer)
    assert sorted(made.faults["files"]) == sorted(f"{path.relative_to(copy.root)} is missing." for path in gone)
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root, layout.root)
    layout.labels("000_001").unlink()
    assert "labels/000_001.json is missing" in verified(layout, signer).failed[0]


def test_rights_that_are_not_those_that_were_signed_and_recorded_are_told(copy, signer):
    place = copy.filelist().with_name("rights.json")
    forged = ClipRights.of(dict.fromkeys(RIGHTS.clips, Rights(basis="consent", evidence="form")))
    files.write(place, codec.to_json(forged))
    made = verified(copy, signer, frames=0)
    assert set(made.faults) == {"rights"}
    assert "states other rights to the clip 001 than the run record" in " ".join(made.failed)
    assert any("c23/videos/001_000.mp4: misc/rights.json states other rights" in fault for fault in made.failed)
    (digest,) = RIGHTS.records
    files.write(place, codec.to_json(ClipRights(RIGHTS.clips, {digest: Rights(basis="public-domain")})))
    with pytest.raises(DataLoss, match=f"rights.json. Received others: the record {digest} has another digest"):
        verified(copy, signer, frames=0)
    files.write(place, codec.to_json(ClipRights(RIGHTS.clips)))
    with pytest.raises(DataLoss, match="the clip 000 names no record"):
        verified(copy, signer, frames=0)
    place.unlink()
    assert "misc/rights.json is missing." in verified(copy, signer, frames=0).failed


def test_labels_of_an_earlier_run_are_said(copy, signer):
    path = copy.labels("000_001")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"target_rights": "unstated"}))
    assert "The labels of 1 fakes state other rights" in verified(copy, signer, frames=0).rights[-1]


@pytest.mark.parametrize("frames", [1, 2])
def test_few_frames_are_compared_too(unsigned, signer, frames):
    made = verified(unsigned, signer, frames)
    assert made.failed == [] and made.frames == 2 * (frames + 1), "there is one frame that is not swapped"


@pytest.mark.parametrize("data", [b"no PEM", b"\x30\x82\xff\xfe"])
def test_a_file_that_is_no_certificate_is_refused_by_name(data, tmp_path):
    path = tmp_path / "roots.pem"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"roots\.pem is none") as caught:
        credentials.anchors(path)
    assert caught.value.reason == "CERTIFICATE"


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
        "signatures": ["manipulated_sequences/Deepfakes/masks/videos/000_001.mp4: it is not signed."],
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
    assert (
        code == 0
        and "development certificate" in printed
        and "end with the certificate, on 20" in printed
        and "10 videos signed" in printed
    )
    code, printed = run("verify", out, "--processes", "1")
    assert code == 0 and json.loads(printed.splitlines()[-1])["trusted"] == 10
    assert run("sign", out, "--strip", tmp_path / "plain")[0] == 0
    other = tmp_path / "other.pem"
    other.write_bytes(credentials.development(tmp_path / "other").chain)
    assert run("sign", out, "--strip", tmp_path / "again", "--trust", other)[0] == 1
    assert run("sign", out, "--trust", other)[0] == 2, "it is for --strip"
    label(FfppLayout(out), "000_001")
    assert run("verify", out, "--processes", "1")[0] == 4
    assert boxes.manifest_of(FfppLayout(tmp_path / "plain").real_video("raw", "000")) is None
    assert run("sign", out, "--key", out / "misc" / "rights.json")[0] == 2
    code, printed = run("sign", out, "--tsa", "foo")
    assert code == 2 and "Received --tsa foo" in printed


def test_a_damaged_manifest_and_a_file_that_is_no_video_are_told_and_the_others_are_read(copy, signer):
    path = copy.real_video("c23", "000")
    box = boxes.manifest_of(path)
    assert box is not None
    data = bytearray(path.read_bytes())
    data[box.start + 40 : box.end] = b"\xff" * (box.end - box.start - 40)
    path.write_bytes(data)
    made = verified(copy, signer, frames=0)
    own = [fault for fault in made.faults["signatures"] if "c23/videos/000.mp4" in fault]
    assert "its bytes are not those that were signed" in own[0] and made.signed == 10
    mask = copy.mask_video("masks", "000_001")
    mask.write_bytes(b"no video")
    made = verified(copy, signer, frames=0)
    assert any("masks/videos/000_001.mp4: " in fault for fault in made.faults["signatures"])
    assert made.trusted == 8
