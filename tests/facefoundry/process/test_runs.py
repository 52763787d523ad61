"""What one run of a sandbox leaves to the next: nothing, of memory, files, output and processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from facefoundry.errors import Unusable
from facefoundry.process.sandbox import Call, Limits, Sandbox
from facefoundry.process.sandbox.child import Child
from facefoundry.process.sandbox.output import Output
from facefoundry.process.sandbox.protocol import Reply, Request
from facefoundry.process.sandbox.run import Run
from tests.processes import gone
from tests.waiting import wait_until

WORK = """
import ctypes, os, resource, signal, subprocess, sys, tempfile, threading, time

KEPT = []

def remembers(secret):
    KEPT.append(secret)
    os.environ["KEPT"] = secret
    yield {"kept": KEPT, "pid": os.getpid(), "parent": os.getppid()}

def changes_everything():
    KEPT.append("changed")
    os.environ["KEPT"] = "changed"
    sys.path.append("/changed")
    os.chdir("/")
    os.umask(0)
    os.open(os.devnull, os.O_RDONLY)
    os.set_blocking(1, False)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))
    os.nice(1)
    tempfile.tempdir = "/changed"
    print("changed", flush=True)
    yield 1

def state():
    yield {
        "kept": KEPT,
        "environment": dict(os.environ),
        "modules": sys.path,
        "folder": os.getcwd(),
        "umask": os.umask(0),
        "open": sorted(os.listdir("/proc/self/fd")),
        "blocking": os.get_blocking(1),
        "handler": int(signal.getsignal(signal.SIGUSR1)),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "priority": os.nice(0),
        "temporary": tempfile.gettempdir(),
    }

PREPARED = []

def prepares(number):
    PREPARED.append([os.getpid(), number])
    if number == 3:
        raise ValueError("cannot be prepared")

def prepared():
    yield {"prepared": PREPARED, "parent": os.getppid(), "dumpable": ctypes.CDLL(None).prctl(3)}

def starts_a_thread():
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()

def grows(size):
    KEPT.append(b"x" * size)

def leaves_a_process():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield process.pid

def exits_early():
    yield 1
    os._exit(0)

def noisy():
    print("a library prints to stdout")
    os.write(1, b'{"message": "forged"}\\n')
    print("and to stderr", file=sys.stderr)
    yield "real"

def hangs():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield [os.getpid(), process.pid]
    time.sleep(600)

def writes_file(path, size):
    with open(path, "wb") as file:
        file.write(bytes(size))
    yield "written"
"""

LIMITS = Limits(seconds=20, memory_bytes=300 << 20)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of functions that leave something behind, importable in children."""
    (tmp_path / "run_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "run_work"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS, allow=("run_work",)) as made:
        yield made


def messages(run: Iterator[Any]) -> Iterator[Any]:
    """The messages of a run, of which the test knows the form."""
    return run


def parent_of_run(work: str, sandbox: Sandbox) -> int:
    (seen,) = messages(sandbox.run(f"{work}:prepared"))
    return int(seen["parent"])


def test_a_run_has_a_process_of_its_own_with_nothing_of_an_earlier_run_in_its_memory(work, sandbox):
    runs = [next(iter(list(sandbox.run(f"{work}:remembers", secret=secret)))) for secret in ("first", "second")]
    assert [run["kept"] for run in runs] == [["first"], ["second"]]
    assert len({run["pid"] for run in runs}) == 2 and len({run["parent"] for run in runs}) == 1
    assert all(gone(run["pid"]) for run in runs)
    (seen,) = messages(sandbox.run(f"{work}:state"))
    assert "KEPT" not in seen["environment"]


def test_what_a_run_changes_in_its_process_is_not_seen_by_the_next(work, sandbox):
    child = parent_of_run(work, sandbox)
    (before,) = messages(sandbox.run(f"{work}:state"))
    assert list(sandbox.run(f"{work}:changes_everything")) == [1]
    (after,) = messages(sandbox.run(f"{work}:state"))
    assert after == before
    assert parent_of_run(work, sandbox) == child


def test_what_a_run_printed_is_not_told_of_the_next(work, sandbox):
    list(sandbox.run(f"{work}:noisy"))
    with pytest.raises(Unusable) as caught:
        list(sandbox.run(f"{work}:exits_early"))
    assert caught.value.metadata["last_line"] == ""


def test_the_child_prepares_what_its_runs_share_and_leaves_errors_to_them(work, sandbox):
    for number in (1, 2, 3):
        (seen,) = messages(sandbox.run(f"{work}:prepared", Call(f"{work}:prepares", {"number": number})))
        assert seen["prepared"] == [[seen["parent"], before] for before in range(1, number + 1)]
        assert seen["dumpable"] == 0, "no run reads the memory of another one, or of the child"


def test_a_child_whose_libraries_start_threads_runs_nothing_and_says_so(work, sandbox):
    with pytest.raises(Unusable, match="Expected one thread at a fork"):
        list(sandbox.run(f"{work}:prepared", Call(f"{work}:starts_a_thread", {})))
    assert list(sandbox.run(f"{work}:noisy")) == ["real"]


def test_a_child_that_has_grown_is_replaced_after_its_run(work, sandbox):
    child = parent_of_run(work, sandbox)
    (seen,) = messages(sandbox.run(f"{work}:prepared", Call(f"{work}:grows", {"size": LIMITS.memory_bytes // 2})))
    assert seen["parent"] == child
    assert parent_of_run(work, sandbox) != child


def test_the_memory_limit_holds_while_the_child_prepares(work, sandbox):
    with pytest.raises(Unusable) as caught:
        list(sandbox.run(f"{work}:prepared", Call(f"{work}:grows", {"size": LIMITS.memory_bytes * 4})))
    assert caught.value.reason == "MEDIA_MEMORY"


def test_a_run_that_is_over_before_its_parent_looks_is_no_crash(work, tmp_path):
    made = tmp_path / "made"
    with Output() as output:
        child = Child(LIMITS, output.descriptor)
        with Run(child, output) as run:
            run.start(Request(Call(f"{work}:writes_file", {"path": str(made), "size": 1}), None, None))
            wait_until(lambda: made.exists() and not psutil.Process(child.process.pid).children())
            assert run.receive() == Reply("written")
            assert run.receive() == Reply(end=True)
            assert run.end()
        child.close(at_once=False)


def test_a_run_that_is_killed_from_outside_is_a_crash_and_the_next_one_works(work, sandbox):
    run = messages(sandbox.run(f"{work}:hangs"))
    psutil.Process(next(run)[0]).kill()
    with pytest.raises(Unusable, match="was killed by SIGKILL"):
        list(run)
    assert list(sandbox.run(f"{work}:noisy")) == ["real"]


def test_what_a_run_leaves_behind_is_killed_before_the_next(work, sandbox):
    child = parent_of_run(work, sandbox)
    (left,) = messages(sandbox.run(f"{work}:leaves_a_process"))
    assert gone(left)
    assert parent_of_run(work, sandbox) != child


def test_a_run_that_ends_without_saying_so_is_a_crash(work, sandbox):
    with pytest.raises(Unusable, match="ended with exit code 0"):
        list(sandbox.run(f"{work}:exits_early"))
