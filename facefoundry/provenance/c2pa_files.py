"""Signs and reads single files with the C2PA library. Its errors become those of the command, which name the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from c2pa import Builder, C2paError, C2paSignerInfo, C2paSigningAlg, Context, Reader, Signer

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.errors import DataLoss, FaceFoundryError, Unavailable, Unusable
from facefoundry.provenance import boxes
from facefoundry.provenance.credentials import Credentials
from facefoundry.provenance.manifests import ASSERTION
from facefoundry.provenance.videos import SignedFacts

__all__ = ["SIDECAR", "Found", "Ingredient", "is_signed", "read", "sign"]

SIDECAR: Final = ".c2pa"
"""Suffix of the file beside a video that has its manifest, if the video has none in itself."""

_MP4 = "video/mp4"
_MERKLE_KIB = 16 << 10
"""Files are hashed in parts of 16 MiB; without that the library holds a whole large file in memory."""
_IN_MEMORY_MIB = 16
"""Of larger files the library keeps copies on the disk while it signs; by default it does so above 512 MiB."""
_UNTRUSTED, _EXPIRED = "signingCredential.untrusted", "signingCredential.expired"


@dataclass(frozen=True)
class Ingredient:
    """A signed file that went into a video: its definition, and where it is."""

    definition: JsonObject
    path: Path


@dataclass(frozen=True)
class Found:
    """What the manifest of a file says.

    Attributes:
        state: `Trusted`, `Valid` if nobody trusts who signed, or `Invalid`.
        faults: Codes of what is wrong with the file.
        ingredient_faults: The same of its ingredients, with their titles.
        ingredients: Number of ingredients that are signed files themselves.
        facts: The assertion of this project; None if another program signed it.
        signer: Common name of the certificate that signed; empty if it cannot be read.
    """

    state: str
    faults: list[str]
    ingredient_faults: list[str]
    ingredients: int
    facts: SignedFacts | None
    signer: str = ""

    @property
    def has_expired(self) -> bool:
        """Whether nothing is wrong but that the certificate has expired, and that no time stamp is from before."""
        return self.faults == [_EXPIRED] and all(fault.endswith(_EXPIRED) for fault in self.ingredient_faults)


def sign(
    path: Path,
    definition: JsonObject,
    ingredients: Sequence[Ingredient],
    credentials: Credentials,
    signed: Path,
    *,
    embed: bool = True,
) -> bytes:
    """Write a signed copy of a video, and return its manifest.

    Args:
        path: The video.
        definition: The manifest.
        ingredients: The signed files that went into it.
        credentials: What signs.
        signed: The file to write, which must not be `path`.
        embed: Whether the manifest is in the copy; otherwise the copy has the bytes of the video.

    Raises:
        Unavailable: the time-stamping authority gives no time stamp (TIME_STAMP), or the command that has the key
            fails (SIGN_COMMAND).
        Unusable: the video cannot be signed (SIGNING).
    """
    failures: list[FaceFoundryError] = []
    with _context("") as context:
        builder = Builder(definition, context=context)
        try:
            if not embed:
                builder.set_no_embed()
            for each in ingredients:
                with each.path.open("rb") as file:
                    builder.add_ingredient(each.definition, _MP4, file)
            return bytes(builder.sign_file(str(path), str(signed), _signer(credentials, failures)))
        except C2paError as error:
            if failures:
                raise failures[0] from error
            if credentials.authority and type(error).__name__.endswith("Signature"):
                message = (
                    f"Expected a time stamp from {credentials.authority}. Received none: {error}. Try again later, "
                )
                message += "or choose another authority."
                raise Unavailable(message, reason="TIME_STAMP", resource=str(path)) from error
            message = f"{path} cannot be signed: {error}."
            raise Unusable(message, reason="SIGNING", resource=str(path)) from error


def _signer(credentials: Credentials, failures: list[FaceFoundryError]) -> Signer:
    """Return the library's signer. What a command raises is put into `failures`: the library knows numbers only."""
    command, authority = credentials.command, credentials.authority
    if command is None:
        info = C2paSignerInfo(credentials.algorithm, credentials.chain, credentials.key, authority.encode() or None)
        return Signer.from_info(info)

    def call(data: bytes) -> bytes:
        try:
            return command.sign(data)
        except FaceFoundryError as error:
            failures.append(error)
            return b""

    algorithm = C2paSigningAlg[credentials.algorithm.decode().upper()]
    return Signer.from_callback(call, algorithm, credentials.chain.decode(), authority or None)


def is_signed(path: Path) -> bool:
    """Return whether a video has a manifest, in itself or beside it.

    Raises:
        Unusable: the file is no MP4 file (NOT_MP4).
    """
    return boxes.manifest_of(path) is not None or path.with_suffix(SIDECAR).is_file()


def read(path: Path, anchors: str) -> Found | None:
    """Read and check the manifest of a video, in itself or beside it; None if it has none.

    Args:
        path: The video.
        anchors: PEM certificates of the authorities to trust; empty to judge neither who signed nor whose time stamps
            there are.
    """
    beside = path.with_suffix(SIDECAR)
    sidecar = beside.read_bytes() if beside.is_file() and boxes.manifest_of(path) is None else None
    with _context(anchors) as context, path.open("rb") as file:
        try:
            with Reader(_MP4, file, manifest_data=sidecar, context=context) as reader:
                state, found = str(reader.get_validation_state()), json.loads(reader.json())
                active = reader.get_active_manifest() or {}
        except C2paError as error:
            if type(error).__name__.endswith("ManifestNotFound"):
                return None
            return Found("Invalid", [str(error)], [], 0, None)
    results = found.get("validation_results", {})
    own = [each["code"] for each in results.get("activeManifest", {}).get("failure", [])]
    ingredients = active.get("ingredients", [])
    below = [
        f"{each.get('title', '')} {failure['code']}"
        for each in ingredients
        for failure in each.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    ]
    return Found(
        state,
        [code for code in own if code != _UNTRUSTED],
        [code for code in below if not code.endswith(_UNTRUSTED)],
        sum("active_manifest" in each for each in ingredients),
        _facts(active),
        str((active.get("signature_info") or {}).get("common_name") or ""),
    )


def _facts(active: JsonObject) -> SignedFacts | None:
    assertions = active.get("assertions")
    for each in assertions if isinstance(assertions, list) else []:
        if isinstance(each, dict) and each.get("label") == ASSERTION and isinstance(each.get("data"), dict):
            try:
                return codec.from_json(SignedFacts, json.dumps(each["data"]))
            except DataLoss:
                return None
    return None


@contextmanager
def _context(anchors: str) -> Iterator[Context]:
    core: JsonObject = {
        "merkle_tree_chunk_size_in_kb": _MERKLE_KIB,
        "backing_store_memory_threshold_in_mb": _IN_MEMORY_MIB,
    }
    settings: JsonObject = {"core": core}
    if anchors:
        settings["trust"] = {"trust_anchors": anchors}
    else:
        settings["verify"] = {"verify_timestamp_trust": False}
    yield Context.from_dict(settings)
