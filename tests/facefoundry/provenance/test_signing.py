"""Signed videos say what they are, decode to the same frames, and are what they were once they are stripped."""

from __future__ import annotations

import shutil
import struct
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from benchmarks.signing_memory import pad
from facefoundry.codec import JsonObject
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.errors import InvalidInput, Unavailable, Unusable
from facefoundry.provenance import boxes, c2pa_files, credentials
from facefoundry.provenance.manifests import manifest
from facefoundry.provenance.signing import sign_dataset, strip_dataset
from facefoundry.provenance.verifying import verify_dataset
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
    assert strip_dataset(signed, training.root, signer, signer.chain.decode()) == 10
    for path in videos_of(unsigned.root):
        plain, marked = unsigned.root / path, signed.root / path
        assert plain.read_bytes() != marked.read_bytes()
        assert np.array_equal(pictures_of(plain), pictures_of(marked))
        assert np.array_equal(frames_in_opencv(plain), frames_in_opencv(marked))
        assert (training.root / path).read_bytes() == plain.read_bytes()
        assert c2pa_files.read(training.root / path, signer.chain.decode()).state == "Trusted", "by the file beside it"
    assert verify_dataset(training, signer.chain.decode(), only_trusted=True, processes=1).failed == []
    assert training.labels("000_001").is_file() and (training.root / "misc" / "rights.json").is_file()
    with pytest.raises(InvalidInput, match="exists"):
        strip_dataset(signed, training.root, signer, signer.chain.decode())
    with pytest.raises(InvalidInput, match=r"is not signed\. Run `facefoundry sign`"):
        strip_dataset(unsigned, tmp_path / "other", signer, signer.chain.decode())


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
    with pytest.raises(Unusable, match=r"000\.mp4 has a manifest of original_sequences") as caught:
        sign_dataset(copy, signer)
    assert caught.value.reason == "SIGNED" and path.read_bytes() == before


def test_a_video_that_another_program_signed_is_refused_in_one_sentence_and_stays(unsigned, signer, tmp_path):
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root, layout.root)
    path = layout.real_video("c23", "001")
    path.unlink()
    action: JsonObject = {
        "action": "c2pa.created",
        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/composite",
    }
    actions: JsonObject = {"label": "c2pa.actions.v2", "data": {"actions": [action]}}
    theirs: JsonObject = {"claim_generator_info": [{"name": "Another program"}], "assertions": [actions]}
    c2pa_files.sign(unsigned.real_video("c23", "001"), theirs, [], signer, path)
    before = path.read_bytes()
    with pytest.raises(Unusable, match=r"c23/videos/001\.mp4 has a manifest of another program, or one") as caught:
        sign_dataset(layout, signer)
    assert caught.value.reason == "SIGNED" and path.read_bytes() == before
    assert c2pa_files.read(path, signer.chain.decode()).state == "Trusted", "their signature still holds"
    others = [each for each in videos_of(layout.root) if layout.root / each != path]
    for each in others:
        signed, plain = layout.root / each, tmp_path / "plain.mp4"
        boxes.strip(signed, plain)
        assert plain.read_bytes() == (unsigned.root / each).read_bytes()
    assert not list(layout.root.rglob("*.signing"))


def test_a_large_video_is_hashed_in_parts_and_one_changed_byte_of_any_part_is_found(unsigned, signer, tmp_path):
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root / "misc", layout.root / "misc")
    path, plain = layout.real_video("raw", "000"), tmp_path / "plain.mp4"
    path.parent.mkdir(parents=True)
    pad(unsigned.real_video("raw", "000"), path, (17 << 20) + 7)
    before = path.read_bytes()
    assert len(pictures_of(path)) == len(pictures_of(unsigned.real_video("raw", "000")))
    assert sign_dataset(layout, signer) == 1
    found = c2pa_files.read(path, signer.chain.decode())
    assert (found.state, found.faults) == ("Trusted", [])
    signed = path.read_bytes()
    assert b"merkle" in signed[: 1 << 20]
    boxes.strip(path, plain)
    assert plain.read_bytes() == before
    for place in (len(signed) // 2, len(signed) - (1 << 19)):
        path.write_bytes(signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :])
        assert c2pa_files.read(path, signer.chain.decode()).state == "Invalid"
        with pytest.raises(Unusable, match="whose bytes it does not match"):
            sign_dataset(layout, signer)


@pytest.mark.parametrize("changed", ["video", "labels"])
def test_what_has_changed_since_it_was_signed_is_not_stripped(copy, signer, tmp_path, changed):
    path = copy.fake_video("c23", "000_001") if changed == "video" else copy.labels("000_001")
    data = bytearray(path.read_bytes())
    data[-2000 if changed == "video" else -1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Unusable, match=r"000_001\.mp4 has a manifest (whose bytes|that was made with)") as caught:
        strip_dataset(copy, tmp_path / "training", signer, signer.chain.decode())
    assert caught.value.reason == "SIGNED"
    assert not (tmp_path / "training").exists() and not list(tmp_path.glob(".*")), "no half of a folder stays"


