"""JSON documents whose digest is in the metadata of their object."""

import hashlib
import json
import math
import tracemalloc
from dataclasses import dataclass, field

import pytest

from facefoundry.codec import JsonObject
from facefoundry.errors import DataLoss, Internal, NotFound
from facefoundry.storage import document
from facefoundry.storage.store import Store

KEY = "trainings/x/status.json"


@dataclass(frozen=True)
class Record:
    name: str = "straße"
    rate: float = 0.1
    losses: list[tuple[int, float]] = field(default_factory=lambda: [(1, 1e-7), (2, 5e-324), (3, 1e300)])
    options: JsonObject = field(default_factory=lambda: {"seed": "18446744073709551615", "none": None, "on": True})


def test_a_document_comes_back_as_it_was(store):
    document.put(store, KEY, document.encode(Record()))
    assert document.get(store, KEY, Record) == Record()


def test_the_digest_is_that_of_the_bytes_and_travels_with_them(store):
    document.put(store, KEY, b'{ "name":"a" }')
    data, metadata = store.get_with_metadata(KEY)
    assert (data, metadata) == (b'{ "name":"a" }', {"sha256": hashlib.sha256(data).hexdigest()})
    assert document.get(store, KEY, Record).name == "a"


def test_a_second_document_replaces_the_first_with_its_digest(store):
    for name in ("first and longer", "second"):
        document.put(store, KEY, document.encode(Record(name)))
    assert document.get(store, KEY, Record) == Record("second")


@pytest.mark.parametrize("metadata", [{}, {"sha256": ""}, {"sha256": "0" * 64}], ids=["none", "empty", "other"])
def test_a_missing_or_wrong_digest_is_data_loss_that_names_the_key(store, metadata):
    store.put_bytes(KEY, document.encode(Record()), metadata=metadata)
    with pytest.raises(DataLoss, match=f"{KEY} is damaged.*SHA-256") as caught:
        document.get(store, KEY, Record)
    assert (caught.value.reason, caught.value.resource) == ("BAD_DOCUMENT", KEY)


class CountingStore(Store):
    """Counts reads."""

    reads = 0

    def get_with_metadata(self, key, max_size=None):
        self.reads += 1
        return super().get_with_metadata(key, max_size)


def test_an_object_too_large_for_a_document_is_refused_before_it_is_read(store):
    data, counting = b" " * (document.MAX_BYTES + 1), CountingStore(store.settings)
    store.put_bytes(KEY, data, metadata={"sha256": hashlib.sha256(data).hexdigest()})
    tracemalloc.start()
    with pytest.raises(DataLoss, match=f"{KEY} is damaged.*at most {document.MAX_BYTES} bytes"):
        document.get(counting, KEY, Record)
    assert tracemalloc.get_traced_memory()[1] < document.MAX_BYTES
    assert counting.reads == 1
    tracemalloc.stop()
    document.put(store, KEY, document.encode(Record()).ljust(document.MAX_BYTES))
    assert document.get(store, KEY, Record) == Record()


def test_no_document_is_written_that_could_not_be_read():
    with pytest.raises(Internal) as caught:
        document.encode(Record(name="a" * document.MAX_BYTES))
    assert caught.value.reason == "DOCUMENT_SIZE"


@pytest.mark.parametrize("place", range(0, 200, 40))
def test_a_flipped_bit_is_data_loss(store, place):
    document.put(store, KEY, document.encode(Record()))
    data, metadata = store.get_with_metadata(KEY)
    changed = bytearray(data)
    changed[place] ^= 1
    store.put_bytes(KEY, bytes(changed), metadata=metadata)
    with pytest.raises(DataLoss, match=KEY):
        document.get(store, KEY, Record)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"null", b'{"name": 3}', b"[" * 200_000])
def test_other_json_is_data_loss_that_names_the_key(store, data):
    document.put(store, KEY, data)
    with pytest.raises(DataLoss, match=KEY) as caught:
        document.get(store, KEY, Record)
    assert (caught.value.reason, caught.value.resource) == ("BAD_DOCUMENT", KEY)


def test_a_missing_document_is_no_damaged_one(store):
    with pytest.raises(NotFound) as caught:
        document.get(store, KEY, Record)
    assert caught.value.reason == "NO_SUCH_OBJECT"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused_by_name(number):
    with pytest.raises(Internal, match=r"Record\.losses\.1\.1") as caught:
        document.encode(Record(losses=[(1, 0.5), (2, number)]))
    assert caught.value.reason == "NUMBER"


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**64 - 1])
def test_integers_that_a_64_bit_float_cannot_hold_are_refused_by_name(number):
    with pytest.raises(Internal, match=r"Record\.options\.seed"):
        document.encode(Record(options={"seed": number}))
    assert json.loads(document.encode(Record(options={"seed": 2**53 - 1})))["options"]["seed"] == 2**53 - 1
