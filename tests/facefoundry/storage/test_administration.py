"""Rules of deletion that a server does not keep as they were set are deleted at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from facefoundry.errors import Denied
from facefoundry.settings import StoreSettings
from facefoundry.storage.administration import apply_rules
from facefoundry.storage.rights import LIFECYCLE
from facefoundry.storage.store import Store


class Forgetful(HTTPServer):
    """A server that keeps what a pattern leaves of the rules; it deletes them, or refuses to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.forgets = rb"<Filter>.*?</Filter>"
        self.deletes = True
        self.rules = b""
        self.steps: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Forgetful

    def do_PUT(self) -> None:
        assert self.path.endswith("?lifecycle=")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.rules = re.sub(self.server.forgets, b"", body)
        self._answer(200)

    def do_GET(self) -> None:
        missing = b"<Error><Code>NoSuchLifecycleConfiguration</Code></Error>"
        self._answer(200 if self.server.rules else 404, self.server.rules or missing)

    def do_DELETE(self) -> None:
        assert self.path.endswith("?lifecycle=")
        if self.server.deletes:
            self.server.rules = b""
            self._answer(204)
        else:
            self._answer(405, b"<Error><Code>MethodNotAllowed</Code><Message>never</Message></Error>")

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.server.steps.append(self.command)
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Forgetful]:
    with Forgetful() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def forgetful(store_settings: StoreSettings, server: Forgetful) -> Store:
    return Store(store_settings.model_copy(update={"endpoint": f"127.0.0.1:{server.server_port}"}))


def test_a_rule_without_its_prefix_is_deleted_at_once_and_told(forgetful: Store, server: Forgetful) -> None:
    held, problems = apply_rules(forgetful, LIFECYCLE)
    everywhere = [rule for rule in LIFECYCLE if not rule.prefix]
    assert held == everywhere and problems.keys() == {rule.name for rule in LIFECYCLE if rule.prefix}
    assert all("deleted at once" in problem for problem in problems.values())
    assert b"<Expiration>" not in server.rules and b"<Abort" in server.rules
    assert server.steps[:3] == ["PUT", "GET", "DELETE"]


def test_rules_that_cannot_be_read_back_are_deleted_too(forgetful: Store, server: Forgetful) -> None:
    server.forgets = rb"<Prefix>.*?</Prefix>|<Prefix */>"
    assert apply_rules(forgetful, LIFECYCLE)[0] == []
    assert server.rules == b""


def test_a_server_that_keeps_nothing_is_not_asked_to_delete(forgetful: Store, server: Forgetful) -> None:
    server.forgets = rb"(?s).*"
    held, problems = apply_rules(forgetful, LIFECYCLE)
    assert not held and problems.keys() == {rule.name for rule in LIFECYCLE}
    assert "DELETE" not in server.steps


def test_wrong_rules_that_the_server_does_not_delete_end_the_command(forgetful: Store, server: Forgetful) -> None:
    server.deletes = False
    with pytest.raises(Denied, match="at once") as caught:
        apply_rules(forgetful, LIFECYCLE)
    assert (caught.value.reason, caught.value.resource) == ("WRONG_RULES", forgetful.bucket)
    assert server.steps == ["PUT", "GET", "DELETE"]


def test_a_real_server_holds_the_rules_with_their_prefixes(store: Store) -> None:
    assert apply_rules(store, LIFECYCLE) == (list(LIFECYCLE), {})
    found = store.request("lifecycle", lambda client: client.get_bucket_lifecycle(store.bucket))
    assert {rule.rule_id: rule.rule_filter.prefix for rule in found.rules} == {
        rule.name: rule.prefix for rule in LIFECYCLE
    }
