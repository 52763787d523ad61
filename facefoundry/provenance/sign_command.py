"""A key that is in no file: a command signs with it, such as a client of a hardware module or of a key service."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from facefoundry.errors import InvalidInput, Unavailable

__all__ = ["HASHES", "SignCommand"]

_SECONDS: Final = 60
_SHOWN: Final = 300
HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The hash of signatures by each elliptic curve."""


class SignCommand:
    """Signs by a command, and verifies each signature with the certificate.

    Args:
        text: The command and its arguments, quoted as in a shell; no shell runs it. It gets the bytes on stdin, and
            writes the signature to stdout: ECDSA as DER or as r and s, Ed25519, or RSA as PSS.
        certificate: The certificate of its key.

    Raises:
        InvalidInput: the text is no command (SIGN_COMMAND).
    """

    def __init__(self, text: str, certificate: x509.Certificate) -> None:
        try:
            self._words = shlex.split(text)
        except ValueError as error:
            raise _wrong(f"--sign-command {text!r}, whose quotes have no end") from error
        if not self._words:
            raise _wrong("an empty one")
        self._public = certificate.public_key()

    def sign(self, data: bytes) -> bytes:
        """Return the signature of some bytes, ECDSA as r and s of equal length (IEEE P1363).

        Raises:
            InvalidInput: there is no such command, or the signature is not one of the certificate's key (SIGN_COMMAND).
            Unavailable: the command fails, or takes longer than 60 s (SIGN_COMMAND).
        """
        signature = self._run(data)
        try:
            return _verified(self._public, signature, data)
        except (InvalidSignature, ValueError) as error:
            received = f"{len(signature)} bytes from {self._words[0]}, which its key did not sign so"
            raise _wrong(received) from error

    def _run(self, data: bytes) -> bytes:
        name = self._words[0]
        try:
            done = subprocess.run(self._words, input=data, capture_output=True, timeout=_SECONDS, check=False)
        except OSError as error:
            raise _wrong(f"{name}, which cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            message = f"Expected a signature from {name} within {_SECONDS} s. Received none. Try again later."
            raise Unavailable(message, reason="SIGN_COMMAND") from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()[-_SHOWN:] or "nothing"
            received = f"exit code {done.returncode}, and on stderr: {words}"
            message = f"Expected a signature from {name}. Received {received}. Correct the command, or try again later."
            raise Unavailable(message, reason="SIGN_COMMAND")
        return done.stdout


def _verified(public: object, signature: bytes, data: bytes) -> bytes:
    """Return a signature as C2PA has it, if it is right; raise InvalidSignature or ValueError otherwise."""
    match public:
        case ec.EllipticCurvePublicKey():
            size = (public.key_size + 7) // 8
            r, s = _numbers(signature, size)
            public.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(HASHES[public.curve.name]))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        case ed25519.Ed25519PublicKey():
            public.verify(signature, data)
        case rsa.RSAPublicKey():
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            public.verify(signature, data, pss, hashes.SHA256())
    return signature


def _numbers(signature: bytes, size: int) -> tuple[int, int]:
    """Return r and s of an ECDSA signature, which is DER, or both numbers of `size` bytes."""
    try:
        return utils.decode_dss_signature(signature)
    except ValueError:
        if len(signature) != 2 * size:
            raise
        return int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")


def _wrong(received: str) -> InvalidInput:
    return InvalidInput(
        f"Expected a command that signs what it gets on stdin with the key of the certificate, and writes nothing but "
        f"the signature to stdout: ECDSA with the hash of its curve (P-256 SHA-256, P-384 SHA-384, P-521 SHA-512), "
        f"Ed25519, or RSA-PSS with SHA-256 and 32 bytes of salt. Received {received}.",
        reason="SIGN_COMMAND",
    )
