"""Replicas without a free slot: they stay healthy, callers wait, and other replicas are asked."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from facefoundry import recipes
from facefoundry.errors import Busy
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import read
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc, recipe_pb2
from services.extractor.__main__ import build
from services.extractor.settings import ExtractorSettings
from tests.waiting import wait_until

CALLERS = 200


@pytest.fixture(scope="module")
def replicas(store, tmp_path_factory):
    """Two extractors of one slot each."""
    built = []
    for name in ("one", "two"):
        scratch = tmp_path_factory.mktemp(name)
        settings = read(ExtractorSettings, listen="127.0.0.1:0", scratch_dir=scratch, slots=1, drain_seconds=5)
        built.append(build(settings, store))
    yield [(server, f"127.0.0.1:{server.start()}") for server, _ in built]
    for server, runner in built:
        server.stop()
        runner.close()


@pytest.mark.timeout(600)
def test_two_hundred_callers_of_one_slot_are_all_served_and_health_stays_serving(
    replicas, upload_face, client_of, health
):
    server, address = replicas[0]
    source_uri = upload_face(1)
    client = client_of(address)
    over = threading.Event()
    seen = []

    def probe():
        with grpc.insecure_channel(address) as channel:
            while not over.wait(0.05):
                seen.append((health(channel), server.slots.in_use))

    with grpc.insecure_channel(address) as channel, server.slots.take():
        with pytest.raises(grpc.RpcError) as caught:
            extractor_pb2_grpc.ExtractorServiceStub(channel).Inspect(
                extractor_pb2.InspectRequest(source_uri=source_uri), timeout=60
            )
        refusal = from_rpc_error(caught.value, address)
        assert type(refusal) is Busy and refusal.retry_after_seconds
    probing = threading.Thread(target=probe)
    probing.start()
    # Inspect stores nothing, so that each of them has to get the slot.
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda _: client.inspect(source_uri), range(CALLERS)))
    over.set()
    probing.join()
    assert [answer.frame_count for answer in answers] == [1] * CALLERS
    assert {status for status, _ in seen} == {1}
    assert max(in_use for _, in_use in seen) == 1
    assert server.slots.in_use == 0


@pytest.mark.parametrize("full", [0, 1])
def test_with_one_replica_full_the_other_does_the_work(replicas, upload_face, client_of, full):
    client = client_of(",".join(address for _, address in replicas))
    source_uri = upload_face(3 + full)
    recipe = recipe_pb2.Recipe(name="preview")
    recipe.extraction.identity = False
    wait_until(lambda: replicas[full][0].slots.in_use == 0)
    with replicas[full][0].slots.take():
        assert client.extract(source_uri, "033", recipes.resolve(recipe)).face_count == 3 + full


def test_with_one_replica_gone_the_other_does_the_work(replicas, upload_face, client_of, relay_to):
    relay = relay_to(replicas[0][1])
    client = client_of(f"{relay.address},{replicas[1][1]}")
    source_uri = upload_face(1)
    assert client.inspect(source_uri).frame_count == 1
    relay.break_off()
    wait_until(lambda: replicas[0][0].slots.in_use == 0)
    with replicas[0][0].slots.take():
        assert client.inspect(source_uri).frame_count == 1
