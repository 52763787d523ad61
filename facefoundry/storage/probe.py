"""Finds out what an S3 server does where servers differ, with objects of its own below one prefix of the bucket."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from facefoundry.connections import Connections
from facefoundry.errors import Conflict, Denied, FaceFoundryError, NotFound
from facefoundry.storage.conditional import put_if_unchanged
from facefoundry.storage.presign import UrlSigner
from facefoundry.storage.store import Store

__all__ = ["QUESTIONS", "Answer", "probe"]

_PAGE = 1000  # objects in one response of a list
_PART_BYTES = 66 << 20  # more than Store sends at once
_HALF_SECONDS = 2.0
_OLD, _NEW = b"old", b"new"


@dataclass(frozen=True)
class Answer:
    """What a server does.

    Attributes:
        verdict: `ok`: as AWS's documentation says. `differs`: otherwise, and nothing here needs it. `fault`: something
            here needs it.
        text: What it does.
    """

    verdict: Literal["ok", "differs", "fault"]
    text: str

    def __str__(self) -> str:
        """Return both in one line."""
        return self.text if self.verdict == "ok" else f"{self.verdict}: {self.text}"


@dataclass(frozen=True)
class Probed:
    """A server that is asked.

    Attributes:
        store: The bucket.
        prefix: Where the objects of the questions are.
    """

    store: Store
    prefix: str

    def key(self, name: str) -> str:
        """Return the key of an object of its own."""
        return f"{self.prefix}/{name}"

    def put_by_url(self, name: str, body: bytes, headers: dict[str, str]) -> int:
        """Write an object by a signed URL, and return the HTTP status."""
        settings = self.store.settings
        connections = Connections(settings.timeout_seconds, ca_file=settings.ca_file)
        url = UrlSigner(settings).put(self.key(name)).url
        return connections.request("PUT", url, body=body, headers=headers).status

    def content(self, name: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        try:
            return self.store.get_bytes(self.key(name))
        except NotFound:
            return None


def probe(store: Store) -> Iterator[tuple[str, Answer]]:
    """Yield each question with the answer of the server. The objects for this are deleted in the end."""
    probed = Probed(store, f"uploads/probe-{secrets.token_hex(6)}")
    try:
        for question, ask in QUESTIONS.items():
            try:
                yield question, ask(probed)
            except FaceFoundryError as error:
                yield question, Answer("fault", error.message)
    finally:
        with suppress(FaceFoundryError):
            store.delete(store.list(probed.prefix + "/"))


def _objects(probed: Probed) -> Answer:
    """Sizes, digest in the metadata, and an empty object."""
    for name, content in (("empty", b""), ("small", os.urandom(1000))):
        probed.store.put_bytes(probed.key(name), content, metadata={"sha256": hashlib.sha256(content).hexdigest()})
        data, metadata = probed.store.get_with_metadata(probed.key(name))
        if data != content or metadata.get("sha256") != hashlib.sha256(content).hexdigest():
            return Answer("fault", f"an object of {len(content)} bytes comes back changed, or without its metadata")
    return Answer("ok", "ok")


def _parts(probed: Probed) -> Answer:
    with tempfile.TemporaryDirectory() as folder:
        path, back = Path(folder) / "sent", Path(folder) / "received"
        with path.open("wb") as file:
            file.truncate(_PART_BYTES)
            file.write(secrets.token_bytes(32))
        probed.store.put_file(probed.key("large"), path)
        with path.open("rb") as file:
            sent = hashlib.file_digest(file, "sha256").hexdigest()
        received = probed.store.get_file(probed.key("large"), back)
    return Answer("ok", "ok") if sent == received else Answer("fault", "an object sent in parts comes back changed")


def _ranges(probed: Probed) -> Answer:
    probed.store.put_bytes(probed.key("range"), b"0123456789")
    url = UrlSigner(probed.store.settings).get(probed.key("range")).url
    connections = Connections(probed.store.settings.timeout_seconds, ca_file=probed.store.settings.ca_file)
    middle = connections.request("GET", url, headers={"Range": "bytes=3-5"})
    outside = connections.request("GET", url, headers={"Range": "bytes=20-"})
    if (middle.status, middle.data) != (206, b"345"):
        return Answer("fault", f"status {middle.status} for a range")
    return Answer("ok", "ok") if outside.status == 416 else Answer("differs", f"{outside.status} past the end")


def _list(probed: Probed) -> Answer:
    """More than one page of a folder."""
    keys = [probed.key(f"list/{number:05d}") for number in range(_PAGE + 20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: probed.store.put_bytes(key, b""), keys))
    found = list(probed.store.list(probed.key("list/")))
    if sorted(found) != keys:
        return Answer("fault", f"{len(found)} of {len(keys)} keys are listed")
    return Answer("ok", "in alphabetical order") if found == keys else Answer("fault", "in another order")


def _pages(probed: Probed) -> Answer:
    """The same folder, page by page, each from the last key of the one before it on."""
    folder, found = probed.key("list/"), list[str]()
    while page := probed.store.objects(folder, limit=_PAGE // 3, after=found[-1] if found else ""):
        found += [item.key for item in page]
        if len(found) > 2 * _PAGE:
            break
    return Answer("ok", "ok") if found == sorted(probed.store.list(folder)) else Answer("fault", "other keys")


def _folders(probed: Probed) -> Answer:
    """A folder among keys, which sorts in another place than its name."""
    keys = [probed.key(f"mixed/{name}") for name in ("a-b", "a.b", "a/z")]
    for key in keys:
        probed.store.put_bytes(key, b"")
    found = list(probed.store.list(probed.key("mixed/")))
    if sorted(found) != keys:
        return Answer("fault", f"{len(found)} of {len(keys)} keys are listed")
    return Answer("ok", "in alphabetical order") if found == keys else Answer("differs", "folder by folder")


def _delete(probed: Probed) -> Answer:
    """More keys than one request holds, one of which does not exist."""
    found = list(probed.store.list(probed.key("list/")))
    probed.store.delete([*found, probed.key("list/none")])
    left = list(probed.store.list(probed.key("list/")))
    return Answer("fault", f"{len(left)} objects are left") if left else Answer("ok", "ok")


def _below(probed: Probed) -> Answer:
    probed.store.put_bytes(probed.key("below"), b"1")
    try:
        probed.store.put_bytes(probed.key("below/object"), b"2")
    except FaceFoundryError as error:
        return Answer("differs", f"refused, {error.reason}")
    listed = set(probed.store.list(probed.key("below")))
    return Answer("ok", "ok") if len(listed) == 2 else Answer("differs", "stored, and not listed")


def _no_overwrite(probed: Probed) -> Answer:
    probed.store.put_bytes(probed.key("once"), _OLD)
    status = probed.put_by_url("once", _NEW, {"If-None-Match": "*"})
    if probed.content("once") == _NEW:
        return Answer("differs", "ignored, and overwritten")
    return Answer("ok", "412") if status == 412 else Answer("differs", str(status))


def _if_unchanged(probed: Probed) -> Answer:
    probed.store.put_bytes(probed.key("changed"), _OLD)
    try:
        put_if_unchanged(probed.store, probed.key("changed"), _NEW, "0" * 32)
    except Conflict:
        return Answer("ok", "412")
    except Denied as error:
        return Answer("differs", f"refused, {error.reason}")
    return Answer("differs", "ignored, and overwritten")


def _digest(probed: Probed) -> Answer:
    status = probed.put_by_url("digest", b"content", {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    return Answer("ok", "refused") if status == 400 else Answer("differs", f"status {status}")


def _half(probed: Probed) -> Answer:
    """A client that ends in the middle of a body."""
    probed.store.put_bytes(probed.key("half"), _OLD)
    parts = urlsplit(UrlSigner(probed.store.settings).put(probed.key("half")).url)
    if parts.scheme == "https":
        return Answer("ok", "not tried by TLS")
    connection = http.client.HTTPConnection(parts.netloc, timeout=probed.store.settings.timeout_seconds)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", str(8 << 20))
    connection.endheaders(bytes(1 << 20))
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    deadline = time.monotonic() + _HALF_SECONDS
    while time.monotonic() < deadline:  # a server may store it when it notices
        if probed.content("half") != _OLD:
            return Answer("differs", "half is stored, and the old object lost; sizes and digests find it")
        time.sleep(_HALF_SECONDS / 10)
    return Answer("ok", "nothing is stored")


def _region(probed: Probed) -> Answer:
    other = Store(probed.store.settings.model_copy(update={"region": "elsewhere-1", "attempts": 1}))
    try:
        other.check()
    except Denied as error:
        return Answer("ok" if error.reason == "STORE_REGION" else "fault", f"told, {error.reason}")
    return Answer("ok", "accepted")


def _wrong_keys(probed: Probed) -> Answer:
    wrong = SecretStr("a-wrong-secret-key")
    other = Store(probed.store.settings.model_copy(update={"secret_key": wrong, "attempts": 1}))
    try:
        other.check()
    except Denied as error:
        return Answer("ok", f"told, {error.reason}")
    return Answer("fault", "accepted: anyone may read and write the bucket")


def _no_bucket(probed: Probed) -> Answer:
    other = probed.store.in_bucket(f"none-{secrets.token_hex(6)}")
    try:
        other.check()
    except NotFound as error:
        return Answer("ok", f"told, {error.reason}")
    return Answer("fault", "a missing bucket looks like one")


def _no_object(probed: Probed) -> Answer:
    problems = []
    for use in (probed.store.get_bytes, probed.store.stat):
        try:
            use(probed.key("none"))
        except NotFound as error:
            problems += [] if error.reason == "NO_SUCH_OBJECT" else [error.reason]
    return Answer("fault", ", ".join(problems)) if problems else Answer("ok", "told, NO_SUCH_OBJECT")


QUESTIONS: dict[str, Callable[[Probed], Answer]] = {
    "objects with metadata, and an empty one": _objects,
    "an object of 66 MiB, in parts": _parts,
    "ranges; 416 past the end": _ranges,
    f"a list of a folder with {_PAGE + 20:,} keys": _list,
    "the same in pages (start_after)": _pages,
    "a list of keys and a folder": _folders,
    "deletion of as many keys, one missing": _delete,
    "an object below another one's key": _below,
    "If-None-Match: * on an existing key": _no_overwrite,
    "If-Match with another entity tag": _if_unchanged,
    "a wrong Content-MD5": _digest,
    "a client that ends within a PUT": _half,
    "a wrong region": _region,
    "a wrong secret key": _wrong_keys,
    "a missing bucket": _no_bucket,
    "a missing object": _no_object,
}
"""What is asked, in order."""
