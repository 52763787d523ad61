"""A store with retries repeats requests for a time; without, it fails at the first error."""

from __future__ import annotations

import pytest

from facefoundry.errors import DataLoss, Denied, NotFound, Unavailable
from facefoundry.storage import document
from facefoundry.storage.manifest import Part
from facefoundry.storage.store import Store
from tests.certificates import REFUSED
from tests.faults.proxy import Fault, Proxy, Request
from tests.listener import Listener, answering, cutting, presenting


@pytest.fixture
def proxy(store):
    with Proxy(store.settings.endpoint) as proxy:
        yield proxy


def through(store, proxy, **changes):
    return Store(store.settings.model_copy(update={"endpoint": proxy.endpoint, "attempts": 1, **changes}))


def test_a_store_with_retries_waits_until_its_server_is_back(store, proxy, tmp_path):
    ours = through(store, proxy).with_retries_for(120.0, on_wait=lambda _: proxy.up())
    ours.put_bytes("runs/a", b"content")
    proxy.down()
    assert ours.get_bytes("runs/a") == b"content"
    for use in (
        lambda: ours.put_bytes("runs/b", b"b"),
        lambda: list(ours.list("runs/")),
        lambda: ours.exists("runs/b"),
        lambda: ours.get_file("runs/b", tmp_path / "b"),
        lambda: ours.delete(["runs/b"]),
    ):
        proxy.down()
        use()
    with pytest.raises(NotFound):
        ours.get_bytes("runs/b")


def test_a_wait_is_reported_and_ends(store, proxy):
    reports: list[str] = []
    requests: list[Request] = []

    def refuse(request: Request) -> Fault:
        requests.append(request)
        return Fault(status=503)

    ours = through(store, proxy).with_retries_for(1.0, on_wait=reports.append)
    proxy.rule = refuse
    with pytest.raises(Unavailable):
        ours.get_bytes("runs/a")
    assert len(requests) > 1
    (report,) = reports
    assert "runs/a" in report and "up to 1 s" in report


def test_a_failed_delete_is_tried_again(store, proxy):
    ours = through(store, proxy, attempts=3)
    faults = iter([Fault(status=503), Fault(reset="after")])
    ours.put_bytes("runs/a", b"content")
    proxy.rule = lambda request: next(faults, None)
    ours.delete(["runs/a"])
    assert not store.exists("runs/a")


def test_a_refusal_names_the_code_of_the_store(store, proxy):
    proxy.rule = lambda request: Fault(status=503, code="SlowDown")
    with pytest.raises(Unavailable, match="SlowDown") as caught:
        through(store, proxy, attempts=2).put_bytes("runs/a", b"content")
    assert (caught.value.reason, caught.value.resource) == ("STORE_ERROR", "runs/a")


REFUSALS = [
    (403, "RequestTimeTooSkewed", "STORE_CLOCK", "clocks"),
    (400, "AuthorizationHeaderMalformed", "STORE_REGION", "FACEFOUNDRY_STORE_REGION"),
    (301, "PermanentRedirect", "STORE_REGION", "FACEFOUNDRY_STORE_REGION"),
    (400, "ExpiredToken", "STORE_ACCESS_DENIED", "FACEFOUNDRY_STORE_ACCESS_KEY"),
    (400, "InvalidToken", "STORE_ACCESS_DENIED", "FACEFOUNDRY_STORE_ACCESS_KEY"),
    (405, "MethodNotAllowed", "STORE_UNSUPPORTED", "another server"),
    (501, "NotImplemented", "STORE_UNSUPPORTED", "another server"),
    (400, "EntityTooLarge", "STORE_REFUSED", "64 MiB"),
    (501, "Unheard", "STORE_REFUSED", "Unheard"),
    (418, "Unheard", "STORE_REFUSED", "Unheard"),
]


@pytest.mark.parametrize(("status", "code", "reason", "word"), REFUSALS)
def test_a_refusal_that_stays_is_told_at_once(store, proxy, status, code, reason, word):
    requests: list[Request] = []

    def refuse(request: Request) -> Fault:
        requests.append(request)
        return Fault(status=status, code=code)

    proxy.rule = refuse
    with pytest.raises(Denied, match=word) as caught:
        through(store, proxy, attempts=5).with_retries_for(60.0).put_bytes("runs/a", b"content")
    assert (caught.value.reason, caught.value.resource) == (reason, "runs/a")
    assert len(requests) == 1


def test_a_refusal_without_a_body_is_told_at_once_too(store, proxy):
    requests: list[Request] = []

    def refuse(request: Request) -> Fault:
        requests.append(request)
        return Fault(status=418, code="Unheard")

    proxy.rule = refuse
    ours = through(store, proxy, attempts=5).with_retries_for(60.0)
    with pytest.raises(Denied, match=r"HTTP status 418\): .* FACEFOUNDRY_STORE_ENDPOINT"):
        ours.exists("runs/a")
    assert len(requests) == 1
    with pytest.raises(Denied, match="Unheard"):
        ours.check()


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "RequestTimeout"), (400, "IncompleteBody"), (409, "OperationAborted"), (429, "SlowDown"), (503, "Unheard")],
)
def test_a_refusal_that_passes_is_waited_for(store, proxy, status, code):
    faults = iter([Fault(status=status, code=code)])
    proxy.rule = lambda request: next(faults, None)
    through(store, proxy).with_retries_for(60.0).put_bytes("runs/a", b"content")
    assert store.get_bytes("runs/a") == b"content"


