"""Certificates for tests: an authority, what it signs, and certificates that those who trust it must refuse."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

REFUSED = ("of another authority", "expired", "for another address")
"""Kinds of certificates that a client refuses."""

_HOUR = datetime.timedelta(hours=1)


class Authority:
    """A certificate authority of the test's own.

    Attributes:
        file: Its certificate, PEM.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self._key.public_key(), (), _HOUR)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        file_stem: str | None = None,
        hosts: Sequence[str] = (),
        address: str = "127.0.0.1",
        valid: datetime.timedelta = _HOUR,
    ) -> tuple[Path, Path]:
        """Return certificate and key files.

        Args:
            name: The certificate's common name.
            file_stem: Name of the files without suffix, if not `name`.
            hosts: Names of hosts that it is for.
            address: IP address that it is for.
            valid: How long it is still valid; negative: since when it is not.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(address)), *map(x509.DNSName, hosts)]
        certificate = self._sign(name, key.public_key(), names, valid)
        stem = file_stem or name
        cert_file, key_file = self._folder / f"{stem}.crt", self._folder / f"{stem}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert_file, key_file

    def refused(self, kind: str) -> tuple[Path, Path]:
        """Return certificate and key files of a kind of REFUSED, for a server on 127.0.0.1."""
        if kind == "of another authority":
            return Authority(self._folder, "another-authority").issue("refused")
        if kind == "expired":
            return self.issue("refused", valid=-_HOUR / 2)
        return self.issue("refused", address="127.0.0.2")

    def _sign(
        self,
        name: str,
        public_key: ec.EllipticCurvePublicKey,
        alternatives: Sequence[x509.GeneralName],
        valid: datetime.timedelta,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self._name)]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _HOUR)
            .not_valid_after(now + valid)
            .add_extension(x509.BasicConstraints(ca=not alternatives, path_length=None), critical=True)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256())
