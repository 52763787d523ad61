"""The web page of a dataset in a folder: what it answers, and what it refuses."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from facefoundry.cli.main import main
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import Unavailable
from facefoundry.report.page import ONE_PAGE_PAIRS
from facefoundry.report.source import FolderSource
from facefoundry.webpage.app import HEADERS, dataset_app
from facefoundry.webpage.ranges import parse_range
from facefoundry.webpage.watch import Watch
from tests.facefoundry.report.made import Amounts, make
from tests.facefoundry.webpage.serving import ask, serving

VIDEO = "/video/fake/c23/0000_1000"


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> FfppLayout:
    folder = tmp_path_factory.mktemp("web") / "web"
    made = make(folder, Amounts(done=ONE_PAGE_PAIRS, failed=2, running=1, pending=1, samples=2))
    (folder / "secret.json").write_text("secret")
    (folder.parent / "outside.mp4").write_bytes(b"secret")
    made.fake_video("c23", "linked_out").symlink_to(folder.parent / "outside.mp4")
    return made


@pytest.fixture(scope="module")
def watch(layout) -> Watch:
    return Watch(FolderSource(layout))


@pytest.fixture(scope="module")
def address(watch) -> Iterator[str]:
    with serving(dataset_app(watch, ["127.0.0.1"])) as address:
        yield address


def test_all_that_pages_link_to_is_there(address):
    page = ask(address)
    assert page.status == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    pair = ask(address, "/pair/0000_1000")
    assert "Fake 0000_1000" in pair.text and pair.text.count("<video") == 4
    for text, folder in ((page.text, "/"), (pair.text, "/pair/")):
        links = set(re.findall(r"""(?:src|href|poster)="([^"#]+)""", text)) - {"data:,", "../", "./"}
        assert len(links) > 10
        for link in links:
            path = folder + link
            while "/../" in path:
                path = re.sub(r"/[^/]+/\.\./", "/", path, count=1)
            assert ask(address, path).status == 200, path


