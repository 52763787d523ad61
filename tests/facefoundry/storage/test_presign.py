"""Presigned URLs against a real S3 server, used by plain HTTP."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

import pytest
import urllib3
from pydantic import SecretStr

from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.presign import UrlSigner

http = urllib3.PoolManager(retries=False)
KEY = "uploads/0123/Müller & Söhne 😀.mp4"


def test_a_put_url_writes_the_object_and_a_get_url_reads_it_whole_and_by_ranges(store):
    content = os.urandom(3 << 20)
    signer = UrlSigner(store.settings)
    assert http.request("PUT", signer.put(KEY).url, body=content).status == 200
    assert store.get_bytes(KEY) == content
    url = signer.get(KEY).url
    assert http.request("GET", url).data == content
    part = http.request("GET", url, headers={"Range": "bytes=100-199"})
    assert (part.status, part.data) == (206, content[100:200])


def test_a_url_gives_no_more_than_it_was_signed_for(store):
    signer = UrlSigner(store.settings)
    store.put_bytes(KEY, b"old")
    url = signer.get(KEY).url
    other = url.replace("/uploads/0123/", "/uploads/4567/")
    assert http.request("PUT", url, body=b"new").status == 403
    assert http.request("DELETE", url).status == 403
    assert http.request("PUT", signer.put(KEY).url.replace("/uploads/0123/", "/uploads/4567/"), body=b"x").status == 403
    assert http.request("GET", other).status == 403
    assert list(store.sizes("")) == [(KEY, 3)]


def test_a_url_stops_to_be_valid_when_it_says_so(store):
    store.put_bytes(KEY, b"content")
    settings = store.settings.model_copy(update={"url_seconds": 60})
    now = datetime.now(timezone.utc)
    fresh, old = UrlSigner(settings).get(KEY), UrlSigner(settings, lambda: now - timedelta(seconds=70)).get(KEY)
    assert timedelta(seconds=58) < fresh.expires - now < timedelta(seconds=62)
    assert old.expires < now
    assert http.request("GET", fresh.url).status == 200
    assert http.request("GET", old.url).status == 403


@pytest.mark.parametrize(
    "key",
    [
        "",
        "probe",
        "models/a/1/manifest.json",
        "sources/a/manifest.json",
        "trainings/a/attempt.json",
        "uploads/" + "0" * 40 + ".json",
        "uploads/a/../../models/a/1/manifest.json",
        "uploads//a",
    ],
)
def test_no_url_writes_outside_of_an_upload(key):
    with pytest.raises(ValueError, match=re.escape(f"key of a part of an upload. Received {key!r}")):
        UrlSigner(StoreSettings()).put(key)


@pytest.mark.parametrize(
    ("public", "secure", "scheme", "netloc"),
    [
        ("", False, "http", "store.svc:9000"),
        ("", True, "https", "store.svc:9000"),
        ("https://s3.example.org", False, "https", "s3.example.org"),
        ("http://192.0.2.7:9000", True, "http", "192.0.2.7:9000"),
        ("http://[2001:db8::1]:9000", True, "http", "[2001:db8::1]:9000"),
    ],
)
def test_a_url_names_the_address_at_which_clients_reach_the_store(public, secure, scheme, netloc):
    settings = StoreSettings(endpoint="store.svc:9000", public_endpoint=public, secure=secure)
    url = urlsplit(UrlSigner(settings).get("models/a").url)
    assert (url.scheme, url.netloc) == (scheme, netloc)


def test_the_signing_account_signs_if_there_is_one():
    account = StoreSettings(access_key=SecretStr("service"), secret_key=SecretStr("hidden"))
    signer = account.model_copy(
        update={"signer_access_key": SecretStr("signer"), "signer_secret_key": SecretStr("hidden too")}
    )
    assert "X-Amz-Credential=service%2F" in UrlSigner(account).get("models/a").url
    assert "X-Amz-Credential=signer%2F" in UrlSigner(signer).get("models/a").url


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"public_endpoint": "s3.example.org:443"}, "PUBLIC_ENDPOINT"),
        ({"public_endpoint": "https://s3.example.org/path"}, "PUBLIC_ENDPOINT"),
        ({"public_endpoint": "https://key:secret@s3.example.org"}, "PUBLIC_ENDPOINT"),
        ({"url_seconds": 604_801}, "URL_SECONDS"),
        ({"signer_access_key": SecretStr("signer")}, "SIGNER_SECRET_KEY"),
        ({"signer_secret_key": SecretStr("hidden")}, "SIGNER_SECRET_KEY"),
    ],
)
def test_wrong_settings_are_named(wrong, named):
    with pytest.raises(InvalidInput, match=f"FACEFOUNDRY_STORE_{named}"):
        read(StoreSettings, **wrong)
