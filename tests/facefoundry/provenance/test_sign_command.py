"""A command signs with a key that FaceFoundry never sees. Here it is OpenSSL; the real thing is a module or service."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.errors import InvalidInput, Unavailable
from facefoundry.provenance import c2pa_files, credentials
from facefoundry.provenance.signing import sign_dataset
from tests.facefoundry.provenance.conftest import issue, videos_of

KINDS: dict[str, tuple[Callable[[], CertificateIssuerPrivateKeyTypes], str]] = {
    "es256": (lambda: ec.generate_private_key(ec.SECP256R1()), "openssl dgst -sha256 -sign {key}"),
    "es384": (lambda: ec.generate_private_key(ec.SECP384R1()), "openssl dgst -sha384 -sign {key}"),
    "ps256": (
        lambda: rsa.generate_private_key(65537, 2048),
        "openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sign {key}",
    ),
    "ed25519": (
        ed25519.Ed25519PrivateKey.generate,
        "sh -c 'cat > {folder}/data; openssl pkeyutl -sign -rawin -inkey {key} -in {folder}/data'",
    ),
}


@pytest.fixture
def made(tmp_path):
    """Returns a function that returns a command with a key of a kind, its chain, and its authority as PEM."""

    def made(kind):
        generate, text = KINDS[kind]
        key, path, chain = generate(), tmp_path / "token.pem", tmp_path / "chain.pem"
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
        leaf, root = issue(key.public_key(), "signer")
        chain.write_bytes(leaf + root)
        return text.format(key=shlex.quote(str(path)), folder=tmp_path), chain, root.decode()

    return made


@pytest.fixture
def one_video(unsigned, tmp_path):
    """A dataset of one real video."""
    layout = FfppLayout(tmp_path / "out")
    shutil.copytree(unsigned.root, layout.root)
    for path in videos_of(layout.root):
        if layout.root / path != layout.real_video("c23", "000"):
            (layout.root / path).unlink()
    return layout


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_that_a_command_signed_is_trusted(made, one_video, kind):
    command, chain, root = made(kind)
    signer = credentials.by_command(command, chain)
    assert (signer.algorithm.decode(), signer.key) == (kind, b"")
    assert sign_dataset(one_video, signer) == 1
    found = c2pa_files.read(one_video.real_video("c23", "000"), root)
    assert (found.state, found.faults, found.signer) == ("Trusted", [], "signer")


def test_a_signature_of_two_plain_numbers_is_taken_too(made, one_video, tmp_path):
    command, chain, root = made("es256")
    script = tmp_path / "hsm.py"
    script.write_text(
        "import subprocess, sys\n"
        "from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature\n"
        "done = subprocess.run(sys.argv[1:], input=sys.stdin.buffer.read(), capture_output=True, check=True)\n"
        "for number in decode_dss_signature(done.stdout):\n"
        "    sys.stdout.buffer.write(number.to_bytes(32, 'big'))\n"
    )
    signer = credentials.by_command(shlex.join([sys.executable, str(script), *shlex.split(command)]), chain)
    assert sign_dataset(one_video, signer) == 1
    assert c2pa_files.read(one_video.real_video("c23", "000"), root).state == "Trusted"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "Received an empty one"),
        ("'sign", "whose quotes have no end"),
        ("no-such-program", "no-such-program, which cannot be run: No such file"),
        ("cat", "11 bytes from cat, which its key did not sign so"),
        ("openssl dgst -sha384 -sign {key}", "bytes from openssl, which its key did not sign so"),
    ],
)
def test_a_command_that_does_not_sign_is_refused_before_the_first_video(made, tmp_path, command, words):
    _, chain, _ = made("es256")
    with pytest.raises(InvalidInput, match=words) as caught:
        credentials.by_command(command.format(key=tmp_path / "token.pem"), chain)
    assert caught.value.reason == "SIGN_COMMAND"


def test_a_command_that_fails_later_is_told_in_its_words_and_damages_no_file(made, one_video, tmp_path):
    command, chain, root = made("es256")
    gate = tmp_path / "open"
    gate.touch()
    text = f"sh -c {shlex.quote(f'test -e {gate} || {{ echo the token is locked >&2; exit 7; }}; {command}')}"
    signer = credentials.by_command(text, chain)
    gate.unlink()
    path = one_video.real_video("c23", "000")
    before = path.read_bytes()
    with pytest.raises(Unavailable, match=r"exit code 7, and on stderr: the token is locked\.") as caught:
        sign_dataset(one_video, signer)
    assert caught.value.reason == "SIGN_COMMAND"
    assert path.read_bytes() == before and not list(path.parent.glob(".*"))
    gate.touch()
    assert sign_dataset(one_video, signer) == 1 and c2pa_files.read(path, root).state == "Trusted"
