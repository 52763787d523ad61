"""The permissions of each account in the bucket: files/bucket/."""

from __future__ import annotations

import fnmatch
import json

import pytest

from facefoundry.storage import keys
from tests.helm.chart import CHART

BUCKET = "arn:aws:s3:::facefoundry"
FOLDER = CHART / "files/bucket"
ACCOUNTS = ("extractor", "trainer", "worker", "converter", "client", "signer")
# Which classes each account reads, writes and deletes; everything else is refused.
RIGHTS = {
    "extractor": (
        {"sources", "conversions", "extractions", "uploads"},
        {"sources", "extractions", "uploads"},
        {"uploads"},
    ),
    "trainer": (
        {"extractions", "trainings", "models", "imports", "uploads"},
        {"trainings", "imports", "uploads"},
        {"uploads"},
    ),
    "worker": ({"extractions", "trainings", "models"}, {"trainings", "models"}, {"trainings"}),
    "converter": ({"sources", "extractions", "models", "imports", "conversions"}, {"conversions"}, set()),
    "client": (set(keys.CLASSES) - {"uploads"}, {"runs"}, set()),
    # What URLs of the services give: results to read, and uploads to write.
    "signer": ({"sources", "extractions", "models", "imports", "conversions"}, {"uploads"}, set()),
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
    assert _allows(account, "s3:ListBucket", BUCKET) == (account != "signer")
    assert not any(_allows(account, action, f"{BUCKET}/elsewhere/x") for action in ("s3:GetObject", "s3:PutObject"))


def test_urls_give_the_previews_of_a_training_and_nothing_else_of_it():
    training = f"{BUCKET}/trainings/abc"
    assert _allows("signer", "s3:GetObject", f"{training}/previews/0000300-abc.jpg")
    assert not _allows("signer", "s3:GetObject", f"{training}/checkpoints/300/weights.safetensors")


def test_each_account_has_a_policy():
    assert {path.stem for path in FOLDER.glob("*.json")} == {*ACCOUNTS, "lifecycle"}


def test_lifecycle_rules_expire_only_what_can_be_made_again():
    rules = json.loads((FOLDER / "lifecycle.json").read_text())["Rules"]
    expired = {rule["Filter"]["Prefix"] for rule in rules if "Expiration" in rule}
    assert expired == {"trainings/", "uploads/"}
    assert any(rule.get("AbortIncompleteMultipartUpload") for rule in rules)
