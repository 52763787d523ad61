"""The signature of a statement, as OpenSSL verifies it by the command of docs/responsible-use.md."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization

from facefoundry.cli.revoke import revoke
from facefoundry.errors import InvalidInput
from facefoundry.provenance import credentials
from facefoundry.revocation.signature import require_signer, signature
from tests.facefoundry.provenance.conftest import issue
from tests.facefoundry.provenance.test_sign_command import KINDS


def written(folder: Path, kind: str) -> tuple[str, Path, Path]:
    """Write a key of a kind, its chain and its authority; return a command that signs with it, and two of the files."""
    key, plain = KINDS[kind][0](), (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    token, chain = folder / "token.pem", folder / "chain.pem"
    token.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    leaf, root = issue(key.public_key(), "signer")
    chain.write_bytes(leaf + root)
    (folder / "roots.pem").write_bytes(root)
    return KINDS[kind][1].format(key=shlex.quote(str(token)), folder=folder), token, chain


@pytest.mark.parametrize("kind", ["es256", "es384", "ps256"])
@pytest.mark.parametrize("by", ["key", "command"])
def test_openssl_verifies_a_statement_and_refuses_another(tmp_path: Path, kind: str, by: str) -> None:
    command, key, chain = written(tmp_path, kind)
    signer = credentials.load(key, chain) if by == "key" else credentials.by_command(command, chain)
    require_signer(signer)
    statement, signed = tmp_path / "P-017.json", tmp_path / "P-017.json.p7s"
    statement.write_bytes(b'{"revoked": "subject P-017"}\r\n')
    signed.write_bytes(signature(statement.read_bytes(), signer))
    words = ["openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", signed.name, "-content", statement.name]
    words += ["-CAfile", "roots.pem", "-purpose", "any"]
    assert subprocess.run(words, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    statement.write_bytes(b'{"revoked": "subject P-018"}\r\n')
    assert subprocess.run(words, cwd=tmp_path, check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("ed25519", ["--key", "{key}", "--chain", "{chain}", "--statement", "s.json"], "CERTIFICATE"),
        ("es256", ["--key", "{key}", "--chain", "{chain}"], "USAGE"),
        ("es256", ["--key", "{key}", "--statement", "s.json"], "USAGE"),
        ("es256", ["--sign-command", "cat", "--chain", "{chain}", "--statement", "s.json"], "SIGN_COMMAND"),
        ("es256", ["--sign-command", "cat", "--key", "{key}", "--chain", "{chain}", "--statement", "s.json"], "USAGE"),
    ],
)
def test_what_cannot_sign_is_refused_before_anything_is_removed(
    tmp_path: Path, kind: str, options: list[str], reason: str
) -> None:
    _, key, chain = written(tmp_path, kind)
    refused = CliRunner().invoke(revoke, ["P-017", "--yes", *(text.format(key=key, chain=chain) for text in options)])
    assert isinstance(refused.exception, InvalidInput) and refused.exception.reason == reason
