"""The embedded store and the stack as real processes: started, shared, killed, started again."""

import json
import os
import socket
import stat
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import facefoundry
from facefoundry.errors import DataLoss, Denied, NotFound, Unavailable, Unusable
from facefoundry.local import ObjectStore, default_folder, local_stack
from facefoundry.local.process import LocalProcess, free_ports
from facefoundry.local.state import LocalFolder, ProcessId, State
from facefoundry.storage.store import Store
from tests.processes import listeners
from tests.waiting import wait_until

REPOSITORY = Path(facefoundry.__file__).parents[1]

SERVICE = '''
"""A service that only answers its health check, and at its end writes an object and then a file."""
import os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from facefoundry.settings import StoreSettings
from facefoundry.process.signals import stop_event
from facefoundry.storage.store import Store

name = os.path.basename(os.path.dirname(__file__))
print(name, "listens at", os.environ["FACEFOUNDRY_LISTEN"], flush=True)
if os.environ.get("BREAK") == name:
    sys.exit("cannot find my weights")
if name == "trainer":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
server = grpc.server(ThreadPoolExecutor(4))
servicer = health.HealthServicer()
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
assert server.add_insecure_port(os.environ["FACEFOUNDRY_LISTEN"])
server.start()
over = stop_event()
over.wait()
if "BREAK" in os.environ:
    sys.exit()
Store(StoreSettings()).put_bytes(f"runs/stopped-{name}", b"")
open(os.path.join(os.environ["FACEFOUNDRY_SCRATCH_DIR"], "stopped"), "w").close()
'''

OWNER = """
import sys, time
from pathlib import Path
from facefoundry.local import local_stack
from facefoundry.storage.store import Store
with local_stack(Path(sys.argv[1]), clone=Path(sys.argv[2])) as stack:
    Store(stack.store).put_bytes("runs/kept", b"kept")
    print("owned" if stack.owned else "joined", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone whose services answer their health checks and nothing else."""
    folder = tmp_path / "clone"
    for name in ("extractor", "trainer", "converter"):
        (folder / "services" / name).mkdir(parents=True)
        (folder / "services" / name / "__init__.py").touch()
        (folder / "services" / name / "__main__.py").write_text(SERVICE)
    (folder / "services" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return folder


@pytest.fixture
def command(tmp_path: Path, clone: Path):
    """Starts other commands that use the stack; all are killed in the end."""
    started: list[subprocess.Popen] = []

    def start(script: str = OWNER) -> subprocess.Popen:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "stack"), str(clone)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def serves(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


# The object store


def test_objects_survive_kill_minus_9_and_a_start_on_other_ports(new_object_store):
    server = new_object_store()
    settings = server.start()
    content = os.urandom(9 << 20)
    Store(settings).put_bytes("runs/big", content)
    Store(settings).put_bytes("runs/small", b"small")
    assert listeners([process.identity.pid for process in server.processes.values()]) == {"127.0.0.1"}
    server.kill()
    again = server.start()
    assert again.endpoint != settings.endpoint
    assert Store(again).get_bytes("runs/big") == content
    assert list(Store(again).list("")) == ["runs/big", "runs/small"]
    identities = [process.identity for process in server.processes.values()]
    server.stop()
    assert not any(identity.alive() for identity in identities)
    for used in (settings, again):
        assert not list(Path("/tmp").glob(f"seaweedfs-*-{used.endpoint.rpartition(':')[2]}.sock"))


def test_no_other_process_takes_the_ports_of_the_volumes_before_they_start(tmp_path):
    server = ObjectStore(tmp_path / "slow")
    server.launch({})
    try:
        for port in server.ports[1::4]:  # of HTTP and of gRPC
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", port)).close()
        server.wait()
        Store(server.settings).check()
    finally:
        server.stop()


def test_what_has_credentials_is_private(new_object_store, tmp_path):
    server = ObjectStore(tmp_path / "private")
    server.launch({})
    server.stop()
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    secret = server.settings.secret_key.get_secret_value()
    assert len(secret) >= 32
    holders = [path for path in server.folder.rglob("*") if path.is_file() and secret in path.read_text("latin-1")]
    assert [path.name for path in holders] == ["s3.json"]
    assert stat.S_IMODE(holders[0].stat().st_mode) == 0o600


def test_other_credentials_are_refused_and_so_is_a_bucket_that_nobody_made(object_store, store):
    stranger = Store(object_store.model_copy(update={"access_key": object_store.secret_key}))
    with pytest.raises(Denied):
        stranger.check()
    missing = Store(object_store.model_copy(update={"bucket": "nobody-made-it"}))
    with pytest.raises(NotFound):
        missing.put_bytes("runs/a", b"a")


def test_a_dozen_buckets_do_not_exhaust_the_volumes(object_store):
    for number in range(12):
        store = Store(object_store.model_copy(update={"bucket": f"many-{number:02d}"}))
        store.make_bucket()
        store.put_bytes("runs/a", b"a" * 5000)
    assert store.get_bytes("runs/a") == b"a" * 5000


def test_a_store_that_cannot_start_says_so_with_the_end_of_its_log(tmp_path):
    server = ObjectStore(tmp_path / "broken")
    (tmp_path / "broken" / "data").mkdir(parents=True)
    (tmp_path / "broken" / "data" / "filerldb2").write_text("this is no folder")
    with pytest.raises(Unavailable, match="filerldb2"):
        server.start()
    assert not server.processes


# Processes and state


def test_ports_that_another_process_will_take_are_left_out():
    left = free_ports(3)
    taken = set(range(1 << 16)) - set(left)
    assert sorted(free_ports(3, chosen=taken)) == sorted(left)


def test_free_ports_are_different_and_free():
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        ports = free_ports(20)
        assert len(set(ports)) == 20
        assert taken.getsockname()[1] not in ports
        for port in ports:
            socket.create_server(("127.0.0.1", port)).close()


def _ended(process: LocalProcess) -> bool:
    return not process.identity.alive()


def test_a_process_that_ended_is_reported_with_its_last_lines(tmp_path):
    command = ["/bin/sh", "-c", "echo first; echo why >&2; exit 3"]
    log = tmp_path / "logs" / "thing.log"
    for _ in range(2):
        process = LocalProcess("thing", command, folder=tmp_path, environment={}, log=log)
        wait_until(partial(_ended, process))
    with pytest.raises(Unavailable, match=r"thing ended with exit code 3[\s\S]*first\n +why"):
        process.check()
    assert (tmp_path / "logs" / "thing.log.1").read_text() == "first\nwhy\n"


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path):
    script = "trap '' TERM; echo ready; while :; do sleep 60; done"
    process = LocalProcess("deaf", ["/bin/sh", "-c", script], folder=tmp_path, environment={}, log=tmp_path / "log")
    wait_until(lambda: "ready" in process.log_tail())
    assert not process.stop(0.1)
    assert not process.identity.alive()


