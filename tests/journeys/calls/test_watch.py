"""Watching a training while the stream is cut, and while the trainer is killed and starts again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from facefoundry.v1 import trainer_pb2
from tests.waiting import wait_until


@pytest.mark.timeout(900)
def test_a_watch_that_is_cut_at_any_message_goes_on_to_the_same_end(trainer, client_of, relay_to, ask):
    service, _ = trainer
    relay = relay_to(service.address)
    watching, stored = client_of(relay.address), client_of(service.address)
    started = stored.start_training(ask(50, iterations=60))
    seen, messages = [], 0
    relay.cut_after(messages)
    for training in watching.watch_training(started.uri):
        seen.append(training)
        if relay.cut:
            messages += 1
            relay.cut_after(messages)
    assert messages > 3, "the training was over before the stream was cut a few times"
    ended = stored.get_training(started.uri)
    assert (ended.state, ended.attempt, ended.iteration) == (trainer_pb2.Training.STATE_SUCCEEDED, 1, 60)
    assert seen[-1] == ended
    iterations = [training.iteration for training in seen]
    assert iterations == sorted(iterations), "no cut shows an older state"
    relay.cut_after(0)
    assert list(watching.watch_training(started.uri)) == [ended]
    assert relay.cut


@pytest.mark.timeout(900)
def test_a_watch_survives_a_killed_trainer_and_the_training_ends_and_stays_listed(trainer, client_of, ask):
    service, _ = trainer
    client = client_of(service.address)
    started = client.start_training(ask(1))
    pool = ThreadPoolExecutor(1)
    watching = pool.submit(lambda: list(client.watch_training(started.uri))[-1])
    stored = client_of(service.address)
    wait_until(lambda: stored.get_training(started.uri).checkpoint_iteration > 2)
    service.kill()
    service.ready().close()
    ended = watching.result(timeout=400)
    assert (ended.state, ended.attempt, ended.iteration) == (trainer_pb2.Training.STATE_SUCCEEDED, 1, 40)
    assert "resumed" in {event["event"] for event in service.events()}
    service.kill()
    service.ready().close()
    assert ended in list(client.list_trainings("set"))
    assert client.start_training(ask(1)) == ended
