"""How the run record is kept and saved."""

from __future__ import annotations

import pytest

from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import Failure, FakeRecord, StageTime
from facefoundry.errors import Unavailable

PAIRS = [Pair("A", "B"), Pair("A", "C"), Pair("D", "E")]


def fill(pair):
    pair.state = "running"
    pair.training.losses = [(1, 0.25, 0.5)]
    pair.fakes = [FakeRecord(pair.id, pair.a, pair.b, labels=[1, 0])]


def test_each_pair_that_began_has_a_file_and_the_others_are_pending(make_recorder, run_folder):
    recorder = make_recorder()
    records = recorder.begin(PAIRS)
    fill(records[1])
    recorder.save(always=True)
    assert sorted(path.name for path in (run_folder.path / "pairs").iterdir()) == ["A_C.json"]
    assert run_folder.load_run().pairs == ["A_B", "A_C", "D_E"]
    assert [pair.state for pair in run_folder.load_pairs()] == ["pending", "running", "pending"]


def test_pairs_that_ended_keep_losses_and_labels_in_their_files_alone(make_recorder, run_folder):
    recorder = make_recorder()
    records = recorder.begin(PAIRS)
    for pair in records:
        fill(pair)
    recorder.end(records[0], None)
    recorder.end(records[1], Failure("train", "COLLAPSED", 'a "word"'))
    recorder.save(always=True)
    saved = list(run_folder.load_pairs())
    assert [pair.state for pair in saved] == ["done", "failed", "running"]
    assert all(pair.training.losses == [(1, 0.25, 0.5)] and pair.fakes[0].labels == [1, 0] for pair in saved)
    assert saved[1].failure == Failure("train", "COLLAPSED", 'a "word"')
    assert not any(pair.training.losses or pair.fakes[0].labels for pair in records[:2])
    assert records[2].training.losses


def test_the_pairs_of_an_earlier_run_are_forgotten(make_recorder, run_folder):
    recorder = make_recorder()
    recorder.end(recorder.begin(PAIRS)[0], None)
    make_recorder().begin(PAIRS)
    assert [pair.state for pair in run_folder.load_pairs()] == ["pending"] * 3


def test_the_time_of_a_stage_counts_for_every_unfinished_pair_it_was_done_for(make_recorder):
    recorder = make_recorder()
    first, second, third = recorder.begin(PAIRS)
    recorder.add_time("A", "extract", 1.23456)
    recorder.end(first, None)
    recorder.add_time("A_C", "train", 2)
    recorder.add_time("C_A", "convert", 3)
    recorder.add_time("A", "transcode", 4)
    recorder.add_time("nobody", "extract", 5)
    assert first.stages == [StageTime("extract A", 1.235)]
    assert [(stage.stage, stage.seconds) for stage in second.stages] == [
        ("extract A", 1.235),
        ("train", 2),
        ("convert C_A", 3),
        ("transcode A", 4),
    ]
    assert third.stages == []


def test_a_run_of_a_few_milliseconds_has_a_duration(make_recorder, clock, run_folder):
    recorder = make_recorder(clock=clock)
    recorder.begin(PAIRS)
    clock.now += 0.0123
    recorder.save(always=True)
    assert run_folder.load_run().seconds == 0.012


@pytest.mark.parametrize(("spent", "wait"), [(0.0, 3.0), (0.1, 3.0), (0.4, 8.0), (5.0, 100.0)])
def test_saves_are_spaced_so_that_they_use_at_most_a_twentieth_of_the_time(make_recorder, clock, spent, wait):
    saves = []

    def on_save():
        saves.append(clock.now)
        clock.now += spent

    recorder = make_recorder(clock=clock, on_save=on_save)
    recorder.save()
    end = clock.now
    recorder.save()
    clock.now = end + wait - 0.01
    recorder.save()
    assert len(saves) == 1
    clock.now = end + wait
    recorder.save_skipped()
    assert len(saves) == 2
    recorder.save(always=True)
    assert len(saves) == 3


def test_the_run_and_the_pairs_that_ended_are_uploaded_once_and_again_where_that_failed(make_recorder, run_folder):
    uploaded: dict[str, list[bytes]] = {}
    broken = True

    def upload(name, data):
        if broken and name.startswith("pairs/"):
            raise Unavailable("The store does not answer.")
        uploaded.setdefault(name, []).append(data)

    recorder = make_recorder(upload=upload)
    records = recorder.begin(PAIRS)
    recorder.end(records[0], None)
    recorder.save(always=True)
    assert set(uploaded) == {"run.json"} and b'"done":0' in uploaded["run.json"][-1], "no pair ends without its file"
    broken = False
    recorder.end(records[1], None)
    recorder.save(always=True)
    recorder.save(always=True)
    assert {name: len(files) for name, files in uploaded.items()} == {
        "run.json": 3,
        "pairs/A_B.json": 1,
        "pairs/A_C.json": 1,
    }
    assert uploaded["pairs/A_B.json"][0] == (run_folder.path / "pairs" / "A_B.json").read_bytes()


def test_a_record_that_cannot_be_saved_is_reported_and_the_run_goes_on(make_recorder, run_folder, events):
    run_folder.path.parent.mkdir(parents=True)
    run_folder.path.write_text("a file in the way")
    recorder = make_recorder()
    recorder.end(recorder.begin(PAIRS)[0], None)
    assert {(event.stage, event.state) for event in events} == {("record", "failed")}