def test_a_pid_that_belongs_to_another_process_now_is_not_alive():
    mine = ProcessId.of(os.getpid())
    assert mine.alive()
    assert not ProcessId(mine.pid, mine.created - 60).alive()
    assert not ProcessId(2**22 + 1, mine.created).alive()


def test_the_state_file_is_private_and_comes_back_as_it_was(tmp_path):
    place = LocalFolder(tmp_path / "stack")
    state = State(run="word", owner=ProcessId(1, 2.5), processes={"a": ProcessId(3, 4.5)}, store={"secret_key": "s"})
    place.write(state)
    path = tmp_path / "stack" / "state.json"
    assert place.read() == state
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret_key" not in repr(state)
    path.write_text('{"format": "something else"}')
    with pytest.raises(DataLoss, match=r"state\.json"):
        place.read()
    place.clear()
    assert place.read() is None


def test_the_default_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FACEFOUNDRY_LOCAL_DIR", str(tmp_path / "a"))
    assert default_folder() == tmp_path / "a"
    monkeypatch.delenv("FACEFOUNDRY_LOCAL_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "b"))
    assert default_folder() == tmp_path / "b" / "facefoundry"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_folder() == Path.home() / ".local" / "share" / "facefoundry"


# The stack


def test_a_stack_is_shared_and_its_owner_waits_for_others_and_stops_services_before_the_store(
    tmp_path, clone, command, monkeypatch
):
    monkeypatch.setenv("FACEFOUNDRY_STORE_ENDPOINT", "store.invalid:1")
    monkeypatch.setenv("FACEFOUNDRY_TLS_CERT_FILE", "/not/there.pem")
    lines: list[str] = []
    waited_for: list[int] = []

    def let_finish(users):
        waited_for.extend(user.pid for user in users)
        assert all(serves(address) for address in stack.addresses.values())
        other.stdin.write("\n")
        other.stdin.flush()

    with local_stack(tmp_path / "stack", clone=clone, on_progress=lines.append, on_wait=let_finish) as stack:
        assert stack.owned
        assert set(stack.addresses) == {"extractor", "trainer", "converter"}
        assert all(serves(address) for address in stack.addresses.values())
        assert stack.channels.trainer_address == stack.addresses["trainer"]
        assert listeners([identity.pid for identity in stack.processes.values()]) == {"127.0.0.1"}
        with local_stack(tmp_path / "stack", start=False) as joined:
            assert not joined.owned
            assert joined.addresses == stack.addresses
            Store(joined.store).put_bytes("runs/joined", b"joined")
        other = command()
        assert other.stdout.readline() == "joined\n"
        assert Store(stack.store).get_bytes("runs/kept") == b"kept"
    assert waited_for == [other.pid]
    assert lines[-1].startswith("ready after")
    assert not any(identity.alive() for identity in stack.processes.values())
    assert not (tmp_path / "stack" / "state.json").exists()
    for name in stack.addresses:
        assert (tmp_path / "stack" / "scratch" / name / "stopped").exists()


def test_nothing_survives_an_owner_killed_with_minus_9_and_the_next_start_recovers(tmp_path, clone, command):
    owner = command()
    assert owner.stdout.readline() == "owned\n"
    state = LocalFolder(tmp_path / "stack").read()
    assert len(state.processes) == 5
    assert len(state.survivors()) == 6  # the trainer's own child too
    owner.kill()
    owner.wait()
    wait_until(lambda: not any(identity.alive() for identity in state.processes.values()))
    orphan = state.survivors()
    assert [process.cmdline()[-1] for process in orphan] == ["import time; time.sleep(600)"]
    with local_stack(tmp_path / "stack", clone=clone) as stack:
        assert stack.owned
        assert not any(process.is_running() for process in orphan)
        assert Store(stack.store).get_bytes("runs/kept") == b"kept"


def test_a_service_that_dies_at_the_start_is_named_with_its_log_and_nothing_stays(tmp_path, clone):
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with (
        pytest.raises(Unavailable, match=r"converter ended with exit code 1[\s\S]*cannot find my weights") as caught,
        local_stack(tmp_path / "stack", clone=clone, environment={"BREAK": "converter"}),
    ):
        pytest.fail("it started")
    assert caught.value.resource == "converter"
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before
    assert not (tmp_path / "stack" / "state.json").exists()


def test_a_stale_state_never_kills_a_process_that_has_an_old_pid_now(tmp_path):
    bystander = subprocess.Popen(["/bin/sleep", "60"])
    try:
        place = LocalFolder(tmp_path / "stack")
        state = State(
            run="a-word-nobody-has",
            owner=ProcessId(2**22 + 1, 1.0),
            processes={"store": ProcessId(bystander.pid, 1.0), "trainer": ProcessId.of(bystander.pid)},
            ready=True,
        )
        place.write(state)
        with pytest.raises(Unavailable) as caught, local_stack(tmp_path / "stack", start=False):
            pytest.fail("it joined")
        assert caught.value.reason == "LOCAL_NOT_RUNNING"
        assert bystander.poll() is None
        assert place.read() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_leftovers_of_a_dead_owner_are_killed_by_the_word_in_their_environment(tmp_path):
    leftovers = [subprocess.Popen(["/bin/sleep", "60"], env={"FACEFOUNDRY_LOCAL_RUN": word}) for word in ("ours", "no")]
    ours, other = (ProcessId.of(leftover.pid) for leftover in leftovers)
    wait_until(lambda: all(psutil.Process(leftover.pid).name() == "sleep" for leftover in leftovers))
    place = LocalFolder(tmp_path / "stack")
    place.write(State(run="ours", owner=ProcessId(2**22 + 1, 1.0)))
    with pytest.raises(Unavailable), local_stack(tmp_path / "stack", start=False):
        pytest.fail("it joined")
    assert not ours.alive()
    assert other.alive()
    for leftover in leftovers:
        leftover.kill()
        leftover.wait()


def test_joining_a_stack_of_which_a_part_died_names_the_part(tmp_path):
    place = LocalFolder(tmp_path / "stack")
    processes = {"trainer": ProcessId(2**22 + 1, 1.0)}
    place.write(State(run="word", owner=ProcessId.of(os.getpid()), processes=processes, ready=True))
    with pytest.raises(Unavailable, match="The trainer of the local stack"), local_stack(tmp_path / "stack"):
        pytest.fail("it joined")


def test_without_a_clone_the_error_says_so(tmp_path):
    with pytest.raises(Unusable, match="clone") as caught, local_stack(tmp_path / "stack", clone=tmp_path):
        pytest.fail("it started")
    assert caught.value.reason == "NEEDS_CLONE"


def test_files_of_users_that_died_are_removed(tmp_path):
    place = LocalFolder(tmp_path / "stack")
    stale = tmp_path / "stack" / "users" / "1-dead"
    stale.write_text(json.dumps({"pid": 1, "command": "gone"}))
    with place.join() as me, place.join() as other:
        assert [user.pid for user in place.other_users(me)] == [os.getpid()]
        assert not stale.exists()
    with place.join() as me:
        assert place.other_users(me) == []
        assert other != me
