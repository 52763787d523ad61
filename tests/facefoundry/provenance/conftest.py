"""A small dataset with a run record and rights, unsigned and signed. Tests change copies of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from facefoundry import codec
from facefoundry.dataset import files
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord, SequenceRecord
from facefoundry.dataset.rights import ClipRights, Rights
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.media.write import MaskWriter
from facefoundry.provenance import credentials
from facefoundry.provenance.credentials import Credentials
from facefoundry.provenance.signing import sign_dataset
from tests.facefoundry.checks.made import BOX, HEIGHT, LEVELS, WIDTH, encode, texture

FRAMES = 6
UNSWAPPED = 2
CLIPS = ("000", "001")
RIGHTS = ClipRights.of({"000": Rights(basis="no-person"), "001": None})


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """The development certificate of a machine."""
    return credentials.development(tmp_path_factory.mktemp("signer"))


@pytest.fixture(scope="session")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FfppLayout]:
    """Returns a function that writes a dataset of one pair: 2 levels, one kind of mask, and an unswapped frame."""

    def write(name: str) -> FfppLayout:
        layout, rng = FfppLayout(tmp_path_factory.mktemp(name)), np.random.default_rng(len(name))
        record = RunRecord(name, "", {"compression": {"levels": [{"name": level.name} for level in LEVELS]}})
        record.pairs, pair = ["000_001"], PairRecord("000_001", *CLIPS, state="done")
        x, y, width, height = BOX
        for target, source in (CLIPS, CLIPS[::-1]):
            fake, ground = f"{target}_{source}", list(texture(rng, WIDTH, HEIGHT, FRAMES))
            shown = [picture.copy() for picture in ground]
            for number, face in enumerate(texture(rng, width - 2, height - 2, FRAMES)):
                if number != UNSWAPPED:
                    shown[number][y + 1 : y + height - 1, x + 1 : x + width - 1] = face
            for level in LEVELS:
                encode(layout.real_video(level.name, target), ground, level, (25, 1))
                encode(layout.fake_video(level.name, fake), shown, level, (25, 1))
            files.make_folder(layout.mask_video("masks", fake).parent)
            writer = MaskWriter(layout.mask_video("masks", fake), (25, 1), WIDTH, HEIGHT)
            for _ in range(FRAMES):
                writer.write(np.zeros((HEIGHT, WIDTH), np.uint8))
            writer.close()
            label(layout, fake, UNSWAPPED)
            record.sequences[target] = SequenceRecord(
                source_uri=f"s3://facefoundry/sources/{target:>040}", rights=RIGHTS.digest_of(target)
            )
            pair.fakes.append(FakeRecord(fake, target, source))
        RunFolder(layout.run_folder()).save_run(record)
        RunFolder(layout.run_folder()).save_pair(pair)
        files.write(layout.filelist(), b'[["000", "001"]]')
        files.write(layout.filelist().with_name("rights.json"), codec.to_json(RIGHTS))
        return layout

    return write


def label(layout: FfppLayout, fake: str, *unswapped: int) -> None:
    """Write the labels of a fake."""
    rows = [{"frame": number, "box": None if number in unswapped else BOX} for number in range(FRAMES)]
    files.write(layout.labels(fake), json.dumps({"frames": rows}).encode())


@pytest.fixture(scope="session")
def unsigned(write: Callable[[str], FfppLayout]) -> FfppLayout:
    """The dataset before it is signed."""
    return write("twins")


@pytest.fixture(scope="session")
def signed(unsigned: FfppLayout, signer: Credentials, tmp_path_factory: pytest.TempPathFactory) -> FfppLayout:
    """The dataset, signed."""
    layout = FfppLayout(tmp_path_factory.mktemp("signed") / "twins")
    shutil.copytree(unsigned.root, layout.root)
    assert sign_dataset(layout, signer) == len(videos_of(layout.root)) == 10
    return layout


@pytest.fixture
def copy(signed: FfppLayout, tmp_path: Path) -> FfppLayout:
    """A copy of the signed dataset, to be changed."""
    layout = FfppLayout(tmp_path / "copy")
    shutil.copytree(signed.root, layout.root)
    return layout


def videos_of(root: Path) -> list[Path]:
    """Return the videos below a folder, relative to it."""
    return sorted(path.relative_to(root) for path in root.rglob("*.mp4"))


def issue(
    public: CertificatePublicKeyTypes,
    name: str,
    usage: ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    end: datetime | None = None,
) -> tuple[bytes, bytes]:
    """Return a certificate of a key for one usage, and that of its authority, as PEM."""
    root, start = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc) - timedelta(hours=1)
    made = []
    for key, subject, is_authority in ((public, name, False), (root.public_key(), f"authority of {name}", True)):
        usages = x509.KeyUsage(not is_authority, False, False, False, False, is_authority, is_authority, False, False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named(f"authority of {name}"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end if end and not is_authority else start + timedelta(days=2))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(usages, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(identifier, critical=False)
        )
        if not is_authority:
            is_critical = usage == ExtendedKeyUsageOID.TIME_STAMPING
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=is_critical)
        made.append(builder.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return made[0], made[1]


def _named(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM."""
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *plain)
