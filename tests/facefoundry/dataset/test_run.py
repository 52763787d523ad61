"""How the pairs of a run end, and when their record is saved. The journeys show whole runs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from facefoundry.dataset.gates import Gate
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.run import DatasetRun
from facefoundry.dataset.scheduler import Limits
from facefoundry.errors import Cancelled, DataLoss, Unavailable, Unusable
from facefoundry.v1.common_pb2 import SIDE_A, SIDE_B
from tests.facefoundry.dataset.fakes import FakeStages, extracted

CLIPS = {name: Clip(name, Path(f"{name}.mp4")) for name in "abcdxy"}


@pytest.fixture
def run(make_recorder, events):
    """Runs pairs with stages; returns their records."""

    def run(pairs, stages, recorder=None, **options):
        return DatasetRun(stages, recorder or make_recorder(), events.append, **options).run(pairs, CLIPS)

    return run


def test_both_fakes_of_each_pair_are_made_and_shared_clips_are_worked_on_once(run):
    calls = []

    def extract(clip):
        calls.append(f"extract {clip.id}")
        return extracted(clip.id)

    stages = FakeStages(extract=extract, transcode=lambda sequence: calls.append(f"transcode {sequence.id}"))
    records = run([Pair("a", "b"), Pair("a", "c")], stages)
    assert [[fake.id for fake in pair.fakes] for pair in records] == [["a_b", "b_a"], ["a_c", "c_a"]]
    assert sorted(calls) == [f"{stage} {name}" for stage in ("extract", "transcode") for name in "abc"]


def test_a_run_without_conversion_makes_no_fakes(run):
    (pair,) = run([Pair("a", "b")], FakeStages(convert=lambda *_: pytest.fail("converted")), convert=False)
    assert (pair.state, pair.fakes) == ("done", [])


def test_fakes_are_compared_only_on_request(run):
    compared = []
    stages = FakeStages(compare=lambda fake, *_: compared.append(fake.id))
    run([Pair("a", "b")], stages)
    assert compared == []
    run([Pair("a", "b")], stages, compare=True)
    assert sorted(compared) == ["a_b", "b_a"]


def test_a_failed_pair_is_recorded_with_its_stage_and_the_others_are_done(run, run_folder, events):
    async def train(pair, *_):
        if pair.id == "a_b":
            raise Unusable("The losses are not numbers.", reason="COLLAPSED")
        return "s3://bucket/models/x"

    run([Pair("a", "b"), Pair("c", "d")], FakeStages(train=train))
    failed, done = run_folder.load_pairs()
    assert (failed.failure.stage, failed.failure.reason) == ("train", "COLLAPSED")
    assert done.state == "done"
    ends = {event.item: (event.state, event.message) for event in events if event.stage == "pair"}
    assert ends == {"a_b": ("failed", "COLLAPSED: The losses are not numbers."), "c_d": ("done", "")}


def test_the_same_clip_under_two_names_is_no_pair(run):
    (pair,) = run([Pair("a", "b")], FakeStages(extract=lambda clip: extracted(clip.id, "the same")))
    assert pair.failure.reason == "SAME_CLIP"


def test_a_full_disk_fails_the_pair_with_the_systems_words(run, events):
    (pair,) = run([Pair("a", "b")], FakeStages(extract=lambda clip: Path("/dev/full").write_bytes(b"x")))
    assert (pair.state, pair.failure.stage, pair.failure.reason) == ("failed", "extract", "FILE")
    assert "No space left on device" in pair.failure.message
    assert events[-1].state == "failed" and "No space left" in events[-1].message


def test_an_outage_is_tried_again_by_the_next_pair_and_remembered(make_recorder, events):
    tries = []

    def extract(clip):
        if clip.id == "a":
            tries.append(clip.id)
            if len(tries) == 1:
                raise Unavailable("The extractor does not answer.")
        return extracted(clip.id)

    run = DatasetRun(FakeStages(extract=extract), make_recorder(), events.append)
    run.run([Pair("a", "b")], CLIPS)
    assert run.had_outage
    records = run.run([Pair("a", "c")], CLIPS)
    assert records[0].state == "done" and len(tries) == 2


def test_pairs_that_were_interrupted_wait_for_the_next_run(make_recorder, run_folder):
    started, stopped = threading.Event(), threading.Event()

    async def train(pair, *_):
        if pair.id == "c_d":
            started.set()
            assert await asyncio.to_thread(stopped.wait, 20)
            raise Cancelled("The client was stopped.")
        assert await asyncio.to_thread(started.wait, 20)
        return "s3://bucket/models/x"

    def interrupt(event):
        raise KeyboardInterrupt

    run = DatasetRun(FakeStages(train=train, stop=stopped.set), make_recorder(), interrupt, convert=False)
    with pytest.raises(KeyboardInterrupt):
        run.run([Pair("a", "b"), Pair("c", "d")], CLIPS)
    assert [pair.state for pair in run_folder.load_pairs()] == ["done", "pending"]


def test_a_save_that_came_too_early_is_made_up_for_while_a_long_training_goes_on(make_recorder, run_folder, clock):
    """Two pairs end at once; what they did is saved when time has passed, though nothing else ends."""
    ended, saved = threading.Semaphore(0), threading.Event()

    def on_save():
        if [pair.state for pair in run_folder.load_pairs()] == ["done", "done", "running"]:
            saved.set()

    async def train(pair, *_):
        if pair.id == "x_y":
            assert await asyncio.to_thread(lambda: all(ended.acquire(timeout=20) for _ in range(2)))
            clock.now += 100
            assert await asyncio.to_thread(saved.wait, 20)
        return "s3://bucket/models/x"

    recorder = make_recorder(clock=clock, on_save=on_save)
    run = DatasetRun(FakeStages(train=train), recorder, lambda event: ended.release(), convert=False)
    records = run.run([Pair("a", "b"), Pair("c", "d"), Pair("x", "y")], CLIPS)
    assert [pair.state for pair in records] == ["done"] * 3


def test_clips_of_further_pairs_are_extracted_while_a_pair_trains(run):
    extracting = threading.Event()

    def extract(clip):
        if clip.id == "d":
            extracting.set()
        return extracted(clip.id)

    async def train(pair, *_):
        assert await asyncio.to_thread(extracting.wait, 20)
        return f"s3://bucket/models/{pair.id}"

    stages = FakeStages(extract=extract, train=train)
    records = run([Pair("a", "b"), Pair("c", "d")], stages, limits=Limits(extractions=1, conversions=1))
    assert [pair.state for pair in records] == ["done", "done"]


def test_hundreds_of_trainings_wait_at_once_without_threads(make_recorder):
    waiting, threads, all_wait = [], [], asyncio.Event()

    async def train(pair, *_):
        waiting.append(pair.id)
        if len(waiting) == 200:
            threads.append(threading.active_count())
            all_wait.set()
        await all_wait.wait()
        return f"s3://bucket/models/{pair.id}"

    before = threading.active_count()
    pairs = [Pair(f"a{number}", f"b{number}") for number in range(200)]
    clips = {name: Clip(name, Path(f"{name}.mp4")) for pair in pairs for name in (pair.a, pair.b)}
    run = DatasetRun(FakeStages(train=train), make_recorder(), lambda event: None, convert=False)
    assert {pair.state for pair in run.run(pairs, clips)} == {"done"}
    assert threads[0] - before <= 30


def test_clips_that_cannot_be_extracted_are_named_and_the_others_are_extracted(make_recorder, events):
    done = []

    def extract(clip):
        if clip.id == "b":
            raise Unusable("No frame shows a face.", reason="NO_FACE_FOUND")
        done.append(clip.id)
        return extracted(clip.id)

    run = DatasetRun(FakeStages(extract=extract), make_recorder(), events.append)
    failed = run.extract({name: CLIPS[name] for name in "abc"})
    assert {name: error.reason for name, error in failed.items()} == {"b": "NO_FACE_FOUND"}
    assert sorted(done) == ["a", "c"]


@pytest.mark.parametrize(("swap_model", "fake", "side"), [(False, "x_b", SIDE_A), (True, "x_a", SIDE_B)])
def test_a_clip_gets_the_face_of_the_models_other_side(make_recorder, events, swap_model, fake, side):
    sides = []
    stages = FakeStages(convert=lambda fake, uri, side, *_: sides.append(side))
    run = DatasetRun(stages, make_recorder(), events.append)
    assert run.convert_clip(CLIPS["x"], Path("a_b"), Pair("a", "b"), swap_model=swap_model).id == fake
    assert sides == [side]


GATES = [Gate(measure="mouth", min=0.5, action="retrain"), Gate(measure="identity", min=0.0, action="drop")]


@pytest.fixture
def gated(run, run_folder):
    """Runs the pair a_b by `GATES`, with fakes of given figures; returns its record, and what was taken."""

    def gated(first, second=None, train=None, gates=GATES, **replaced):
        taken, trained = {}, []

        async def train_pair(pair, *_, again=False):
            trained.append(again)
            pair.training.seed = int(again)
            if again and train:
                train()
            return f"s3://bucket/models/{'second' if again else 'first'}"

        def convert(fake, model_uri, *_):
            figures = (second or {}) if model_uri.endswith("second") else first
            if isinstance(figures.get(fake.id), Exception):
                raise figures[fake.id]
            fake.frames, fake.uri = 3, f"{model_uri}/{fake.id}"
            fake.quality = {"mouth_motion": 1.0, "mouth": 0.9, "identity": 0.1} | figures.get(fake.id, {})

        stages = FakeStages(
            train=train_pair,
            convert=convert,
            take=lambda fake, _: taken.update({fake.id: not fake.dropped}),
            fetch_model=lambda pair, uri, given=None: taken.update(model=uri.rpartition("/")[2]),
            **replaced,
        )
        run([Pair("a", "b")], stages, gates=gates)
        (pair,) = run_folder.load_pairs()
        return pair, taken, trained

    return gated


def test_a_pair_whose_fakes_pass_is_trained_once(gated):
    pair, taken, trained = gated({})
    assert (taken, trained) == ({"a_b": True, "b_a": True, "model": "first"}, [False])
    assert pair.retraining is None and not any(fake.failed for fake in pair.fakes)


def test_gates_that_flag_change_nothing_but_the_record(gated):
    pair, taken, trained = gated({"a_b": {"mouth": 0.1}}, gates=[Gate(measure="mouth", min=0.5)])
    assert taken == {"a_b": True, "b_a": True, "model": "first"} and trained == [False]
    assert [failed.measure for failed in pair.fakes[0].failed] == ["mouth"]
    assert "does not follow" in pair.fakes[0].faults[0]


def test_a_fake_that_a_gate_drops_is_left_out_and_the_other_one_is_taken(gated):
    pair, taken, trained = gated({"a_b": {"identity": -0.2}})
    assert taken == {"a_b": False, "b_a": True, "model": "first"} and trained == [False]
    assert (pair.state, [fake.dropped for fake in pair.fakes]) == ("done", [True, False])


def test_a_pair_is_trained_once_more_with_another_seed_and_the_better_one_is_taken(gated):
    pair, taken, trained = gated({"a_b": {"mouth": 0.1}}, {})
    assert (taken, trained) == ({"a_b": True, "b_a": True, "model": "second"}, [False, True])
    assert pair.retraining.replaced and (pair.training.seed, pair.retraining.training.seed) == (1, 0)
    assert pair.retraining.training.model_uri == "s3://bucket/models/first"
    assert [fake.uri for fake in pair.retraining.fakes] == [
        f"s3://bucket/models/first/{name}" for name in ("a_b", "b_a")
    ]
    assert pair.retraining.fakes[0].faults and not pair.fakes[0].faults


def test_the_first_training_stays_if_the_second_is_no_better(gated):
    pair, taken, trained = gated({"a_b": {"mouth": 0.1}}, {"b_a": {"mouth": 0.0}})
    assert (taken["model"], trained) == ("first", [False, True])
    assert not pair.retraining.replaced and pair.retraining.training.seed == 1
    assert pair.fakes[0].faults and not pair.fakes[0].dropped


def test_a_fake_is_dropped_only_after_its_pair_was_trained_twice(gated):
    pair, taken, trained = gated({"a_b": {"mouth": 0.1, "identity": -1}}, {"a_b": {"identity": -1}})
    assert trained == [False, True] and pair.retraining.replaced
    assert taken == {"a_b": False, "b_a": True, "model": "second"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unusable("The losses are not numbers.", reason="COLLAPSED"), "COLLAPSED"),
        (Cancelled("The training was cancelled.", reason="TRAINING_CANCELLED"), "TRAINING_CANCELLED"),
        (DataLoss("A part is damaged.", reason="DAMAGED"), "DAMAGED"),
        (OSError(28, "No space left on device", "x"), "FILE"),
    ],
)
def test_the_first_training_stays_if_the_second_fails(gated, error, reason):
    def fail():
        raise error

    pair, taken, _ = gated({"a_b": {"mouth": 0.1}}, train=fail)
    assert (pair.state, taken["model"]) == ("done", "first")
    assert (pair.retraining.failure.reason, pair.retraining.replaced) == (reason, False)
    assert (pair.training.seed, pair.retraining.training.seed) == (0, 1)
    assert [fake.quality["mouth"] for fake in pair.fakes] == [0.1, 0.9]


def test_the_first_training_stays_if_a_fake_of_the_second_cannot_be_made(gated):
    pair, taken, _ = gated({"a_b": {"mouth": 0.1}}, {"b_a": DataLoss("A part is damaged.", reason="DAMAGED")})
    assert (pair.state, taken["model"], pair.retraining.failure.stage) == ("done", "first", "convert")
    assert [fake.uri for fake in pair.fakes] == [f"s3://bucket/models/first/{name}" for name in ("a_b", "b_a")]


def test_an_outage_during_the_second_training_fails_the_pair_so_that_the_next_run_goes_on(gated):
    def lose():
        raise Unavailable("The trainer does not answer.")

    pair, taken, _ = gated({"a_b": {"mouth": 0.1}}, train=lose)
    assert (pair.state, taken) == ("failed", {})
    assert (pair.training.seed, len(pair.fakes), pair.retraining.training.seed) == (0, 2, 1)


def test_a_run_that_is_stopped_during_a_second_training_takes_nothing(gated):
    stopped = []

    def stop():
        stopped.append(True)
        raise Cancelled("The client was stopped.")

    def raise_if_stopped():
        if stopped:
            raise Cancelled("The client was stopped.")

    pair, taken, _ = gated({"a_b": {"mouth": 0.1}}, train=stop, raise_if_stopped=raise_if_stopped)
    assert (pair.state, pair.failure.reason, taken) == ("failed", "CANCELLED", {})