def test_another_clock_is_told_where_a_response_has_no_code(store, proxy):
    proxy.rule = lambda request: Fault(status=403, date="Mon, 06 Jul 2020 10:00:00 GMT")
    with pytest.raises(Denied, match=r"its clock differs by [0-9]+ s") as caught:
        through(store, proxy).exists("runs/a")
    assert caught.value.reason == "STORE_CLOCK"


def test_a_wrong_region_is_told_by_the_check(store, proxy):
    proxy.rule = lambda request: Fault(status=400, code="AuthorizationHeaderMalformed")
    with pytest.raises(Denied, match="FACEFOUNDRY_STORE_REGION") as caught:
        through(store, proxy).check()
    assert (caught.value.reason, "AuthorizationHeaderMalformed" in caught.value.message) == ("STORE_REGION", True)


def test_the_region_that_the_server_names_is_told(store, proxy):
    proxy.rule = lambda request: Fault(status=301, code="PermanentRedirect", region="eu-central-1")
    with pytest.raises(Denied, match=r"the bucket's region is eu-central-1\. Set FACEFOUNDRY_STORE_REGION"):
        through(store, proxy).put_bytes("runs/a", b"content")


def tls_store(store, listener, authority):
    change = {"endpoint": listener.endpoint, "secure": True, "ca_file": authority.file}
    return Store(store.settings.model_copy(update=change))


@pytest.mark.parametrize("kind", REFUSED)
def test_a_certificate_that_is_not_trusted_is_told_at_once(store, authority, kind):
    with Listener(presenting(authority.refused(kind))) as listener:
        with pytest.raises(Denied, match="FACEFOUNDRY_STORE_CA_FILE") as caught:
            tls_store(store, listener, authority).with_retries_for(60.0).check()
        assert (caught.value.reason, caught.value.resource) == ("STORE_CERTIFICATE", listener.endpoint)
    assert "certificate verify failed" in caught.value.message
    assert len(listener.times) <= 2, "the check and the request that says why it failed"


def test_a_store_without_tls_is_told_at_once(store, authority):
    with Listener(answering(400, "text/plain", "no TLS here")) as listener:
        with pytest.raises(Denied, match="FACEFOUNDRY_STORE_SECURE") as caught:
            tls_store(store, listener, authority).with_retries_for(60.0).put_bytes("runs/a", b"content")
        assert (caught.value.reason, caught.value.resource) == ("STORE_TLS", listener.endpoint)
    assert len(listener.times) == 1


def test_a_store_that_goes_away_in_the_handshake_is_no_wrong_certificate(store, authority):
    with Listener(cutting) as listener, pytest.raises(Unavailable, match="does not answer"):
        tls_store(store, listener, authority).put_bytes("runs/a", b"content")


@pytest.mark.parametrize(("status", "word"), [(413, "64 MiB"), (400, "FACEFOUNDRY_STORE_SECURE"), (403, "proxy")])
def test_a_refusal_by_something_else_than_s3_is_told_at_once(store, status, word):
    with Listener(answering(status, "text/html", "<html>No.</html>")) as listener:
        ours = through(store, listener, attempts=5).with_retries_for(60.0)
        with pytest.raises(Denied, match=word) as caught:
            ours.put_bytes("runs/a", b"content")
    assert caught.value.reason == "STORE_REFUSED" and f"HTTP status {status}" in caught.value.message
    assert "<html>" not in caught.value.message and len(listener.times) == 1


def test_a_proxy_whose_store_is_down_is_waited_for(store):
    with (
        Listener(answering(502, "text/html", "<html>Bad gateway</html>")) as listener,
        pytest.raises(Unavailable, match="HTTP status 502"),
    ):
        through(store, listener, attempts=1).put_bytes("runs/a", b"content")


def test_a_full_store_is_an_error_of_its_own(store, proxy):
    proxy.rule = lambda request: Fault(status=507, code="XMinioStorageFull")
    with pytest.raises(Unavailable, match="no space") as caught:
        through(store, proxy).put_bytes("runs/a", b"content")
    assert (caught.value.reason, caught.value.resource) == ("STORE_FULL", "runs/a")


def test_a_document_that_arrives_damaged_is_read_once_more(store, proxy):
    ours, written = through(store, proxy), Part("a", "runs/a", 7, "0" * 64)
    document.put(ours, "runs/a.json", document.encode(written))
    faults = iter([Fault(flip=True)])
    proxy.rule = lambda request: next(faults, None)
    assert document.get(ours, "runs/a.json", Part) == written
    proxy.rule = lambda request: Fault(flip=True)
    with pytest.raises(DataLoss, match=r"runs/a\.json is damaged") as caught:
        document.get(ours, "runs/a.json", Part)
    assert (caught.value.reason, caught.value.resource) == ("BAD_DOCUMENT", "runs/a.json")


def test_a_list_that_cannot_be_read_is_asked_for_again(store, proxy):
    ours = through(store, proxy, attempts=40)
    keys = [f"runs/{number}" for number in range(5)]
    for key in keys:
        ours.put_bytes(key, b"x")
    answers = []

    def rule(request):
        answers.append(request)
        return Fault(flip=True) if len(answers) % 2 else None

    proxy.rule = rule
    for _ in range(20):
        assert len(list(ours.list("runs/"))) <= 5
    assert len(answers) > 20, "some could not be read"
