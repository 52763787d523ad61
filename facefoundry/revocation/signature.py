"""Signs a statement: a detached signature in CMS (RFC 5652), which OpenSSL verifies."""

from __future__ import annotations

from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from facefoundry.errors import InvalidInput
from facefoundry.provenance.credentials import Credentials

__all__ = ["require_signer", "signature"]


def require_signer(credentials: Credentials) -> None:
    """Refuse a key that cannot sign a statement.

    Raises:
        InvalidInput: it is neither RSA nor of an elliptic curve of NIST (CERTIFICATE).
    """
    key = serialization.load_pem_private_key(credentials.key, password=None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        message = "Expected a key of RSA, P-256, P-384 or P-521 to sign a statement. Received another kind. Use one."
        raise InvalidInput(message, reason="CERTIFICATE")


def signature(data: bytes, credentials: Credentials) -> bytes:
    """Return the detached signature of a text, PEM, with the certificates."""
    key = serialization.load_pem_private_key(credentials.key, password=None)
    first, *others = x509.load_pem_x509_certificates(credentials.chain)
    signed = pkcs7.PKCS7SignatureBuilder().set_data(data)
    signed = signed.add_signer(first, cast("rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey", key), hashes.SHA256())
    for certificate in others:
        signed = signed.add_certificate(certificate)
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    return signed.sign(serialization.Encoding.PEM, options)
