"""The sandbox with real children: hostile ones are killed, honest ones are reused."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from facefoundry.errors import FieldViolation, Internal, InvalidInput, Unusable
from facefoundry.process.sandbox import Call, Limits, Sandbox
from tests.processes import gone
from tests.waiting import wait_until

WORK = """
import os, signal, subprocess, sys, time
from facefoundry.errors import FieldViolation, InvalidInput

def echo(**arguments):
    yield arguments
    yield {"pid": os.getpid(), "parent": os.getppid()}

def noisy():
    print("a library prints to stdout")
    os.write(1, b'{"message": "forged"}\\n')
    print("and to stderr", file=sys.stderr)
    yield "real"

def environment():
    yield dict(os.environ)

def refuses():
    yield 1
    raise InvalidInput("Too many.", reason="TOO_MANY", violations=[FieldViolation("count", "too many")])

def segfaults():
    yield 1
    print("about to read address 0", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
    yield 2

def raises():
    yield 1
    raise ValueError("a defect")

def eats_memory():
    yield os.getpid()
    hoard = []
    while True:
        hoard.append(b"x" * (8 << 20))
        time.sleep(0.005)

def descendant_eats_memory():
    code = "import time; h=[]\\nwhile True: h.append(b'x' * (8 << 20)); time.sleep(0.005)"
    process = subprocess.Popen([sys.executable, "-c", code])
    yield process.pid
    process.wait()

def hangs():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield [os.getpid(), process.pid]
    time.sleep(600)

def counts(n):
    for i in range(n):
        yield {"i": i, "filling": "x" * 10_000}

def writes_file(path, size):
    with open(path, "wb") as file:
        file.write(bytes(size))
    yield "written"

def opencvs_threads():
    import cv2
    yield cv2.getNumThreads()

def page_faults_of_large_blocks():
    import resource
    frames = [bytes([1]) * (3 << 20) for _ in range(4)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        frames = []
        frames = [bytes([1]) * (3 << 20) for _ in range(4)]
    yield resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def babbles():
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"this is no JSON\\n")
        except OSError:
            pass
    yield 1
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of hostile and honest functions, importable in children."""
    (tmp_path / "sandbox_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "sandbox_work"


@pytest.fixture
def sandbox():
    with Sandbox(Limits(seconds=20, memory_bytes=300 << 20), allow=("sandbox_work",)) as made:
        yield made


def messages(run: Iterator[Any]) -> Iterator[Any]:
    """The messages of a run, of which the test knows the form."""
    return run


def test_arguments_and_messages_are_json_values_and_arrive_as_they_were(work, sandbox):
    sent = {"path": "/a/ü b", "n": 3, "x": 0.1, "nothing": None, "list": [1, [2]], "map": {"k": True}}
    first, second = sandbox.run(f"{work}:echo", **sent)
    assert first == sent
    assert second["pid"] != os.getpid()


def parent_of_run(work, sandbox):
    _, seen = messages(sandbox.run(f"{work}:echo"))
    return seen["parent"]


def test_a_child_is_reused_after_a_run_that_ended_and_replaced_after_what_nobody_expected(work, sandbox):
    child = parent_of_run(work, sandbox)
    with pytest.raises(InvalidInput):
        list(sandbox.run(f"{work}:refuses"))
    assert parent_of_run(work, sandbox) == child
    with pytest.raises(Unusable):
        list(sandbox.run(f"{work}:raises"))
    assert parent_of_run(work, sandbox) != child


def test_what_libraries_print_does_not_reach_the_protocol(work, sandbox):
    assert list(sandbox.run(f"{work}:noisy")) == ["real"]


def test_the_child_sees_no_credentials_but_the_rest_of_the_environment(work, sandbox, monkeypatch):
    for name in ("FACEFOUNDRY_STORE_SECRET_KEY", "AWS_ACCESS_KEY_ID", "MINIO_ROOT_PASSWORD", "MY_API_TOKEN"):
        monkeypatch.setenv(name, "leak-me")
    monkeypatch.setenv("FACEFOUNDRY_LOG_LEVEL", "DEBUG")
    (seen,) = sandbox.run(f"{work}:environment")
    assert "leak-me" not in seen.values()
    assert seen["FACEFOUNDRY_LOG_LEVEL"] == "DEBUG"


def test_numerical_libraries_of_the_child_take_as_many_threads_as_they_may(work):
    for threads in (1, 3):
        with Sandbox(Limits(seconds=20, memory_bytes=300 << 20, threads=threads), allow=(work,)) as sandbox:
            (seen,) = messages(sandbox.run(f"{work}:environment"))
            assert seen["OMP_NUM_THREADS"] == seen["TF_NUM_INTRAOP_THREADS"] == str(threads)
            assert list(sandbox.run(f"{work}:opencvs_threads")) == [threads]


def test_the_child_keeps_the_memory_of_a_frame_for_the_next(work, sandbox):
    (faults,) = sandbox.run(f"{work}:page_faults_of_large_blocks")
    assert faults < 20 * 768, "80 blocks of 768 pages"


def test_our_errors_arrive_with_class_reason_and_fields(work, sandbox):
    received = []
    with pytest.raises(InvalidInput, match="Too many") as caught:
        for message in sandbox.run(f"{work}:refuses"):
            received.append(message)
    assert received == [1]
    assert caught.value.reason == "TOO_MANY"
    assert caught.value.violations == (FieldViolation("count", "too many"),)


def test_a_segfault_is_a_media_crash_that_names_the_signal_and_the_last_line(work, sandbox):
    with pytest.raises(Unusable, match=r"SIGSEGV.*about to read address 0") as caught:
        list(sandbox.run(f"{work}:segfaults"))
    assert caught.value.reason == "MEDIA_CRASHED"


def test_a_defect_in_the_child_is_a_crash_that_names_the_exception(work, sandbox):
    with pytest.raises(Unusable, match=r"exit code 1.*ValueError: a defect"):
        list(sandbox.run(f"{work}:raises"))


def test_the_memory_limit_kills_the_child_and_the_next_run_works(work, sandbox):
    run = sandbox.run(f"{work}:eats_memory")
    pid = next(run)
    with pytest.raises(Unusable, match="300 MiB") as caught:
        list(run)
    assert caught.value.reason == "MEDIA_MEMORY"
    assert gone(pid)
    assert list(sandbox.run(f"{work}:noisy")) == ["real"]


def test_memory_is_watched_while_the_parent_is_busy_elsewhere(work, sandbox):
    run = sandbox.run(f"{work}:eats_memory")
    assert gone(next(run))
    with pytest.raises(Unusable) as caught:
        next(run)
    assert caught.value.reason == "MEDIA_MEMORY"


def test_memory_of_descendants_counts(work, sandbox):
    run = sandbox.run(f"{work}:descendant_eats_memory")
    pid = next(run)
    with pytest.raises(Unusable) as caught:
        list(run)
    assert caught.value.reason == "MEDIA_MEMORY"
    assert gone(pid)


def test_the_time_limit_kills_the_child_with_its_whole_tree(work):
    with Sandbox(Limits(seconds=60, memory_bytes=1 << 30), allow=("sandbox_work",)) as sandbox:
        list(sandbox.run(f"{work}:echo"))  # so that its child is there
        sandbox.limits = Limits(seconds=1.0, memory_bytes=1 << 30)
        run = messages(sandbox.run(f"{work}:hangs"))
        pids = next(run)
        with pytest.raises(Unusable, match="no progress for 1 s") as caught:
            list(run)
    assert caught.value.reason == "MEDIA_TIMEOUT"
    assert all(gone(pid) for pid in pids)


def test_a_run_may_take_longer_than_the_limit_while_messages_come(work):
    with Sandbox(Limits(seconds=60, memory_bytes=1 << 30), allow=("sandbox_work",)) as sandbox:
        list(sandbox.run(f"{work}:echo"))  # so that its child is there
        sandbox.limits = Limits(seconds=1.5, memory_bytes=1 << 30)
        received = []
        for message in messages(sandbox.run(f"{work}:counts", n=60)):
            received.append(message["i"])
            time.sleep(0.04)
    assert received == list(range(60))


def test_a_child_cannot_read_its_parents_environment(work):
    """Root may; so it is asked whether the kernel would keep others of the same user away."""
    script = f"""
import ctypes, sys
sys.path[:0] = {sys.path!r}
from facefoundry.process.sandbox import Limits, Sandbox
with Sandbox(Limits(seconds=20, memory_bytes=300 << 20), allow=("sandbox_work",)) as sandbox:
    list(sandbox.run("{work}:counts", n=1))
    print(ctypes.CDLL(None).prctl(3))
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout == "0\n"


def test_closing_the_iterator_early_kills_the_child(work, sandbox):
    run = sandbox.run(f"{work}:hangs")
    pids = next(run)
    run.close()
    assert all(gone(pid) for pid in pids)
    assert list(sandbox.run(f"{work}:noisy")) == ["real"]


def test_the_child_waits_while_nobody_reads(work, sandbox):
    others = set(psutil.Process().children())
    run = sandbox.run(f"{work}:counts", n=10_000)
    next(run)
    (child,) = set(psutil.Process().children()) - others
    (process,) = child.children()
    seconds = -1.0

    def idle() -> bool:
        nonlocal seconds
        before, seconds = seconds, process.cpu_times().user
        return seconds == before

    wait_until(idle, every=0.25)
    assert sum(1 for _ in run) == 9_999


def test_a_file_over_the_limit_cannot_be_written(work, tmp_path):
    limits = Limits(seconds=20, memory_bytes=1 << 30, disk_bytes=1 << 20)
    with Sandbox(limits, allow=("sandbox_work",)) as sandbox:
        assert list(sandbox.run(f"{work}:writes_file", path=str(tmp_path / "a"), size=1 << 19)) == ["written"]
        with pytest.raises(Unusable, match="over the limit of a sandbox"):
            list(sandbox.run(f"{work}:writes_file", path=str(tmp_path / "b"), size=1 << 21))


def test_a_child_that_speaks_nonsense_is_killed(work, sandbox):
    with pytest.raises(Unusable, match="not a message") as caught:
        list(sandbox.run(f"{work}:babbles"))
    assert caught.value.reason == "MEDIA_CRASHED"


def test_a_warm_child_that_died_is_replaced(work, sandbox):
    child = parent_of_run(work, sandbox)
    psutil.Process(child).kill()
    assert gone(child)
    assert parent_of_run(work, sandbox) != child


@pytest.mark.parametrize("target", ["os:system", "sandbox_work", "sandbox_work:no-name", "subprocess:run"])
def test_only_named_functions_of_allowed_modules_run(work, sandbox, target):
    with pytest.raises(Internal) as caught:
        sandbox.run(target)
    assert caught.value.reason == "SANDBOX_FUNCTION"
    with pytest.raises(Internal) as caught:
        sandbox.run(f"{work}:echo", Call(target, {}))
    assert caught.value.reason == "SANDBOX_FUNCTION"


def test_a_sandbox_runs_no_module_that_it_does_not_allow(work):
    with Sandbox(Limits(seconds=1, memory_bytes=1 << 30), allow=["services."]) as sandbox, pytest.raises(Internal):
        sandbox.run(f"{work}:echo")


def test_one_sandbox_runs_one_thing_at_a_time(work, sandbox):
    run = sandbox.run(f"{work}:echo")
    next(run)
    with pytest.raises(Internal) as caught:
        next(sandbox.run(f"{work}:echo"))
    assert caught.value.reason == "SANDBOX_BUSY"
    assert len(list(run)) == 1


def test_a_warm_child_outlives_the_thread_that_started_it(work, sandbox):
    pids: list[int] = []
    thread = threading.Thread(target=lambda: pids.append(parent_of_run(work, sandbox)))
    thread.start()
    thread.join()
    # The kernel kills children by the end of the thread itself, which comes after that of its Python code.
    wait_until(lambda: thread.native_id not in {running.id for running in psutil.Process().threads()})
    assert parent_of_run(work, sandbox) == pids[0]


def test_several_sandboxes_run_side_by_side(work):
    results: dict[int, list[int]] = {}

    def job(number: int) -> None:
        with Sandbox(Limits(seconds=20, memory_bytes=1 << 30), allow=("sandbox_work",)) as sandbox:
            results[number] = [message["i"] for message in messages(sandbox.run(f"{work}:counts", n=50))]

    threads = [threading.Thread(target=job, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: list(range(50)) for number in range(3)}


def test_children_die_with_a_parent_that_is_killed(work, tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        from facefoundry.process.sandbox import Limits, Sandbox
        run = Sandbox(Limits(60, 1 << 30), allow=("sandbox_work",)).run("sandbox_work:hangs")
        print(next(run)[0], flush=True)
        time.sleep(60)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    assert gone(pid)
