"""Conditional writes on a real store: nothing is overwritten that its writer has not read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from facefoundry.errors import Conflict
from facefoundry.storage.conditional import put_if_absent, put_if_unchanged
from facefoundry.storage.store import Store

KEY = "trainings/x.json"


def test_an_object_is_written_once(store: Store) -> None:
    def put(number: int) -> bool:
        try:
            return bool(put_if_absent(store, KEY, str(number).encode()))
        except Conflict as error:
            assert error.reason == "OBJECT_EXISTS" and error.resource == KEY
            return False

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(put, range(8)))
    assert written.count(True) == 1
    assert store.get_bytes(KEY) == str(written.index(True)).encode()


def test_an_object_is_replaced_only_by_who_has_read_it(store: Store) -> None:
    first = put_if_absent(store, KEY, b"1")
    assert first == store.stat(KEY).etag
    second = put_if_unchanged(store, KEY, b"2", first)
    with pytest.raises(Conflict) as caught:
        put_if_unchanged(store, KEY, b"3", first)
    assert caught.value.reason == "OBJECT_CHANGED"
    assert store.get_bytes(KEY) == b"2" and store.stat(KEY).etag == second
    with pytest.raises(Conflict):
        put_if_unchanged(store, "trainings/gone.json", b"4", second)
