"""The JSON documents of a bucket, and the schemas that they must follow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, NoReturn

from facefoundry import archive
from facefoundry.storage.store import Store

SCHEMAS = {
    path.stem: json.loads(path.read_text()) for path in (Path(__file__).parents[2] / "docs" / "schemas").glob("*.json")
}
_PART = re.compile(r"(labels|chunk-\d{5})-[0-9a-f]{64}\.(json|tar)")


class Document(NamedTuple):
    """A document: the name of its schema, its key, and its bytes."""

    kind: str
    key: str
    data: bytes


def documents(store: Store) -> Iterator[Document]:
    """Yield every document, and the JSON within the parts of conversions."""
    for key in store.list(""):
        folder, _, name = key.rpartition("/")
        if _PART.fullmatch(name):
            data = store.get_bytes(key)
            if name.startswith("labels"):
                yield Document("labels", key, data)
            else:
                yield Document("chunk", key, archive.unpack(data)["chunk.json"])
        elif name.endswith(".json"):
            kinds = {"outcomes": "outcome", "pairs": "pair", "signing": "signing", "uploads": "upload"}
            kinds |= {"revoked": "tombstone", "statements": "statement"}
            kind = kinds.get(folder.rpartition("/")[2], name.partition(".")[0])
            yield Document(kind, key, store.get_bytes(key))


def check_numbers(data: bytes) -> None:
    """Check that every number of a JSON text is finite, and equal after a round trip through a 64-bit float."""
    json.loads(data, parse_int=_check, parse_float=_check, parse_constant=_refuse)


def _check(text: str) -> None:
    assert Decimal(repr(float(text))) == Decimal(text)


def _refuse(text: str) -> NoReturn:
    raise AssertionError(f"{text} is not JSON")
