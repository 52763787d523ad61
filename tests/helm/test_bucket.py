"""The permissions of each account in the bucket: files/bucket/."""

from __future__ import annotations

import fnmatch
import hashlib
import json

import pytest
import urllib3
from minio import Minio
from pydantic import SecretStr

from facefoundry.errors import Denied
from facefoundry.local.store import Account, ObjectStore
from facefoundry.storage import keys
from facefoundry.storage.server_copy import Copied, copy_object
from facefoundry.storage.store import Store
from tests.helm.chart import CHART

BUCKET = "arn:aws:s3:::facefoundry"
FOLDER = CHART / "files/bucket"
ACCOUNTS = ("extractor", "trainer", "worker", "converter", "client", "signer", "web-page")
# Which classes each account reads, writes and deletes; everything else is refused.
RIGHTS = {
    "extractor": (
        {"clips", "sources", "conversions", "extractions", "uploads", "revoked"},
        {"sources", "extractions", "uploads"},
        {"uploads"},
    ),
    "trainer": (
        {"extractions", "trainings", "signing", "models", "imports", "uploads", "revoked"},
        {"trainings", "signing", "imports", "uploads"},
        {"uploads"},
    ),
    "worker": (
        {"extractions", "trainings", "signing", "models", "imports", "revoked"},
        {"trainings", "models"},
        {"trainings"},
    ),
    "converter": ({"sources", "extractions", "models", "imports", "conversions", "revoked"}, {"conversions"}, set()),
    "client": (set(keys.CLASSES) - {"signing", "uploads"}, {"clips", "runs", "datasets"}, set()),
    # What URLs of the services give: results to read, and uploads to write.
    "signer": ({"sources", "extractions", "models", "imports", "conversions", "revoked"}, {"uploads"}, set()),
    "web-page": ({"runs", "datasets"}, set(), set()),
}


def _allows(account: str, action: str, resource: str) -> bool:
    policy = json.loads((FOLDER / f"{account}.json").read_text())
    assert policy["Version"] == "2012-10-17"
    return any(
        statement["Effect"] == "Allow"
        and action in statement["Action"]
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in policy["Statement"]
    )


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_has_exactly_the_permissions_of_its_component(account):
    for index, action in enumerate(("s3:GetObject", "s3:PutObject", "s3:DeleteObject")):
        allowed = {kind for kind in keys.CLASSES if _allows(account, action, f"{BUCKET}/{kind}/abc/manifest.json")}
        assert allowed == RIGHTS[account][index], action
    announces = _allows(account, "s3:PutObject", f"{BUCKET}/uploads/{'0' * 40}.json")
    assert announces == (account in ("extractor", "trainer")), "no URL writes what was announced of an upload"
    assert _allows(account, "s3:ListBucket", BUCKET) == (account != "signer")
    assert not any(_allows(account, action, f"{BUCKET}/elsewhere/x") for action in ("s3:GetObject", "s3:PutObject"))


def test_urls_give_the_previews_of_a_training_and_nothing_else_of_it():
    training = f"{BUCKET}/trainings/abc"
    assert _allows("signer", "s3:GetObject", f"{training}/previews/0000300-abc.jpg")
    assert not _allows("signer", "s3:GetObject", f"{training}/checkpoints/300/weights.safetensors")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The settings of each account, and of the owner, of a store that enforces the policies."""
    accounts = [Account(name, f"secret of {name}", (FOLDER / f"{name}.json").read_text()) for name in ACCOUNTS]
    with ObjectStore(tmp_path_factory.mktemp("guarded"), accounts=accounts) as owner:
        keys_of = {
            account.access_key: owner.model_copy(
                update={"access_key": SecretStr(account.access_key), "secret_key": SecretStr(account.secret_key)}
            )
            for account in accounts
        }
        yield {"owner": owner, **keys_of}


@pytest.mark.full
@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_store_enforces_the_permissions(guarded, account):
    owner, store = Store(guarded["owner"]), Store(guarded[account].model_copy(update={"attempts": 1}))
    for kind in keys.CLASSES:
        owner.put_bytes(f"{kind}/abc/part", b"content")
    reads, writes, deletes = RIGHTS[account]
    for use, allowed in (
        (lambda kind: store.get_bytes(f"{kind}/abc/part"), reads),
        (lambda kind: store.put_bytes(f"{kind}/abc/part", b"content"), writes),
        (lambda kind: store.delete([f"{kind}/abc/part"]), deletes),
    ):
        for kind in keys.CLASSES:
            if kind in allowed:
                use(kind)
            else:
                with pytest.raises(Denied):
                    use(kind)


@pytest.mark.full
def test_urls_of_the_signer_read_results_and_write_uploads_and_do_no_more(guarded):
    """The URLs are signed without the product, which signs no other ones for writing."""
    owner, account, http = Store(guarded["owner"]), guarded["signer"], urllib3.PoolManager(retries=False)
    pair = (account.access_key.get_secret_value(), account.secret_key.get_secret_value())
    signer = Minio(account.endpoint, *pair, secure=account.secure, region=account.region)
    for kind in keys.CLASSES:
        owner.put_bytes(f"{kind}/abc/part", b"content")
    reads, writes, _ = RIGHTS["signer"]
    for kind in keys.CLASSES:
        read = http.request("GET", signer.presigned_get_object(account.bucket, f"{kind}/abc/part")).status
        written = http.request("PUT", signer.presigned_put_object(account.bucket, f"{kind}/abc/part"), body=b"x").status
        assert (read == 200, written == 200) == (kind in reads, kind in writes), kind
    announced = signer.presigned_put_object(account.bucket, "uploads/abc.json")
    assert http.request("PUT", announced, body=b"{}").status == 403


@pytest.mark.full
def test_a_command_copies_results_to_a_dataset_and_to_no_other_place(guarded):
    owner, store = Store(guarded["owner"]), Store(guarded["client"].model_copy(update={"attempts": 1}))
    for size, part_bytes in ((5, 512 << 20), (6 << 20, 5 << 20)):
        data, key = bytes(size), f"conversions/{'0' * 40}/{size}.mp4"
        owner.put_bytes(key, data)
        source = Copied(store.bucket, key, size, hashlib.sha256(data).hexdigest())
        assert copy_object(store, f"datasets/a/{part_bytes}.mp4", source, part_bytes=part_bytes)
        for kind in set(keys.CLASSES) - {"clips", "datasets", "runs"}:
            with pytest.raises(Denied):
                copy_object(store, f"{kind}/a/{part_bytes}.mp4", source, part_bytes=part_bytes)


def test_each_account_has_a_policy():
    assert {path.stem for path in FOLDER.glob("*.json")} == {*ACCOUNTS, "lifecycle"}


def test_lifecycle_rules_expire_only_what_can_be_made_again():
    rules = json.loads((FOLDER / "lifecycle.json").read_text())["Rules"]
    expired = {rule["Filter"]["Prefix"] for rule in rules if "Expiration" in rule}
    assert expired == {"trainings/", "uploads/"}
    assert any(rule.get("AbortIncompleteMultipartUpload") for rule in rules)
