"""The S3 client against a real server: what goes in comes out, and every failure is one of ours."""

import hashlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from facefoundry.errors import DataLoss, Denied, NotFound, Unavailable
from facefoundry.local.process import free_ports
from facefoundry.storage.store import Store

DIGEST = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("size", [0, 1, 5 << 20])
def test_bytes_come_back_as_they_were(store, size):
    content = os.urandom(size)
    store.put_bytes("runs/a", content)
    assert store.get_bytes("runs/a") == content


def test_files_come_back_as_they_were_with_their_digest(store, tmp_path):
    content = os.urandom(3 << 20)
    (tmp_path / "in").write_bytes(content)
    store.put_file("runs/a", tmp_path / "in")
    assert store.get_file("runs/a", tmp_path / "out") == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "out").read_bytes() == content


def test_a_file_larger_than_one_part_comes_back_as_it_was(store, tmp_path):
    block = os.urandom(1 << 20)
    with (tmp_path / "in").open("wb") as file:
        for number in range(66):
            file.write(number.to_bytes(4, "big") + block)
    store.put_file("runs/large", tmp_path / "in")
    with (tmp_path / "in").open("rb") as file:
        assert store.get_file("runs/large", tmp_path / "out") == hashlib.file_digest(file, "sha256").hexdigest()


def test_writing_again_replaces(store):
    store.put_bytes("runs/a", b"first and longer")
    store.put_bytes("runs/a", b"second")
    assert store.get_bytes("runs/a") == b"second"


def test_listing_gives_every_key_below_a_prefix_in_order_also_more_than_a_page_of_them(store):
    expected = [f"runs/many/{number:05d}" for number in range(1_030)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put_bytes(key, b""), expected))
    store.put_bytes("runs/manyfold", b"x")
    store.put_bytes("runs/many/deep/er", b"x")
    assert list(store.list("runs/many/")) == [*expected, "runs/many/deep/er"]
    assert list(store.list("runs/many/0102")) == expected[1020:]
    assert list(store.list("runs/none/")) == []


def test_deleted_keys_are_gone_and_deleting_them_again_is_no_error(store):
    for name in ("a", "b", "c"):
        store.put_bytes(f"runs/{name}", b"x")
    store.delete(["runs/a", "runs/b"])
    store.delete(["runs/a"])
    store.delete([])
    assert list(store.list("runs/")) == ["runs/c"]
    assert not store.exists("runs/a")
    assert store.exists("runs/c")


def test_a_key_that_is_not_there_is_not_found_and_named(store, tmp_path):
    for read in (lambda: store.get_bytes("runs/none"), lambda: store.get_file("runs/none", tmp_path / "out")):
        with pytest.raises(NotFound, match="runs/none") as caught:
            read()
        assert (caught.value.reason, caught.value.resource) == ("NO_SUCH_OBJECT", "runs/none")


def test_a_missing_bucket_is_not_found_and_says_which_variable_names_it(store_settings):
    store = Store(store_settings)
    for use in (lambda: store.check(), lambda: store.get_bytes("runs/a"), lambda: store.put_bytes("runs/a", b"")):
        with pytest.raises(NotFound, match="FACEFOUNDRY_STORE_BUCKET") as caught:
            use()
        assert (caught.value.reason, caught.value.resource) == ("NO_SUCH_BUCKET", store_settings.bucket)
    with pytest.raises(NotFound):
        list(store.list("runs/"))


def test_a_bucket_can_be_made_twice(store_settings):
    Store(store_settings).make_bucket()
    Store(store_settings).make_bucket()
    Store(store_settings).check()


@pytest.mark.parametrize(
    "wrong", [{"secret_key": "wrong"}, {"access_key": "wrong"}, {"access_key": "", "secret_key": ""}]
)
def test_wrong_credentials_are_denied_and_name_the_variables(store, wrong):
    update = {name: SecretStr(value) for name, value in wrong.items()}
    stranger = Store(store.settings.model_copy(update=update))
    for use in (
        lambda: stranger.check(),
        lambda: stranger.get_bytes("runs/a"),
        lambda: stranger.put_bytes("runs/a", b""),
        lambda: list(stranger.list("")),
        lambda: stranger.exists("runs/a"),
    ):
        with pytest.raises(Denied, match="FACEFOUNDRY_STORE_SECRET_KEY"):
            use()


def test_a_store_that_is_down_is_unavailable_and_named(store_settings, tmp_path):
    endpoint = f"127.0.0.1:{free_ports(1)[0]}"
    store = Store(store_settings.model_copy(update={"endpoint": endpoint, "attempts": 2}))
    for use in (
        lambda: store.check(),
        lambda: store.get_bytes("runs/a"),
        lambda: store.put_bytes("runs/a", b""),
        lambda: list(store.list("")),
        lambda: store.exists("runs/a"),
        lambda: store.delete(["runs/a"]),
        lambda: store.make_bucket(),
        lambda: store.get_file("runs/a", tmp_path / "a"),
    ):
        with pytest.raises(Unavailable, match=endpoint) as caught:
            use()
        assert caught.value.reason == "STORE_UNAVAILABLE"
        assert caught.value.retry_after_seconds


