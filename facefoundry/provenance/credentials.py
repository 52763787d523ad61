"""What signs: a key of a file or a command that has the key, with certificates; or a development certificate."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facefoundry.dataset import files
from facefoundry.errors import InvalidInput
from facefoundry.provenance.sign_command import SignCommand

__all__ = ["DEVELOPMENT", "Credentials", "anchors", "by_command", "development", "load", "roots"]

DEVELOPMENT: Final = "FaceFoundry development, not for publication"
"""Common name of development certificates."""
_DAYS = 90
_TRIED = b"facefoundry"
_CURVES = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
_EMAIL, _ANY = (
    ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string,
)

E = TypeVar("E", bound=x509.ExtensionType)


@dataclass(frozen=True)
class Credentials:
    """What signs.

    Attributes:
        key: The private key, PEM of PKCS#8; empty if a command has it.
        chain: The certificates, PEM, the signing one first.
        algorithm: Name of the signature algorithm, such as `es256`.
        authority: URL of a time-stamping authority; empty for none. Without a time stamp, signatures end with the
            certificate.
        is_development: Whether it is a development certificate, of this machine or another.
        command: Signs instead of `key`; None if there is a key.
    """

    key: bytes = field(repr=False)
    chain: bytes
    algorithm: bytes
    authority: str = ""
    is_development: bool = False
    command: SignCommand | None = None

    @property
    def last_day(self) -> str:
        """The last day on which the certificate is valid, ISO 8601."""
        return x509.load_pem_x509_certificate(self.chain).not_valid_after_utc.date().isoformat()


def load(key: Path, chain: Path, authority: str = "") -> Credentials:
    """Read a key and its certificates, and check them before anything is signed.

    Args:
        key: PEM file of the private key, not encrypted.
        chain: PEM file of the certificates, the signing one first.
        authority: URL of a time-stamping authority; empty for none.

    Raises:
        InvalidInput: a file cannot be read, or the certificate cannot sign: it is not valid today, not meant for it, or
            not that of the key (CERTIFICATE).
    """
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not a PEM file without a password"
        raise _wrong(f"{key} and {chain} cannot be read: {what}", "Check both files.") from error
    _check(certificates[0], chain)
    if certificates[0].public_key() != private.public_key():
        raise _wrong(f"the first one in {chain} is that of another key", "Put the certificate of the key first.")
    _check_chain(certificates, chain)
    made = Credentials(_pem(private), chain.read_bytes(), _algorithm(private.public_key(), chain), authority)
    return replace(made, is_development=_common_name(certificates[0]) == DEVELOPMENT)


def by_command(command: str, chain: Path, authority: str = "") -> Credentials:
    """Read the certificates of a key that only a command has, and check both before anything is signed.

    Args:
        command: The command, as `SignCommand` takes it. It signs a few bytes now, to show that it has the key.
        chain: PEM file of the certificates, the signing one first.
        authority: URL of a time-stamping authority; empty for none.

    Raises:
        InvalidInput: the certificate cannot sign (CERTIFICATE), or the command does not sign with its key
            (SIGN_COMMAND).
        Unavailable: the command fails (SIGN_COMMAND).
    """
    try:
        certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not a PEM file of certificates"
        raise _wrong(f"{chain} cannot be read: {what}", "Check the file.") from error
    _check(certificates[0], chain)
    _check_chain(certificates, chain)
    algorithm = _algorithm(certificates[0].public_key(), chain)
    signer = SignCommand(command, certificates[0])
    signer.sign(_TRIED)
    return Credentials(b"", chain.read_bytes(), algorithm, authority, command=signer)


def development(folder: Path, authority: str = "") -> Credentials:
    """Return the development certificate of this machine, which is made if there is none or it ends soon.

    Args:
        folder: Folder of the key and the certificates. Only the owner's account can read the key.
        authority: URL of a time-stamping authority; empty for none.
    """
    key, chain = folder / "key.pem", folder / "chain.pem"
    try:
        found = load(key, chain, authority)
        fresh = x509.load_pem_x509_certificate(found.chain).not_valid_after_utc
        if fresh > datetime.now(timezone.utc) + timedelta(days=7):
            return found
    except InvalidInput:
        pass
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    certificates = [_certificate(leaf, root, ca=False), _certificate(root, root, ca=True)]
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # an older file keeps its mode when it is opened
        file.write(_pem(leaf))
    files.write(chain, b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates))
    return load(key, chain, authority)


def roots(folder: Path) -> str:
    """Return the certificates of the development chain as PEM, to verify on this machine; empty if it has none."""
    chain = folder / "chain.pem"
    return chain.read_text() if chain.is_file() else ""


def anchors(path: Path) -> str:
    """Return the certificates of a file as PEM.

    Raises:
        InvalidInput: it is no PEM file of certificates (CERTIFICATE).
    """
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"Expected a PEM file of certificates. {path} is none. Convert it to PEM, or choose another file."
        raise InvalidInput(message, reason="CERTIFICATE", resource=str(path)) from error
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in found).decode()


def _check(certificate: x509.Certificate, chain: Path) -> None:
    now = datetime.now(timezone.utc)
    if certificate.not_valid_after_utc < now:
        raise _wrong(f"the one in {chain} expired on {certificate.not_valid_after_utc:%Y-%m-%d}", "Renew it.")
    if certificate.not_valid_before_utc > now:
        raise _wrong(f"the one in {chain} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} on", "Wait.")
    try:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        usages = {each.dotted_string for each in extension.value}
    except x509.ExtensionNotFound:
        usages = set()
    if _EMAIL not in usages or _ANY in usages:
        advice = "Ask your authority for one with emailProtection."
        raise _wrong(f"the one in {chain} has the extended key usages {', '.join(sorted(usages)) or 'none'}", advice)


def _check_chain(certificates: Sequence[x509.Certificate], chain: Path) -> None:
    """Refuse what the library would refuse at the first file."""
    leaf, advice = certificates[0], "Ask your authority for a certificate that signs C2PA manifests."
    if _is(leaf, x509.BasicConstraints, lambda found: found.ca):
        raise _wrong(f"the first one in {chain} is that of an authority", "Put the certificate of the key first.")
    if not _is(leaf, x509.KeyUsage, lambda found: found.digital_signature):
        raise _wrong(f"the first one in {chain} has no key usage digitalSignature", advice)
    if not _is(leaf, x509.AuthorityKeyIdentifier, lambda _: True):
        raise _wrong(f"the first one in {chain} does not name the key of its authority", advice)
    for certificate, issuer in pairwise(certificates):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError) as error:
            received = f"in {chain}, {certificate.subject.rfc4514_string()} is not followed by its authority"
            raise _wrong(received, "Put each certificate before that of its authority.") from error


def _is(certificate: x509.Certificate, kind: type[E], check: Callable[[E], bool]) -> bool:
    try:
        return check(certificate.extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound:
        return False


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _algorithm(key: PublicKeyTypes, chain: Path) -> bytes:
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return _CURVES[key.curve.name]
        case ed25519.Ed25519PublicKey():
            return b"ed25519"
        case rsa.RSAPublicKey():
            return b"ps256"
    raise _wrong(
        f"the first one in {chain} is that of a key of another kind",
        "Use an elliptic curve P-256, P-384 or P-521, Ed25519, or RSA.",
    )


def _pem(key: PrivateKeyTypes) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _certificate(key: ec.EllipticCurvePrivateKey, root: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
    now = datetime.now(timezone.utc)
    issuer = _name(f"{DEVELOPMENT} (root)")
    usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(issuer if ca else _name(DEVELOPMENT))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
    )
    if not ca:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return made.sign(root, hashes.SHA256())


def _name(text: str) -> x509.Name:
    parts = [(NameOID.ORGANIZATION_NAME, "FaceFoundry"), (NameOID.COMMON_NAME, text)]
    return x509.Name([x509.NameAttribute(*part) for part in parts])


def _wrong(received: str, advice: str) -> InvalidInput:
    return InvalidInput(f"Expected a certificate that can sign: {received}. {advice}", reason="CERTIFICATE")
