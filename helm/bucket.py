"""Writes the policies of the accounts and the rules of the bucket into a folder: `python -m helm.bucket FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from facefoundry.codec import JsonObject
from facefoundry.storage import rights

__all__ = ["BUCKET", "documents"]

BUCKET = "facefoundry"
"""The bucket of the chart's defaults."""


def documents() -> dict[str, JsonObject]:
    """Return the documents by the name of their file."""
    policies = {f"{account}.json": rights.policy(account, BUCKET) for account in rights.ACCOUNTS}
    return {**policies, "lifecycle.json": rights.lifecycle()}


if __name__ == "__main__":
    for name, document in documents().items():
        (Path(sys.argv[1]) / name).write_text(json.dumps(document, indent=2) + "\n")
