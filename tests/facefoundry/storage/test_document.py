"""Small JSON objects with a digest of their own."""

import json
import random

import pytest

from facefoundry.errors import DataLoss
from facefoundry.storage import document

RECORD = {
    "name": "straße",
    "rate": 0.1,
    "losses": [[1, 0.25, 1e-7], [2, float("inf"), 0.5]],
    "empty": None,
    "nested": {},
}


def test_a_record_comes_back_as_it_was_and_can_be_read_by_anybody():
    data = document.to_bytes(RECORD)
    assert document.from_bytes(data) == RECORD
    assert json.loads(data)["name"] == "straße"


def test_tuples_come_back_as_lists():
    assert document.from_bytes(document.to_bytes({"a": ((1, 2), (3,))})) == {"a": [[1, 2], [3]]}


def test_spaces_and_order_may_change():
    record = json.loads(document.to_bytes(RECORD))
    again = json.dumps(dict(reversed(record.items())), separators=(",", ":")).encode()
    assert document.from_bytes(again) == RECORD


def test_no_flipped_bit_gives_another_record():
    data = document.to_bytes(RECORD)
    choice = random.Random(0)
    for _ in range(2000):
        changed = bytearray(data)
        changed[choice.randrange(len(data))] ^= 1 << choice.randrange(8)
        try:
            assert document.from_bytes(bytes(changed)) == RECORD
        except DataLoss:
            continue


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"null", b"3", b'{"a": 1}', b'{"a": 1, "sha256": "0"}'])
def test_what_has_no_digest_or_a_wrong_one_is_data_loss(data):
    with pytest.raises(DataLoss) as caught:
        document.from_bytes(data)
    assert caught.value.reason == "BAD_DOCUMENT"
