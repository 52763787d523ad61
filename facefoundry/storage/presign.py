"""Signs URLs: whoever has one reads or writes one object of the bucket, by plain HTTP and without keys.

A URL is made without a request to the store. It names the address at which clients reach the store, and it is valid
for a limited time. The permissions of the account that signed it apply when it is used. Whatever account signs, a URL
writes nothing but a part of an upload.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from urllib.parse import urlsplit

from minio import Minio

from facefoundry.settings import StoreSettings
from facefoundry.storage.rights import ACCOUNTS

__all__ = ["SignedUrl", "UrlSigner"]


class SignedUrl(NamedTuple):
    """A URL of one object.

    Attributes:
        url: The URL, with its signature.
        expires: When it stops to be valid, UTC, in whole seconds.
    """

    url: str
    expires: datetime


def _now() -> datetime:
    return datetime.now(timezone.utc)


class UrlSigner:
    """Signs URLs of objects in the bucket.

    Args:
        settings: Address for clients, signing account and lifetime; without them, the address and account of the store.
        clock: Returns the time at which a URL is signed, UTC.
    """

    def __init__(self, settings: StoreSettings, clock: Callable[[], datetime] = _now) -> None:
        public = urlsplit(settings.public_endpoint)
        signs = bool(settings.signer_access_key.get_secret_value())
        access_key = settings.signer_access_key if signs else settings.access_key
        secret_key = settings.signer_secret_key if signs else settings.secret_key
        self._client = Minio(
            endpoint=public.netloc or settings.endpoint,
            access_key=access_key.get_secret_value() or None,
            secret_key=secret_key.get_secret_value() or None,
            secure=public.scheme == "https" if public.netloc else settings.secure,
            region=settings.region,
        )
        self._bucket = settings.bucket
        self._lifetime = timedelta(seconds=settings.url_seconds)
        self._clock = clock

    def get(self, key: str) -> SignedUrl:
        """Sign a URL that reads an object by GET, whole or by ranges."""
        return self._sign("GET", key)

    def put(self, key: str) -> SignedUrl:
        """Sign a URL that writes an object by PUT.

        Raises:
            ValueError: it is no part of an upload.
        """
        if not ACCOUNTS["signer"].allow("write", key) or {"", ".", ".."} & set(key.split("/")):
            raise ValueError(f"Expected the key of a part of an upload. Received {key!r}.")
        return self._sign("PUT", key)

    def _sign(self, method: str, key: str) -> SignedUrl:
        now = self._clock().replace(microsecond=0)
        url = self._client.get_presigned_url(method, self._bucket, key, expires=self._lifetime, request_date=now)
        return SignedUrl(url, now + self._lifetime)