@pytest.mark.timeout(60)  # without its own timeout the store waits for ever
def test_a_store_that_accepts_but_never_answers_is_unavailable_after_the_timeout(store_settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        update = {"endpoint": endpoint, "attempts": 1, "timeout_seconds": 0.5}
        with pytest.raises(Unavailable):
            Store(store_settings.model_copy(update=update)).get_bytes("runs/a")


class Cutter:
    """A gateway to the store that cuts the first answers short."""

    def __init__(self, target: str, cuts: int, after_bytes: int) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._after = after_bytes
        self.cuts = cuts
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
            left = self._after if self.cuts > 0 else None
            while block := server.recv(65536):
                if left is not None and len(block) > left:
                    self.cuts -= 1
                    client.sendall(block[:left])
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(block)
                left = None if left is None else left - len(block)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while block := client.recv(65536):
                server.sendall(block)
        except OSError:
            return

    def close(self) -> None:
        self._server.close()


@pytest.mark.parametrize("cuts", [2, 99])
def test_an_answer_that_is_cut_is_read_again_and_never_taken_for_the_whole(store, cuts):
    content = os.urandom(1 << 20)
    store.put_bytes("runs/a", content)
    cutter = Cutter(store.settings.endpoint, cuts, after_bytes=300_000)
    try:
        update = {"endpoint": cutter.endpoint, "attempts": 3, "timeout_seconds": 5.0}
        through = Store(store.settings.model_copy(update=update))
        if cuts == 2:
            assert through.get_bytes("runs/a") == content
            assert cutter.cuts == 0
        else:
            with pytest.raises((Unavailable, DataLoss)):
                through.get_bytes("runs/a")
    finally:
        cutter.close()


@pytest.mark.parametrize(("first", "cuts"), [(1_300_000, 99), (300_000, 2), (0, 99)])
def test_blocks_continue_where_a_transfer_was_cut(store, first, cuts):
    content = os.urandom(4 << 20)
    store.put_bytes("runs/a", content)
    cutter = Cutter(store.settings.endpoint, cuts, after_bytes=first)
    update = {"endpoint": cutter.endpoint, "attempts": 3, "timeout_seconds": 5.0}
    through = Store(store.settings.model_copy(update=update))
    try:
        if first:
            assert b"".join(through.blocks("runs/a", len(content))) == content
            assert cutter.cuts in (0, 96)
        else:
            with pytest.raises(Unavailable):
                list(through.blocks("runs/a", len(content)))
    finally:
        cutter.close()


def test_blocks_of_an_object_that_is_shorter_or_longer_than_expected_end_early(store):
    store.put_bytes("runs/a", b"0123456789")
    assert [b"".join(store.blocks("runs/a", size)) for size in (0, 4, 10, 12)] == [
        b"",
        b"0123",
        b"0123456789",
        b"0123456789",
    ]
    with pytest.raises(NotFound):
        list(store.blocks("runs/none", 3))


def test_an_object_has_another_entity_tag_after_its_content_changes(store):
    store.put_bytes("runs/a/b", b"one")
    (first,) = store.objects("runs/a/")
    assert (first.key, first.size) == ("runs/a/b", 3) and store.stat("runs/a/b") == first
    store.put_bytes("runs/a/b", b"two")
    assert store.stat("runs/a/b") != first and store.objects("runs/a/")[0].etag != first.etag
    with pytest.raises(NotFound, match="runs/a/c"):
        store.stat("runs/a/c")


def test_a_folder_is_listed_without_what_is_in_its_folders_and_up_to_a_limit(store):
    for name in ("a/1", "a/2", "a/3", "a/deep/4", "ab"):
        store.put_bytes(name, b"x")
    assert sorted(found.key for found in store.objects("a/", folder=True)) == ["a/1", "a/2", "a/3", "a/deep/"]
    assert [len(store.objects("a/", folder=folder, limit=2)) for folder in (True, False)] == [2, 2]


def test_another_bucket_of_the_server_is_read_with_the_same_account(store, new_store):
    other = new_store()
    other.put_bytes("a", b"elsewhere")
    assert store.in_bucket(other.bucket).get_bytes("a") == b"elsewhere"
    assert not store.exists("a")


def test_threads_share_one_store(store):
    contents = [os.urandom(100_000) for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: store.put_bytes(f"runs/{job[0]:02d}", job[1]), enumerate(contents)))
        assert list(pool.map(store.get_bytes, sorted(store.list("runs/")))) == contents


def test_secrets_do_not_show_in_the_settings_repr(store):
    assert store.settings.secret_key.get_secret_value() not in repr(store.settings)
