"""The web page of a dataset in a bucket, and of all runs in one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import pytest
from click.testing import CliRunner

from facefoundry import codec
from facefoundry.checks.balance import BalanceReport
from facefoundry.checks.balance import path_of as balance_path
from facefoundry.checks.leaks import path_of as leaks_path
from facefoundry.checks.saving import save
from facefoundry.cli.check_balance import check_balance
from facefoundry.cli.check_leaks import check_leaks
from facefoundry.dataset import files
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.planning.fetching import fetch
from facefoundry.storage.store import Store
from facefoundry.webpage.app import dataset_app, listing_app
from facefoundry.webpage.bucket_source import open_dataset
from facefoundry.webpage.listing import Listing
from facefoundry.webpage.watch import Watch
from tests.facefoundry.dataset.made_in_bucket import make, name_store, write
from tests.facefoundry.report.made import leak_report
from tests.facefoundry.webpage.serving import ask, serving


@pytest.fixture(scope="module")
def filled(new_store: Callable[[], Store], tmp_path_factory) -> Store:
    """A store with a dataset of three pairs."""
    store = new_store()
    with pytest.MonkeyPatch.context() as patch:
        name_store(patch, store)
        make(write(tmp_path_factory.mktemp("six"), 6), f"s3://{store.bucket}/datasets/six/", store)
    return store


def test_a_dataset_in_a_bucket_is_shown_with_pictures_and_videos(filled):
    watch = Watch(open_dataset(filled, DatasetPlace.of("six", filled.settings)))
    with serving(dataset_app(watch)) as address:
        page = ask(address).text
        pairs = sorted(set(re.findall(r'href="pair/(\w+)"', page)))
        assert len(pairs) == 3
        pair = ask(address, f"/pair/{pairs[0]}").text
        pictures = re.findall(r'src="\.\.(/picture/[^"]+)"', pair)
        assert pictures and all(ask(address, path).body.startswith(b"\xff\xd8\xff") for path in pictures)
        video = re.findall(r'src="\.\.(/video/fake/[^"]+)"', pair)[0]
        level, fake = video.split("/")[-2:]
        data = filled.get_bytes(f"datasets/six/manipulated_sequences/Deepfakes/{level}/videos/{fake}.mp4")
        assert ask(address, video).body == data
        assert ask(address, video, Range="bytes=2-5").body == data[2:6]
        for path in ("/picture/..%2f..%2fmanifest.json", "/video/fake/c40/..%2f..%2fx", "/manifest.json"):
            assert ask(address, path).status == 404


def test_a_run_that_goes_on_is_shown_from_the_record_of_the_run(filled):
    """Until a dataset is finished, only the record below `runs/` says how far it is."""
    store, place = filled, DatasetPlace.of("six", filled.settings)
    ended = f"runs/{Watch(open_dataset(store, place)).snapshot.run.name}/run.json"
    record = store.get_bytes(ended)
    kept = store.get_bytes(place.key("misc/report/run.json"))
    store.delete([place.key("misc/report/run.json")])
    try:
        watch = Watch(open_dataset(store, place))
        assert len(watch.snapshot.pairs) == 3 and watch.snapshot.run.done == 3
        store.put_bytes(ended, record.replace(b'"seconds"', b'"seconds" ', 1))
        watch.read()
        assert watch.snapshot.changed == frozenset(), "only what changed is read again"
    finally:
        store.put_bytes(ended, record)
        store.put_bytes(place.key("misc/report/run.json"), kept)


def test_all_runs_are_listed_and_each_is_below_its_name(filled):
    listing = Listing(filled)
    name = listing.runs()[0].name
    with serving(listing_app(listing)) as address:
        page = ask(address).text
        assert f'<a href="runs/{name}/">{name}</a>' in page and "3 left" not in page
        run = ask(address, f"/runs/{name}/")
        assert run.status == 200 and '<a href="../../">All runs</a>' in run.text
        pair = re.findall(r'href="(pair/\w+)"', run.text)[0]
        assert ask(address, f"/runs/{name}/{pair}").status == 200
        assert ask(address, f"/runs/{name}/style.css").status == 200
        for path in ("/runs/none/", "/runs/..%2fdatasets/", "/runs/six%2f..%2f..%2f/"):
            assert ask(address, path).status in (400, 404), path


def check(layout, *_, **__):
    files.write(leaks_path(layout), codec.to_standard_json(leak_report()))
    return leak_report()


def look(layout, *_, **__):
    report = BalanceReport([], [], ["Median length differs."])
    files.write(balance_path(layout), codec.to_standard_json(report))
    return report


@pytest.mark.parametrize(
    ("command", "checked", "found", "shown"),
    [
        (check_leaks, ("facefoundry.checks.checking.check_leaks", check), "leaks.json", "What gives the fakes away"),
        (check_balance, ("facefoundry.cli.check_balance.check", look), "balance.json", "Median length differs."),
    ],
)
def test_what_a_check_of_a_fetched_dataset_saves_is_shown(
    filled, monkeypatch, tmp_path, command, checked, found, shown
):
    name_store(monkeypatch, filled)
    monkeypatch.setattr(*checked)
    fetch("six", tmp_path / "out", only=["report"])
    place = DatasetPlace.of("six", filled.settings)
    watch, key = Watch(open_dataset(filled, place)), place.key(f"misc/report/{found}")
    assert shown not in watch.index().data.decode()
    try:
        done = CliRunner().invoke(command, [str(tmp_path / "out"), "--save", "six"])
        assert f"Saved at s3://{filled.bucket}/{key}." in done.output
        watch.read()
        assert shown in watch.index().data.decode()
    finally:
        filled.delete([key])


def test_what_was_found_in_another_version_is_not_saved(filled, monkeypatch, tmp_path):
    name_store(monkeypatch, filled)
    fetch("six", tmp_path / "out", only=["report"])
    layout = FfppLayout(tmp_path / "out")
    folder = RunFolder(layout.run_folder())
    folder.save_run(replace(folder.load_run(), dataset_version="0" * 64))
    check(layout)
    with pytest.raises(InvalidInput, match="Fetch the dataset") as caught:
        save(filled.settings, "six", layout, leaks_path(layout))
    assert caught.value.reason == "OUTPUT"


class Opened:
    """Stands for an open run, and counts how often it is read."""

    def __init__(self) -> None:
        self.times = 0

    def read(self) -> None:
        self.times += 1


def test_one_run_does_not_wait_for_the_first_reading_of_another(store):
    began, may_end = threading.Event(), threading.Event()

    def open_run(name: str) -> Watch:
        if name == "slow":
            began.set()
            assert may_end.wait(30)
        return cast(Watch, Opened())

    listing = Listing(store, open_run=open_run)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(listing.watch, "slow")
        try:
            assert began.wait(30)
            quick = pool.submit(listing.watch, "quick").result(30)
            listing.refresh()
        finally:
            may_end.set()
        assert slow.result(30) is listing.watch("slow") and listing.watch("quick") is quick


def test_runs_that_nobody_looks_at_are_not_read_and_few_are_kept(store):
    now, opened = [0.0], dict[str, Opened]()

    def open_run(name: str) -> Watch:
        opened[name] = Opened()
        return cast(Watch, opened[name])

    listing = Listing(store, lambda: now[0], open_run)
    for number in range(20):
        listing.watch(f"run-{number}")
    listing.refresh()
    assert sum(each.times for each in opened.values()) == 16 and opened["run-3"].times == 0
    now[0] = 10_000.0
    listing.refresh()
    assert sum(each.times for each in opened.values()) == 16


def test_a_place_without_a_run_is_not_found(store):
    with pytest.raises(NotFound, match="Check the name"):
        Watch(open_dataset(store, DatasetPlace.of("none", store.settings)))
