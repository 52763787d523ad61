"""What gates drop is no part of a dataset, but why is, in a folder and in a bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from facefoundry import recipes
from facefoundry.client import Client
from facefoundry.dataset.bucket_output import BucketOutput
from facefoundry.dataset.download import download
from facefoundry.dataset.dropped import read_dropped
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.gates import Gate
from facefoundry.dataset.output import FolderOutput, Output
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.progress import Event, OnEvent
from facefoundry.dataset.record import PairRecord, RunRecord
from facefoundry.dataset.scheduler import Limits
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import DataLoss, Unavailable
from facefoundry.planning.making import Connections, RunPlan, assemble
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2
from tests.facefoundry.dataset.fakes import FakeServices

Make = Callable[..., tuple[RunRecord, PairRecord]]

# The services of these tests train to a loss of 0.1 on side B, and of 0.2 on side A.
DROPS_B_A = (Gate(measure="loss", max=0.15, action="drop"),)
FLAGS_B_A = (Gate(measure="loss", max=0.15),)


class Outage(FakeServices):
    """Services of which the extractor does not answer."""

    def extract(self, *_: object) -> extractor_pb2.Extraction:
        raise Unavailable("The extractor does not answer.")


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Make:
    """Makes the pair a_b with gates."""
    clips = {name: Clip(name, tmp_path / f"{name}.mp4") for name in "ab"}
    for name, clip in clips.items():
        clip.path.write_bytes(name.encode())
    recipe = recipes.load("ffpp")
    levels = [level.name for level in recipe.compression.levels]

    def make(
        output: Output,
        gates: Sequence[Gate],
        services: type[FakeServices] = FakeServices,
        on_event: OnEvent = lambda event: None,
    ) -> tuple[RunRecord, PairRecord]:
        transfers = Transfers(cast(Client, services(store, levels)), store.settings)
        plan = RunPlan(recipe, clips, [Pair("a", "b")], name="dropped", gates=gates)
        making = assemble(plan, output, Connections(transfers, None, Limits()), on_event, "")
        (pair,) = making.make_pairs()
        assert (pair.state == "done") == (services is FakeServices), pair.failure
        return making.record, pair

    return make


def dropped_ids(folder: Path) -> list[str]:
    return [fake.id for fake in read_dropped(folder / "misc" / "dropped.json")]


def names_below(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "manipulated_sequences").rglob("*_*.*") if path.suffix in (".mp4", ".json")}


def test_a_dropped_fake_has_no_files_in_a_folder_and_the_folder_says_why(make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run, _ = make(FolderOutput(FfppLayout(out)), DROPS_B_A)
    assert run.gates == list(DROPS_B_A)
    assert names_below(out) == {"a_b"}
    (dropped,) = json.loads((out / "misc" / "dropped.json").read_text())
    assert dropped["id"] == "b_a" and "has a high loss (0.2000, not 0.1500)" in dropped["faults"]
    assert dropped["failed"] == [{"measure": "loss", "value": 0.2, "bar": 0.15, "action": "drop"}]
    assert "A gate left this fake out of the dataset." in (out / "report.html").read_text()


def test_a_run_with_other_gates_takes_what_was_dropped_and_removes_what_is_dropped_now(make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(FolderOutput(FfppLayout(out)), FLAGS_B_A)
    everything = names_below(out)
    assert everything == {"a_b", "b_a"} and not (out / "misc" / "dropped.json").exists()
    make(FolderOutput(FfppLayout(out)), DROPS_B_A)
    assert names_below(out) == {"a_b"}
    make(FolderOutput(FfppLayout(out)), FLAGS_B_A)
    assert names_below(out) == everything and not (out / "misc" / "dropped.json").exists()


def test_the_index_of_a_pair_in_a_bucket_has_the_figures_and_lists_no_file_of_a_dropped_fake(
    make, store: Store, tmp_path: Path
) -> None:
    place = DatasetPlace(store.bucket, "datasets/dropped")
    make(BucketOutput(FfppLayout(tmp_path / "own"), store, place), DROPS_B_A)
    index, _ = place.index(store, "a_b") or pytest.fail("no index")
    assert [(fake.id, fake.dropped) for fake in index.fakes] == [("a_b", False), ("b_a", True)]
    assert index.fakes[0].quality == {"mean_change": 2.5, "loss": 0.1}
    assert [failed.measure for failed in index.fakes[1].failed] == ["loss"]
    fakes = {Path(file.path).stem for file in index.files if file.path.startswith("manipulated_sequences")}
    assert fakes == {"a_b"}
    manifest = place.manifest(store)
    assert manifest and "misc/dropped.json" in {file.path for file in manifest.files}


def test_a_run_that_is_killed_leaves_a_list_that_fits_the_files(make: Make, tmp_path: Path) -> None:
    def kill(event: Event) -> None:
        if event.stage == "pair":
            raise KeyboardInterrupt

    out = tmp_path / "out"
    make(FolderOutput(FfppLayout(out)), FLAGS_B_A)
    with pytest.raises(KeyboardInterrupt):
        make(FolderOutput(FfppLayout(out)), DROPS_B_A, on_event=kill)
    assert names_below(out) == {"a_b"} and dropped_ids(out) == ["b_a"]
    with pytest.raises(KeyboardInterrupt):
        make(FolderOutput(FfppLayout(out)), FLAGS_B_A, on_event=kill)
    assert names_below(out) == {"a_b", "b_a"} and dropped_ids(out) == []


def test_a_pair_that_fails_later_keeps_its_entries_as_it_keeps_its_files(
    make: Make, store: Store, tmp_path: Path
) -> None:
    out, place = tmp_path / "out", DatasetPlace(store.bucket, "datasets/dropped")
    make(FolderOutput(FfppLayout(out)), DROPS_B_A)
    make(FolderOutput(FfppLayout(out)), DROPS_B_A, Outage)
    assert names_below(out) == {"a_b"} and dropped_ids(out) == ["b_a"]

    make(BucketOutput(FfppLayout(tmp_path / "first"), store, place), DROPS_B_A)
    make(BucketOutput(FfppLayout(tmp_path / "second"), store, place), DROPS_B_A, Outage)
    manifest = place.manifest(store)
    assert manifest and [entry.index != "" for entry in manifest.pairs] == [True]
    assert "misc/dropped.json" in {file.path for file in manifest.files}

    make(BucketOutput(FfppLayout(tmp_path / "second"), store, place), FLAGS_B_A)
    manifest = place.manifest(store)
    assert manifest and "misc/dropped.json" not in {file.path for file in manifest.files}


def test_a_fetch_removes_files_of_fakes_that_were_dropped_since_an_earlier_one(
    make: Make, store: Store, tmp_path: Path
) -> None:
    place, out, root = DatasetPlace(store.bucket, "datasets/dropped"), tmp_path / "out", FfppLayout(tmp_path / "own")
    make(BucketOutput(root, store, place), FLAGS_B_A)
    assert download(store, place, out).removed == ()
    (out / "misc" / "notes.txt").write_text("mine")
    assert names_below(out) == {"a_b", "b_a"}
    make(BucketOutput(root, store, place), DROPS_B_A)
    removed = download(store, place, out, only=["labels"]).removed
    assert {Path(path).stem for path in removed} == {"b_a"} and len(removed) > 2
    assert names_below(out) == {"a_b"} and dropped_ids(out) == ["b_a"] and (out / "misc" / "notes.txt").is_file()
    make(BucketOutput(root, store, place), FLAGS_B_A)
    assert download(store, place, out).removed == ()
    assert names_below(out) == {"a_b", "b_a"} and dropped_ids(out) == []


def test_a_list_that_is_damaged_is_named(tmp_path: Path) -> None:
    for text in ("[", "{}", "[1]", '[{"id": 1}]', "1"):
        (tmp_path / "dropped.json").write_text(text)
        with pytest.raises(DataLoss, match=r"dropped\.json"):
            read_dropped(tmp_path / "dropped.json")
