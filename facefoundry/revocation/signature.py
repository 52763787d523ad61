"""Signs a statement: a detached signature in CMS (RFC 5652), which OpenSSL verifies."""

from __future__ import annotations

from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import pkcs7

from facefoundry.errors import InvalidInput
from facefoundry.provenance.credentials import Credentials
from facefoundry.provenance.sign_command import HASHES, SignCommand

__all__ = ["require_signer", "signature"]


def require_signer(credentials: Credentials) -> None:
    """Refuse a key that cannot sign a statement.

    Raises:
        InvalidInput: it is neither RSA nor of an elliptic curve of NIST (CERTIFICATE).
    """
    key = x509.load_pem_x509_certificate(credentials.chain).public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        message = "Expected a key of RSA, P-256, P-384 or P-521 to sign a statement. Received another kind. Use one."
        raise InvalidInput(message, reason="CERTIFICATE")


def signature(data: bytes, credentials: Credentials) -> bytes:
    """Return the detached signature of a text, PEM, with the certificates.

    Raises:
        InvalidInput: the command that has the key does not sign with it (SIGN_COMMAND).
        Unavailable: the command fails (SIGN_COMMAND).
    """
    first, *others = x509.load_pem_x509_certificates(credentials.chain)
    public = first.public_key()
    hashed = HASHES[public.curve.name] if isinstance(public, ec.EllipticCurvePublicKey) else hashes.SHA256()
    pss = padding.PSS(padding.MGF1(hashed), padding.PSS.DIGEST_LENGTH) if isinstance(public, rsa.RSAPublicKey) else None
    signed = pkcs7.PKCS7SignatureBuilder().set_data(data)
    key = cast("rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey", _key(credentials))
    signed = signed.add_signer(first, key, cast("pkcs7.PKCS7HashTypes", hashed), rsa_padding=pss)
    for certificate in others:
        signed = signed.add_certificate(certificate)
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    return signed.sign(serialization.Encoding.PEM, options)


def _key(credentials: Credentials) -> object:
    if credentials.command is None:
        return serialization.load_pem_private_key(credentials.key, password=None)
    public = x509.load_pem_x509_certificate(credentials.chain).public_key()
    return (_RsaKey if isinstance(public, rsa.RSAPublicKey) else _CurveKey)(credentials.command)


class _Key:
    """The key of a command, of which the library needs nothing but signatures."""

    def __init__(self, command: SignCommand) -> None:
        self._command = command

    def sign(self, data: bytes, *_: object) -> bytes:
        return self._command.sign(data)


@rsa.RSAPrivateKey.register
class _RsaKey(_Key): ...


@ec.EllipticCurvePrivateKey.register
class _CurveKey(_Key):
    def sign(self, data: bytes, *_: object) -> bytes:
        plain = super().sign(data)  # CMS has both numbers as DER
        half = len(plain) // 2
        return utils.encode_dss_signature(int.from_bytes(plain[:half], "big"), int.from_bytes(plain[half:], "big"))