def test_a_video_comes_whole_and_in_ranges(address, layout):
    data = layout.fake_video("c23", "0000_1000").read_bytes()
    whole = ask(address, VIDEO)
    assert (whole.status, whole.body, whole.headers["content-type"]) == (200, data, "video/mp4")
    part = ask(address, VIDEO, Range="bytes=100-199")
    assert (part.status, part.body) == (206, data[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(data)}"
    last = ask(address, VIDEO, Range="bytes=-7")
    assert (last.status, last.body) == (206, data[-7:])
    beyond = ask(address, VIDEO, Range=f"bytes={len(data)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(data)}")
    head = ask(address, VIDEO, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(data)))
    assert ask(address, VIDEO, "HEAD", Range="bytes=0-9").status == 200, "ranges are those of GET"
    tag = whole.headers["etag"]
    assert ask(address, VIDEO, If_None_Match=tag).status == 304
    assert ask(address, VIDEO, Range="bytes=0-9", If_Range='"old"').status == 200
    assert ask(address, VIDEO, Range="bytes=0-9", If_Range=tag).status == 206


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=10-1000", (10, 100)),
        ("bytes=-200", (0, 100)),
        ("bytes=0-1,5-9", None),
        ("bytes=-", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges_are_read(header, found):
    assert parse_range(header, 100) == found


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=9-3", "bytes=-0"])
def test_ranges_outside_are_refused(header):
    with pytest.raises(ValueError):
        parse_range(header, 100)


@pytest.mark.parametrize(
    "path",
    [
        "/secret.json",
        "/misc/report/run.json",
        "/picture/run.json",
        "/picture/../secret.json",
        "/picture/..%2f..%2fsecret.json",
        "/picture/%2e%2e/%2e%2e/secret.json",
        "/picture//etc/passwd",
        "/picture/0000_1000/..%2f..%2frun.json",
        "/video/fake/c23/..%2f..%2foutside",
        "/video/fake/..%2fmasks/0000_1000",
        "/video/fake/c23/linked_out",
        "/video/masks/c23/0000_1000",
        "/video/fake/c23/0000_1000%00",
        "/video/fake/raw/0000_1000",
        f"/picture/{'a' * 300}/x.jpg",
        f"/picture/0000_1000/{'a' * 300}.jpg",
        f"/video/fake/c23/{'a' * 300}",
        f"/video/fake/c23/{'a' * 240}_{'a' * 240}",
        "/pair/..%2frun",
        "/pair/9999_8888",
        "/static/style.css",
        "//style.css",
    ],
)
def test_nothing_else_of_the_machine_or_the_dataset_is_reached(address, path):
    answer = ask(address, path)
    assert answer.status == 404
    assert b"secret" not in answer.body and b"Traceback" not in answer.body


@pytest.mark.parametrize("path", ["/", VIDEO, "/pair/none", "/style.css", "/healthz", "/nowhere"])
def test_every_answer_has_the_headers_that_guard_it(address, path):
    assert HEADERS.items() <= ask(address, path).headers.items()


def test_the_answer_to_a_fault_has_them_too(watch, monkeypatch):
    def fail(pair: str) -> str:
        raise RuntimeError(pair)

    with serving(dataset_app(watch)) as address, monkeypatch.context() as patch:
        patch.setattr(watch, "pair", fail)
        answer = ask(address, "/pair/0000_1000")
    assert answer.status == 500 and HEADERS.items() <= answer.headers.items() and b"RuntimeError" not in answer.body


def test_nothing_can_be_written_and_no_other_site_can_ask(address):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(address, "/", method).status == 405
    assert ask(address, Host="elsewhere.example").status == 400


def test_a_page_that_did_not_change_is_not_sent_again(address):
    page = ask(address, Accept_Encoding="gzip")
    assert page.headers["content-encoding"] == "gzip" and len(page.body) < 30_000
    assert gzip.decompress(page.body) == ask(address).body
    assert ask(address, If_None_Match=page.headers["etag"], Accept_Encoding="gzip").status == 304
    assert ask(address).headers["etag"] != page.headers["etag"], "other bytes have another tag"


def test_the_page_follows_the_run_and_says_when_it_cannot(tmp_path):
    layout = make(tmp_path / "run", Amounts(done=1, running=1, samples=0, videos=False))
    folder, watch = RunFolder(layout.run_folder()), Watch(FolderSource(layout))
    before = watch.index()
    watch.read()
    assert watch.index() is before
    pair = folder.load_pair("0001_1001")
    pair.state = "done"
    folder.save_pair(pair)
    watch.read()
    assert b"data-refresh" in before.data and b"Finished" not in before.data and b"Finished" in watch.index().data
    splits = layout.filelist().parent / "splits" / "val.json"
    before = watch.index()
    splits.write_text('[["0001", "1001"]]')
    watch.read()
    assert watch.index().data != before.data, "splits are no part of the record"
    (folder.path / "run.json").write_text("[]")
    watch.read()
    page = watch.index().data.decode()
    assert "The record could not be read, so this page is old" in page and "0001_1001" in page


def test_the_page_warns_from_the_day_on_which_rights_end_soon(tmp_path):
    layout = make(tmp_path / "run", Amounts(done=1, samples=0, videos=False))
    folder, days = RunFolder(layout.run_folder()), [date(2026, 1, 1), date(2026, 1, 2)]
    folder.save_run(replace(folder.load_run(), rights_end="2026-02-01"))
    watch = Watch(FolderSource(layout), today=lambda: days[0])
    assert b"expire on" not in watch.index().data
    days.pop(0)
    watch.read()
    assert b"expire on 2026-02-01" in watch.index().data and "expire on 2026-02-01" in (watch.pair("0000_1000") or "")


@pytest.mark.parametrize("record", ['{"seconds": Infinity, ', '{"pairs": ' + "[" * 3000])
def test_a_record_that_is_wrong_in_any_way_ends_nothing(tmp_path, record):
    layout = make(tmp_path / "run", Amounts(done=1, samples=0, videos=False))
    path, watch = layout.run_folder() / "run.json", Watch(FolderSource(layout))
    right = path.read_bytes()
    path.write_bytes(record.encode() + right[1:])
    splits = layout.filelist().parent / "splits" / "train.json"
    splits.write_text("[" * 100_000)
    watch.read()
    assert b"0000_1000" in watch.index().data
    path.write_bytes(right.replace(b'"seconds":', b'"seconds" :', 1))
    watch.read()
    assert b"The record could not be read" not in watch.index().data


def test_a_fault_in_reading_is_told_and_the_next_reading_mends_it(watch, monkeypatch):
    def fail() -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(watch.source, "versions", fail)
        watch.read()
    assert b"so this page is old: can&#39;t start new thread" in watch.index().data
    watch.read()
    assert b"so this page is old" not in watch.index().data


@pytest.mark.parametrize("failing", [("versions", "video"), ("video",)], ids=["at once", "after the record"])
def test_the_page_before_stays_while_the_place_of_the_dataset_does_not_answer(tmp_path, monkeypatch, failing):
    layout = make(tmp_path / "run", Amounts(done=1, running=1, samples=0))
    folder, watch = RunFolder(layout.run_folder()), Watch(FolderSource(layout))
    before = watch.snapshot
    pair = folder.load_pair("0001_1001")
    pair.state = "done"
    folder.save_pair(pair)

    def fail(*_: str) -> None:
        raise Unavailable("The store does not answer.")

    with monkeypatch.context() as patch:
        for name in failing:
            patch.setattr(watch.source, name, fail)
        watch.read()
        page = watch.index().data
        assert b"so this page is old: The store does not answer." in page
        assert b"Running</span>" in page and watch.snapshot is before
    watch.read()
    page = watch.index().data
    assert b"so this page is old" not in page and b"Finished</span>" in page


def test_the_page_answers_to_the_names_that_were_allowed_and_to_those_of_this_machine(layout):
    names = ["--host", "0.0.0.0", "--allow-host", "page.example.org", "--allow-host", "Page"]
    answered = ["localhost", "127.0.0.1:80", "[::1]:8080", "page.example.org:8080", "page"]
    refused = ["elsewhere.example", "example.org", "10.0.0.1", "page.example.org.elsewhere.example"]
    command = [sys.executable, "-m", "facefoundry", "report", str(layout.root), "--serve", "--port", "0", *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = re.findall(r":(\d+)/", process.stdout.readline())[0]
            found = {name: ask(f"http://127.0.0.1:{port}", Host=name).status for name in (*answered, *refused)}
        finally:
            process.terminate()
    assert found == dict.fromkeys(answered, 200) | dict.fromkeys(refused, 400)


@pytest.mark.parametrize("host", ["::1", "127.0.0.2"])
def test_each_address_of_this_machine_answers_to_itself_and_to_no_other_name(layout, host):
    command = [sys.executable, "-m", "facefoundry", "report", str(layout.root), "--serve", "--port", "0"]
    with subprocess.Popen([*command, "--host", host], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.findall(r"http://\S+:\d+", process.stdout.readline())[0]
            assert [ask(address).status, ask(address, Host="elsewhere.example").status] == [200, 400]
        finally:
            process.terminate()


def test_the_command_serves_a_folder_until_it_is_told_to_end(layout):
    command = [sys.executable, "-m", "facefoundry", "report", str(layout.root), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.findall(r"http://127\.0\.0\.1:\d+", line)[0]
        assert ask(address, "/healthz").body == b"ok\n"
        assert "0000_1000" in ask(address).text
        process.terminate()
        assert process.wait(30) in (0, -15)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["report"], "add --serve, or fetch it first"),
        (["report", "s3://bucket/datasets/x/"], "add --serve, or fetch it first"),
        (["report", "NOWHERE", "--serve"], "does not exist. Give the output folder of a dataset run."),
        (["report", "--serve"], "Set FACEFOUNDRY_STORE_ENDPOINT"),
        (["report", "--serve", "--allow-host", "http://page:80"], "without scheme, port and wildcard"),
        (["report", "--serve", "--allow-host", "*"], "Received '*'"),
    ],
)
def test_errors_name_the_way_out(words, sentence, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACEFOUNDRY_STORE_ACCESS_KEY", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_an_address_in_use_is_told(layout, address, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["report", str(layout.root), "--serve", "--port", address.rpartition(":")[2]])
    assert ended.value.code == 2
    assert "Give another --port" in " ".join(capsys.readouterr().err.split())


@pytest.mark.full
def test_a_thousand_pairs_are_answered_at_once(tmp_path: Path):
    layout = make(tmp_path / "thousand", Amounts(done=930, failed=30, running=12, pending=28))
    began = time.process_time()
    watch = Watch(FolderSource(layout))
    first = time.process_time() - began
    folder = RunFolder(layout.run_folder())
    pair = folder.load_pair("0999_1999")
    with serving(dataset_app(watch)) as address:
        times = {}
        for name, path in (("index", "/"), ("pair", "/pair/0000_1000"), ("video", VIDEO)):
            walls = []
            for _ in range(20):
                began = time.perf_counter()
                assert ask(address, path, Accept_Encoding="gzip").status == 200
                walls.append(time.perf_counter() - began)
            times[name] = sorted(walls)
        began = time.process_time()
        folder.save_pair(pair)
        watch.read()
        again = time.process_time() - began
    print(
        f"1,000 pairs: first reading {first:.2f} s of CPU, the next after a change {again:.2f} s; seconds of the clock:"
    )
    for name, walls in times.items():
        print(f"  {name}: median {walls[10]:.3f}, worst of 20 {walls[-1]:.3f}")
    assert max(walls[10] for walls in times.values()) < 1


def test_the_tables_of_the_balance_are_served_where_the_page_links_them(layout, watch, address):
    assert '<a href="balance">' in ask(address).text
    page = ask(address, "/balance")
    assert page.status == 200 and "Median length differs: 12 s in train" in page.text
    found = layout.run_folder() / "balance.json"
    kept = found.read_bytes()
    found.unlink()
    try:
        watch.read()
        assert ask(address, "/balance").status == 404 and '<a href="balance">' not in ask(address).text
    finally:
        found.write_bytes(kept)
        watch.read()
