"""Copies objects within an object store: the server copies the bytes, and none of them pass through this process.

A copy has the SHA-256 of its bytes in the user metadata `sha256`, as documents have. A copy with the size and the
digest that it should have is not made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from minio import Minio
from minio.commonconfig import REPLACE, CopySource
from minio.datatypes import Part as UploadedPart
from minio.datatypes import parse_copy_object
from minio.error import MinioException
from minio.helpers import DictType
from urllib3.exceptions import HTTPError

from facefoundry.errors import DataLoss, NotFound
from facefoundry.storage.store import Store

__all__ = ["PART_BYTES", "Copied", "copy_object"]

PART_BYTES = 512 << 20
"""Largest size, bytes, that one request copies. S3 allows 5 GiB, but a server may be silent while it copies."""

_DIGEST = "sha256"
_HEADER = f"x-amz-meta-{_DIGEST}"
_MD5_DIGITS = 32
_ENCRYPTION = "x-amz-server-side-encryption"
_CUSTOMER_KEY = "x-amz-server-side-encryption-customer-algorithm"


@dataclass(frozen=True)
class Copied:
    """An object to copy.

    Attributes:
        bucket: Bucket of the object.
        key: Key of the object.
        size: Size of the object, bytes.
        sha256: SHA-256 of its bytes, 64 hex digits.
        content_type: Media type that the copy gets.
    """

    bucket: str
    key: str
    size: int
    sha256: str
    content_type: str = "application/octet-stream"


@dataclass(frozen=True)
class _Found:
    """An object as the server describes it: its size, the digest in its metadata, and the MD5 of its bytes if known."""

    size: int
    sha256: str
    md5: str


def copy_object(target: Store, key: str, source: Copied, *, part_bytes: int = PART_BYTES) -> bool:
    """Copy an object, unless the copy exists; return whether it was copied.

    The copy is verified by its size, by its digest in the metadata, and by its entity tag where that is an MD5 of the
    bytes. The bytes themselves are verified by who reads them.

    Args:
        target: The bucket of the copy. The bucket of the source is on the same server, for the same account.
        key: Key of the copy.
        source: The object.
        part_bytes: Size from which on the object is copied in parts of this size, at least 5 MiB.

    Raises:
        NotFound: there is no such object (NO_SUCH_OBJECT).
        DataLoss: the object or the copy has another size, or the copy has other bytes (WRONG_SIZE, DIGEST_MISMATCH).
        Denied: the account may not read the object, or not write the copy.
        Unavailable: the store does not answer.
    """
    if _stands(target, key, source):
        return False
    found = _look(target.in_bucket(source.bucket), source.key)
    if found.size != source.size:
        raise DataLoss(
            f"Expected {source.size} bytes of the object {source.key!r}. The store has {found.size}. Delete its prefix "
            "and repeat the request.",
            reason="WRONG_SIZE",
            resource=source.key,
        )
    if source.size <= part_bytes:
        target.request(key, lambda client: _copy_whole(client, target.bucket, key, source))
    else:
        target.request(key, lambda client: _copy_parts(client, target.bucket, key, source, part_bytes))
    _verify(target, key, source, found)
    return True


def _stands(store: Store, key: str, source: Copied) -> bool:
    """Return whether the copy exists, by its size and the digest in its metadata."""
    try:
        found = _look(store, key)
    except NotFound as error:
        if error.reason != "NO_SUCH_OBJECT":
            raise
        return False
    return (found.size, found.sha256) == (source.size, source.sha256)


def _look(store: Store, key: str) -> _Found:
    def look(client: Minio) -> _Found:
        found = client.stat_object(bucket_name=store.bucket, object_name=key)
        headers = found.metadata or {}
        return _Found(found.size or 0, headers.get(_HEADER, ""), _md5(found.etag or "", headers))

    return store.request(key, look)


def _verify(store: Store, key: str, source: Copied, found: _Found) -> None:
    made = _look(store, key)
    md5_differs = made.md5 and found.md5 and made.md5 != found.md5
    if (made.size, made.sha256) != (source.size, source.sha256) or md5_differs:
        raise DataLoss(
            f"Expected the copy {key!r} of {source.key!r} to have {source.size} bytes and SHA-256 {source.sha256}. The "
            f"store has {made.size} bytes, digest {made.sha256 or 'none'}, MD5 {made.md5 or 'unknown'}, not "
            f"{found.md5 or 'unknown'}. Copy it again.",
            reason="DIGEST_MISMATCH" if made.size == source.size else "WRONG_SIZE",
            resource=key,
        )


def _md5(tag: str, headers: Mapping[str, str]) -> str:
    """Return the entity tag if it is the MD5 of the bytes, else an empty string.

    That of an object in parts is not, nor that of one encrypted with a key of a key service or of a customer.
    """
    is_keyed = headers.get(_ENCRYPTION, "").startswith("aws:kms") or _CUSTOMER_KEY in headers
    return tag if len(tag) == _MD5_DIGITS and "-" not in tag and not is_keyed else ""


def _copy_whole(client: Minio, bucket: str, key: str, source: Copied) -> None:
    headers: DictType = {
        **CopySource(source.bucket, source.key).gen_copy_headers(),
        "x-amz-metadata-directive": REPLACE,
        _HEADER: source.sha256,
        "Content-Type": source.content_type,
    }
    # The public method has no parameter for the media type, and asks for the size again. A server that starts to answer
    # before it has copied can only report a failure in the body, which then has no entity tag.
    parse_copy_object(client._execute("PUT", bucket, object_name=key, headers=headers))


def _copy_parts(client: Minio, bucket: str, key: str, source: Copied, part_bytes: int) -> None:
    upload = client._create_multipart_upload(bucket, key, {_HEADER: source.sha256, "Content-Type": source.content_type})
    try:
        parts = []
        for number, (first, last) in enumerate(_ranges(source.size, part_bytes), start=1):
            headers: DictType = {
                **CopySource(source.bucket, source.key).gen_copy_headers(),
                "x-amz-copy-source-range": f"bytes={first}-{last}",
            }
            tag, _ = client._upload_part_copy(bucket, key, upload, number, headers)
            parts.append(UploadedPart(number, tag))
        client._complete_multipart_upload(bucket, key, upload, parts)
    except BaseException:
        with suppress(MinioException, HTTPError):  # a rule of the bucket deletes what is left
            client._abort_multipart_upload(bucket, key, upload)
        raise


def _ranges(size: int, part_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last byte of each part."""
    for first in range(0, size, part_bytes):
        yield first, min(first + part_bytes, size) - 1
