"""The bucket's one policy gives each account the rights of its own policy, and no others."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from facefoundry.storage import keys, rights

BUCKET = "clips"


def statements(policy: Any) -> list[Any]:
    return policy["Statement"]


def allowed(statements: list[Any], action: str, resource: str) -> bool:
    return any(
        action in statement["Action"]
        and any(re.fullmatch(re.escape(each).replace(r"\*", ".*"), resource) for each in statement["Resource"])
        for statement in statements
    )


@pytest.mark.parametrize("account", rights.ACCOUNTS)
def test_both_forms_of_a_policy_give_an_account_the_same_rights(account):
    own = statements(rights.policy(account, BUCKET))
    principals = {name: f"key-of-{name}" for name in rights.ACCOUNTS}
    shared = [
        statement
        for statement in statements(rights.bucket_policy(principals, BUCKET))
        if principals[account] in statement["Principal"]["AWS"]
    ]
    arn = f"arn:aws:s3:::{BUCKET}"
    resources = [arn, *(f"{arn}/{kind}/a/{name}" for kind in keys.CLASSES for name in ("x", "previews/x"))]
    actions = {action for statement in own + shared for action in statement["Action"]}
    for action in actions:
        for resource in resources:
            assert allowed(shared, action, resource) == allowed(own, action, resource), (action, resource)


@pytest.mark.parametrize("account", rights.ACCOUNTS)
def test_the_rights_are_what_the_policy_says(account):
    own, uses = statements(rights.policy(account, BUCKET)), {"read": "Get", "write": "Put", "delete": "Delete"}
    for kind in keys.CLASSES:
        for use, verb in uses.items():
            key = f"{kind}/a/previews/x"
            expected = allowed(own, f"s3:{verb}Object", f"arn:aws:s3:::{BUCKET}/{key}")
            assert rights.ACCOUNTS[account].allow(use, key) == expected, (use, key)


def test_the_policy_of_the_bucket_fits_into_an_extended_attribute():
    principals = {name: f"{name:x<20}" for name in rights.ACCOUNTS}
    assert len(json.dumps(rights.bucket_policy(principals, "facefoundry"), separators=(",", ":"))) < 4000
