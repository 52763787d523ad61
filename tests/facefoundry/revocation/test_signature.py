"""The signature of a statement, as OpenSSL verifies it by the command of docs/responsible-use.md."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from facefoundry.cli.revoke import revoke
from facefoundry.errors import InvalidInput
from facefoundry.provenance import credentials
from facefoundry.revocation.signature import require_signer, signature


def test_openssl_verifies_a_statement_and_refuses_another(tmp_path: Path) -> None:
    signer = credentials.development(tmp_path / "signer")
    statement, signed, roots = (tmp_path / name for name in ("P-017.json", "P-017.json.p7s", "roots.pem"))
    statement.write_bytes(b'{"revoked": "subject P-017"}\r\n')
    signed.write_bytes(signature(statement.read_bytes(), signer))
    roots.write_bytes(signer.chain)
    words = ["openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", signed.name, "-content", statement.name]
    words += ["-CAfile", roots.name, "-purpose", "any"]
    assert subprocess.run(words, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    statement.write_bytes(b'{"revoked": "subject P-018"}\r\n')
    assert subprocess.run(words, cwd=tmp_path, check=False, capture_output=True).returncode != 0


def test_a_key_that_cannot_sign_is_refused_before_anything_is_removed(tmp_path: Path) -> None:
    signer = credentials.development(tmp_path / "signer")
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(InvalidInput) as caught:
        require_signer(replace(signer, key=pem))
    assert caught.value.reason == "CERTIFICATE"
    refused = CliRunner().invoke(revoke, ["P-017", "--yes", "--key", str(tmp_path / "signer" / "key.pem")])
    assert isinstance(refused.exception, InvalidInput) and refused.exception.reason == "USAGE"