def test_what_a_stranger_signed_is_stripped_only_if_their_authority_is_trusted(signed, signer, tmp_path):
    stranger, training = credentials.development(tmp_path / "stranger"), tmp_path / "training"
    with pytest.raises(
        Unusable, match=r"of FaceFoundry development, not for publication, is vouched for by none"
    ) as no:
        strip_dataset(signed, training, stranger, stranger.chain.decode())
    assert no.value.reason == "SIGNED"
    assert not training.exists() and not list(tmp_path.glob(".*")), "no half of a folder stays"
    both = stranger.chain + signer.chain
    assert strip_dataset(signed, training, stranger, both.decode()) == 10


def test_a_fake_without_its_real_video_is_refused_before_the_first_file(unsigned, signer, tmp_path):
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root, layout.root)
    layout.real_video("c23", "001").unlink()
    with pytest.raises(Unusable, match=r"c23/videos/001\.mp4, of 000_001\.mp4, is missing"):
        sign_dataset(layout, signer)
    assert layout.real_video("raw", "000").read_bytes() == unsigned.real_video("raw", "000").read_bytes()


def test_a_signature_whose_certificate_has_expired_is_told_and_made_again(copy, unsigned, signer, reissue):
    path, end = copy.real_video("raw", "000"), datetime.now(timezone.utc) + timedelta(seconds=3)
    found = c2pa_files.read(path, "")
    assert found is not None and found.facts is not None
    facts = found.facts
    short = replace(signer, chain=reissue(signer, end))
    path.unlink()
    c2pa_files.sign(unsigned.real_video("raw", "000"), manifest(facts), [], short, path)
    while datetime.now(timezone.utc) < end + timedelta(seconds=1):
        time.sleep(0.1)
    assert verify_dataset(copy, signer.chain.decode(), frames=0).failed == [
        "original_sequences/youtube/raw/videos/000.mp4: its certificate has expired. Sign it again, with --tsa."
    ]
    assert sign_dataset(copy, signer) == 1
    assert verify_dataset(copy, signer.chain.decode(), frames=0).failed == []
    assert c2pa_files.read(path, "").facts == facts


@pytest.fixture
def reissue():
    """Returns a function that returns the chain of credentials as another authority issues it, with another end."""

    def reissue(of, end):
        leaf, top = x509.load_pem_x509_certificates(of.chain)
        root = ec.generate_private_key(ec.SECP256R1())
        chain = b""
        for old, key in ((leaf, leaf.public_key()), (top, root.public_key())):
            made = x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).public_key(key)
            made = made.serial_number(7).not_valid_before(old.not_valid_before_utc).not_valid_after(end)
            for each in old.extensions:
                value = each.value
                if isinstance(value, x509.AuthorityKeyIdentifier):
                    value = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
                elif isinstance(value, x509.SubjectKeyIdentifier):
                    value = x509.SubjectKeyIdentifier.from_public_key(key)
                made = made.add_extension(value, each.critical)
            chain += made.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return chain

    return reissue


def test_a_time_stamping_authority_that_does_not_answer_damages_no_file(unsigned, signer, tmp_path):
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root, layout.root)
    before = {path: (layout.root / path).read_bytes() for path in videos_of(layout.root)}
    with pytest.raises(Unavailable, match=r"time stamp from http://127\.0\.0\.1:9/\. Received none"):
        sign_dataset(layout, replace(signer, authority="http://127.0.0.1:9/"))
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # answers 501 to a POST
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with pytest.raises(Unavailable, match="Received none") as caught:
                sign_dataset(layout, replace(signer, authority=f"http://127.0.0.1:{server.server_port}/"))
        finally:
            server.shutdown()
            thread.join()
    assert caught.value.reason == "TIME_STAMP"
    assert {path: (layout.root / path).read_bytes() for path in videos_of(layout.root)} == before


@pytest.fixture
def write_certificate(tmp_path):
    """Returns a function that writes a key and a certificate."""

    def write(days=9, usage=EMAIL, other_key=False, ca=False):
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
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
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
        ({"usage": ObjectIdentifier("1.3.6.1.4.1.62558.2.1")}, "has the extended key usages 1"),
        ({"usage": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}, "has the extended key usages 2"),
        ({}, "has no key usage digitalSignature"),
        ({"ca": True}, "is that of an authority"),
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
    paths = tmp_path / "signing" / "key.pem", tmp_path / "signing" / "chain.pem"
    assert paths[0].stat().st_mode & 0o077 == 0
    assert credentials.load(*paths).is_development, "by its name, wherever its file is"
    certificates = made.chain.partition(b"-----END CERTIFICATE-----\n")
    paths[1].write_bytes(certificates[0] + certificates[1] + credentials.development(tmp_path / "other").chain)
    with pytest.raises(InvalidInput, match="is not followed by its authority"):
        credentials.load(*paths)
    paths[0].chmod(0o644)
    assert credentials.development(tmp_path / "signing").chain != made.chain
    assert paths[0].stat().st_mode & 0o077 == 0, "also where an older file could be read by others"
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
