"""Signed videos say what they are, decode to the same frames, and are what they were once they are stripped."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import cv2
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.errors import InvalidInput, Unavailable, Unusable
from facefoundry.provenance import boxes, c2pa_files, credentials
from facefoundry.provenance.signing import sign_dataset, strip_dataset
from tests.facefoundry.checks.made import pictures_of
from tests.facefoundry.provenance.conftest import RIGHTS, videos_of

EMAIL, SERVER = ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.SERVER_AUTH


def frames_in_opencv(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames


def test_every_video_is_trusted_and_says_what_it_is_and_what_it_was_made_of(signed, signer):
    anchors = signer.chain.decode()
    found = {path: c2pa_files.read(signed.root / path, anchors) for path in videos_of(signed.root)}
    assert {each.state for each in found.values()} == {"Trusted"}
    assert not any(each.faults or each.ingredient_faults for each in found.values())
    fake = c2pa_files.read(signed.fake_video("c23", "000_001"), anchors)
    assert (fake.facts.kind, fake.facts.synthetic, fake.facts.target, fake.facts.source) == ("fake", True, "000", "001")
    assert fake.facts.dataset == "twins" and fake.facts.rights == RIGHTS.clips
    assert fake.ingredients == 2, "the signed real videos of target and source"
    real = c2pa_files.read(signed.real_video("raw", "001"), anchors)
    assert (real.facts.kind, real.facts.synthetic, real.facts.clip) == (
        "real",
        False,
        f"facefoundry/sources/{'001':>040}",
    )
    assert c2pa_files.read(signed.fake_video("raw", "000_001"), "").state == "Valid", "nobody is trusted"


def test_frames_are_equal_in_both_decoders_and_a_stripped_copy_is_the_unsigned_file(unsigned, signed, signer, tmp_path):
    training = FfppLayout(tmp_path / "training")
    assert strip_dataset(signed, training.root, signer) == 10
    for path in videos_of(unsigned.root):
        plain, marked = unsigned.root / path, signed.root / path
        assert plain.read_bytes() != marked.read_bytes()
        assert np.array_equal(pictures_of(plain), pictures_of(marked))
        assert np.array_equal(frames_in_opencv(plain), frames_in_opencv(marked))
        assert (training.root / path).read_bytes() == plain.read_bytes()
        assert c2pa_files.read(training.root / path, signer.chain.decode()).state == "Trusted", "by the file beside it"
    assert training.labels("000_001").is_file() and (training.root / "misc" / "rights.json").is_file()
    with pytest.raises(InvalidInput, match="exists"):
        strip_dataset(signed, training.root, signer)
    with pytest.raises(InvalidInput, match=r"is not signed\. Run `facefoundry sign`"):
        strip_dataset(unsigned, tmp_path / "other", signer)


def test_a_stopped_command_goes_on_and_signs_nothing_twice(unsigned, signer, tmp_path):
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root, layout.root)

    def stop(done, total, last):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sign_dataset(layout, signer, stop)
    first = layout.real_video("raw", "000").read_bytes()
    assert first != unsigned.real_video("raw", "000").read_bytes()
    assert sign_dataset(layout, signer) == 7 and sign_dataset(layout, signer) == 0
    assert layout.real_video("raw", "000").read_bytes() == first
    assert not list(layout.root.rglob("*.signing"))


def test_a_video_of_another_dataset_or_with_other_bytes_is_not_signed_over(copy, signer):
    path = copy.real_video("raw", "000")
    shutil.copyfile(copy.real_video("raw", "001"), path)
    before = path.read_bytes()
    with pytest.raises(Unusable, match=r"000\.mp4 has a manifest whose bytes") as caught:
        sign_dataset(copy, signer)
    assert caught.value.reason == "SIGNED" and path.read_bytes() == before


def test_a_time_stamping_authority_that_does_not_answer_damages_no_file(unsigned, signer, tmp_path):
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root, layout.root)
    before = {path: (layout.root / path).read_bytes() for path in videos_of(layout.root)}
    with pytest.raises(Unavailable, match=r"authority http://127\.0\.0\.1:9/ does not answer"):
        sign_dataset(layout, replace(signer, authority="http://127.0.0.1:9/"))
    assert {path: (layout.root / path).read_bytes() for path in videos_of(layout.root)} == before


@pytest.fixture
def write_certificate(tmp_path):
    """Returns a function that writes a key and a certificate."""

    def write(days=9, usage=EMAIL, other_key=False):
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
        shown = ec.generate_private_key(ec.SECP256R1()) if other_key else key
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(shown.public_key())
            .serial_number(7)
            .not_valid_before(now - timedelta(days=20))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        paths = tmp_path / "key.pem", tmp_path / "chain.pem"
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        paths[0].write_bytes(key.private_bytes(pem, *plain))
        paths[1].write_bytes(made.public_bytes(pem))
        return paths

    return write


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"days": -1}, "expired on 20"),
        ({"usage": SERVER}, r"has the extended key usages 1\.3\.6\.1\.5\.5\.7\.3\.1\. Ask your authority"),
        ({"other_key": True}, "that of another key"),
    ],
)
def test_a_certificate_that_cannot_sign_is_refused_in_one_sentence_before_the_first_file(
    write_certificate, wrong, words
):
    with pytest.raises(InvalidInput, match=words) as caught:
        credentials.load(*write_certificate(**wrong))
    assert caught.value.reason == "CERTIFICATE"


def test_a_development_certificate_is_made_once_and_only_its_owner_reads_the_key(tmp_path):
    made = credentials.development(tmp_path / "signing")
    assert credentials.development(tmp_path / "signing").chain == made.chain and made.is_development
    assert (tmp_path / "signing" / "key.pem").stat().st_mode & 0o077 == 0
    assert "not for publication" in str(x509.load_pem_x509_certificate(made.chain).subject)


def test_offsets_of_64_bits_are_shifted_and_what_is_no_mp4_file_is_named(tmp_path):
    def box(kind, data):
        return struct.pack(">I4s", 8 + len(data), kind) + data

    def file(manifest, offset, hashes=b""):
        table = box(b"co64", struct.pack(">IIQQ", 0, 2, offset, 3))
        for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
            table = box(kind, table)
        return box(b"ftyp", b"isom" * 2) + manifest + box(b"mdat", b"x" * 9) + hashes + table

    manifest = box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + b"manifest")
    other = box(b"uuid", b"another one's id" + b"data")
    signed, plain = tmp_path / "signed.mp4", tmp_path / "plain.mp4"
    signed.write_bytes(file(manifest, 16 + len(manifest), hashes=manifest + other))
    boxes.strip(signed, plain)
    assert plain.read_bytes() == file(b"", 16, hashes=other)
    signed.write_bytes(signed.read_bytes()[:-5])
    with pytest.raises(Unusable, match=r"signed\.mp4, whose box at byte \d+ is cut off"):
        boxes.strip(signed, plain)
