"""The web page of a dataset in a bucket, and of all runs in one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from facefoundry import codec
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.errors import NotFound
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


def test_a_leak_test_after_the_run_is_shown(filled):
    place = DatasetPlace.of("six", filled.settings)
    watch, key = Watch(open_dataset(filled, place)), place.key("misc/report/leaks.json")
    assert b"What gives the fakes away" not in watch.index().data
    filled.put_bytes(key, codec.to_standard_json(leak_report()))
    try:
        watch.read()
        assert b"What gives the fakes away" in watch.index().data
    finally:
        filled.delete([key])


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
