"""A run saves its newest events in the bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefoundry.client import Client
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.progress import Event
from facefoundry.dataset.run_log import LOG_FILE, RunLog
from facefoundry.dataset.scheduler import Limits
from facefoundry.dataset.transfer import Transfers
from facefoundry.planning.making import Connections, RunPlan, assemble
from facefoundry.planning.stored_run import stored_log
from facefoundry.settings import ChannelSettings, read
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store
from tests import tiny

NAME = "celebs"
KEY = f"{keys.run(NAME)}/{LOG_FILE}"


def make(store: Store, folder: Path) -> None:
    """Run a pair of clips that do not exist."""
    clips = {name: Clip(name, folder / f"{name}.mp4") for name in ("a", "b")}
    plan = RunPlan(tiny.recipe(), clips, [Pair("a", "b")], name=NAME)
    with Client(read(ChannelSettings), retry_seconds=0.0) as client:
        connections = Connections(Transfers(client), store, Limits())
        assemble(plan, FolderOutput(FfppLayout(folder / "out")), connections, lambda _: None, "x").make_pairs()


def pairs_in(store: Store) -> list[tuple[str, str]]:
    """The pairs that ended, as the log in the bucket has them."""
    found = stored_log(store, NAME)
    assert found is not None
    return [(event.item, event.state) for event in found.events if event.stage == "pair"]


def test_the_log_of_a_run_has_the_events_of_all_its_starts(store: Store, tmp_path: Path) -> None:
    assert stored_log(store, NAME) is None
    make(store, tmp_path)
    assert pairs_in(store) == [("a_b", "failed")]
    make(store, tmp_path)
    assert pairs_in(store) == [("a_b", "failed")] * 2


@pytest.mark.parametrize("text", [b"x", b'{"format": "facefoundry.log/9"}'], ids=["damaged", "of a newer version"])
def test_a_log_that_cannot_be_read_is_replaced(store: Store, tmp_path: Path, text: bytes) -> None:
    document.put(store, KEY, text)
    make(store, tmp_path)
    assert pairs_in(store) == [("a_b", "failed")]


def test_the_newest_events_are_a_document_whatever_their_messages_are(store: Store) -> None:
    log = RunLog()
    for number in range(1500):
        log.add(Event(f"pair-{number}", "train", "running", number, 1500))
        log.add(Event(f"pair-{number}", "pair", "failed", message="\U0001f600" * 5000))
    data = document.encode(log.record())
    document.put(store, KEY, data)
    found = stored_log(store, NAME)
    assert found is not None
    assert [event.item for event in found.events] == [f"pair-{number}" for number in range(500, 1500)]
