"""What accounts can do on a real store with the policies of this project."""

from __future__ import annotations

import json
import secrets

import pytest
from minio.commonconfig import CopySource
from pydantic import SecretStr

from facefoundry.errors import Denied
from facefoundry.local.store import Account, ObjectStore
from facefoundry.storage import keys, rights
from facefoundry.storage.conditional import put_if_absent
from facefoundry.storage.store import Store

OWN = ("clips", "runs", "datasets")
SERVICES = ("extractor", "trainer", "worker", "converter")
NAME = "a/attempt.json"


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The stores of the owner and of the accounts `client` and `web-page`, with an object in each class of keys."""
    secret, names = secrets.token_hex(16), ("client", "web-page")
    accounts = [Account(name, secret, json.dumps(rights.policy(name, "clips"))) for name in names]
    with ObjectStore(tmp_path_factory.mktemp("store"), bucket="clips", accounts=accounts) as settings:
        owner = Store(settings)
        for kind in keys.CLASSES:
            owner.put_bytes(f"{kind}/{NAME}", b"the service's")
        own = {"secret_key": SecretStr(secret), "attempts": 1}
        yield owner, *(Store(settings.model_copy(update=own | {"access_key": SecretStr(name)})) for name in names)


def attempts(client, key):
    """Every way to write or delete an object."""
    source = CopySource(client.bucket, f"runs/{NAME}")
    yield lambda: client.put_bytes(key, b"planted")
    yield lambda: put_if_absent(client, key + ".new", b"{}")
    yield lambda: client.request(key, lambda s3: s3._create_multipart_upload(client.bucket, key, {}))
    yield lambda: client.request(key, lambda s3: s3.copy_object(client.bucket, key, source))
    yield lambda: client.delete([key])


@pytest.mark.parametrize("kind", [kind for kind in keys.CLASSES if kind not in OWN])
def test_a_client_writes_and_deletes_nothing_that_services_believe(stores, kind):
    owner, client, _ = stores
    key = f"{kind}/{NAME}"
    for attempt in attempts(client, key):
        with pytest.raises(Denied):
            attempt()
    assert [(found, owner.get_bytes(found)) for found in owner.list(f"{kind}/")] == [(key, b"the service's")]


@pytest.mark.parametrize("kind", ["signing", "uploads"])
def test_a_client_reads_neither_signing_keys_nor_uploads(stores, kind):
    _, client, _ = stores
    with pytest.raises(Denied):
        client.get_bytes(f"{kind}/{NAME}")


@pytest.mark.parametrize("kind", OWN)
def test_a_client_writes_clips_and_the_records_of_runs_and_datasets(stores, kind):
    _, client, _ = stores
    client.put_bytes(f"{kind}/mine", b"a")
    assert client.get_bytes(f"{kind}/mine") == b"a"


@pytest.mark.parametrize("kind", keys.CLASSES)
def test_the_web_page_reads_runs_and_datasets_and_writes_and_deletes_nothing(stores, kind):
    owner, _, page = stores
    key = f"{kind}/{NAME}"
    before = owner.get_bytes(key)
    for attempt in attempts(page, key):
        with pytest.raises(Denied):
            attempt()
    assert owner.get_bytes(key) == before and f"{key}.new" not in owner.list(f"{kind}/")
    assert key in page.list(f"{kind}/"), "it lists the bucket, and sees names only"
    if kind in ("runs", "datasets"):
        assert page.get_bytes(key) == before
    else:
        with pytest.raises(Denied):
            page.get_bytes(key)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_can_read_the_records_that_clients_write(service):
    assert not {"runs", "datasets"} & set(rights.ACCOUNTS[service].reads)


def test_who_writes_results_is_the_service_that_makes_them():
    writers = {
        kind: {name for name in SERVICES if rights.ACCOUNTS[name].allow("write", f"{kind}/a")} for kind in keys.CLASSES
    }
    assert {kind: names for kind, names in writers.items() if kind not in OWN} == {
        "sources": {"extractor"},
        "extractions": {"extractor"},
        "conversions": {"converter"},
        "imports": {"trainer"},
        "signing": {"trainer"},
        "models": {"worker"},
        "trainings": {"trainer", "worker"},
        "uploads": {"extractor", "trainer"},
        "revoked": set(),  # the owner's account alone
    }
    assert not any(writers[kind] for kind in OWN)
