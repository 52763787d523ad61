"""One damaged document costs its own training, and nothing that a document holds commands a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from facefoundry import codec
from facefoundry.cli.main import cli
from facefoundry.errors import Unavailable
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.training_store import TrainingStore
from services.trainer.trainings import Trainings
from services.trainer.worker_protocol import Outcome
from tests.services.trainer.documents import attempt_of
from tests.services.trainer.replicas import Replica
from tests.services.trainer.serving import serving

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]
DAMAGED = trainer_pb2.Training.STATE_DAMAGED


def invoke(store: Store, trainings: Trainings, *command: str) -> Result:
    """Run a command with one trainer in place of all three services."""
    with serving(store, trainings) as served:
        places = ["--extractor", served.address, "--trainer", served.address, "--converter", served.address]
        return CliRunner().invoke(cli, [*command, *places], env={"COLUMNS": "400"})


@pytest.mark.parametrize(
    ("damaged", "changes"),
    [
        ("attempt.json", None),
        ("outcomes/1.json", None),
        ("attempt.json", {"created": "yesterday"}),
        ("attempt.json", {"number": 1 << 40}),
        ("attempt.json", {"training": "0" * 40}),
    ],
)
def test_a_damaged_training_is_listed_as_damaged_beside_the_others(
    store: Store, make_replica: MakeReplica, ask: Ask, damaged: str, changes: dict[str, object] | None
) -> None:
    trainings = make_replica("hang").trainings
    first, second, third = (trainings.start(ask(seed=seed, dataset="d")) for seed in range(3))
    key = f"{keys.prefix_of(store.bucket, second.uri, 'trainings')}/{damaged}"
    if changes is None:
        store.put_bytes(key, b"{}")
    else:
        values = {**codec.to_values(attempt_of(store, second)), **changes}
        document.put(store, key, json.dumps(values).encode())

    listed: dict[str, trainer_pb2.Training] = {}
    token = ""
    for _ in range(3):
        page, token = trainings.list("d", 1, token)
        listed |= {training.uri: training for training in page}
    assert set(listed) == {first.uri, second.uri, third.uri} and not token
    assert [training.state == DAMAGED for training in (listed[first.uri], listed[second.uri])] == [False, True]
    assert listed[third.uri].state != DAMAGED
    assert listed[second.uri].failure.reason == "BAD_DOCUMENT"
    assert listed[second.uri].failure.message.startswith(f"{key} is damaged.")

    shown = invoke(store, trainings, "status", "--dataset", "d", "--json")
    states = [training["state"] for training in json.loads(shown.stdout)["trainings"]]
    assert shown.exit_code == 1 and sorted(states).count("STATE_DAMAGED") == 1
    cancelled = invoke(store, trainings, "cancel", "--dataset", "d")
    assert cancelled.exit_code == 0 and cancelled.stdout.count("is cancelled") == 2


def test_texts_from_documents_are_printed_as_they_are(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    trainings = make_replica("hang").trainings
    started = trainings.start(ask())
    message = "an unknown [/tag] and \x1b[31mred\x1b[0m and \u202eright to left"
    TrainingStore(store).save_outcome(attempt_of(store, started), Outcome(1, "FAILED", "WORKER_CRASHED", message))
    shown = invoke(store, trainings, "status")
    assert shown.exception is None or isinstance(shown.exception, SystemExit)
    assert r"an unknown [/tag] and \x1b[31mred\x1b[0m and \u202eright to left" in shown.output
    assert "\x1b" not in shown.output and "\u202e" not in shown.output


def test_the_error_that_ends_a_list_is_shown(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica("hang")
    replica.trainings.start(ask())

    def refuse() -> None:
        replica.backend.before("get", refuse)
        raise Unavailable("The backend does not answer.")

    replica.backend.before("get", refuse)
    shown = invoke(store, replica.trainings, "status")
    assert shown.exit_code == 1 and "Error: The backend does not answer." in shown.output
