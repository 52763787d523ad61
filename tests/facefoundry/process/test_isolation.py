"""What a child of a sandbox can reach, asked of real children on this kernel. The kernel's part needs its features."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from facefoundry.codec import JsonValue
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.process.sandbox import Isolation, Limits, Sandbox
from facefoundry.process.sandbox.isolation import Available, available

WORK = '''
import errno, os, signal, socket, subprocess, sys, tempfile, threading, time

def tries(names, paths):
    """Yield what each deed ended with: the name of an error, or `done`."""
    def start_thread():
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    deeds = {
        "read": lambda path: open(path, "rb").read(1),
        "write": lambda path: open(path, "ab").close(),
        "list": lambda path: os.listdir(path),
        "make": lambda path: open(os.path.join(path, "new"), "wb").close(),
        "link": lambda path: os.symlink("/etc/passwd", os.path.join(path, "link")),
        "pipe": lambda path: os.mkfifo(os.path.join(path, "pipe")),
        "socket": lambda path: socket.socket().close(),
        "unix": lambda path: socket.socketpair(),
        "fork": lambda path: os._exit(0) if os.fork() == 0 else None,
        "run": lambda path: subprocess.run(["/bin/true"]),
        "exec": lambda path: os.execv("/bin/true", ["true"]),
        "signal": lambda path: os.kill(os.getppid(), 0),
        "slow_parent": lambda path: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
        "bind_parent": lambda path: os.sched_setaffinity(os.getppid(), {0}),
        "parents_memory": lambda path: open(f"/proc/{os.getppid()}/mem", "r+b").close(),
        "own_signal": lambda path: os.kill(os.getpid(), 0),
        "thread": lambda path: start_thread(),
        "temporary": lambda path: tempfile.TemporaryFile().close(),
    }
    for name, path in zip(names, paths):
        try:
            deeds[name](path)
            yield "done"
        except OSError as error:
            yield errno.errorcode[error.errno]

def writes(path, size, files):
    for number in range(files):
        with open(f"{path}/{number}", "wb") as file:
            file.write(bytes([1]) * size)
        yield number
    time.sleep(600)
'''

LIMITS = Limits(seconds=20, memory_bytes=300 << 20)
needs_kernel = pytest.mark.skipif(
    not (available().landlock and available().seccomp), reason="this kernel has no Landlock or no seccomp"
)


@pytest.fixture
def isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Isolation:
    """The isolation of a child with folders of its own, and a module that it can import."""
    for name in ("code", "call/made", "call/temporary", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "code" / "isolated_work.py").write_text(WORK)
    (tmp_path / "call" / "input").write_bytes(b"a clip")
    (tmp_path / "other" / "file").write_bytes(b"of another call")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    folder = tmp_path / "call"
    return Isolation(folder, writable=(folder / "made",), temporary=folder / "temporary")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A file of another call."""
    return tmp_path / "other" / "file"


def tries(isolation: Isolation, *deeds: tuple[str, Path], limits: Limits = LIMITS) -> list[str]:
    """What each deed of a child ended with."""
    with Sandbox(limits, allow=["isolated_work"], isolation=isolation) as sandbox:
        names: list[JsonValue] = [name for name, _ in deeds]
        paths: list[JsonValue] = [str(path) for _, path in deeds]
        return [str(ending) for ending in sandbox.run("isolated_work:tries", names=names, paths=paths)]


@needs_kernel
def test_a_child_opens_no_file_but_its_own(isolation, other):
    deeds = [
        ("read", other),
        ("list", other.parent),
        ("write", other),
        ("make", other.parent),
        ("read", Path("/etc/passwd")),
        ("read", Path(f"/proc/{os.getpid()}/cmdline")),
        ("read", isolation.folder / "input"),
        ("write", isolation.folder / "input"),
        ("make", isolation.folder),
        ("make", isolation.writable[0]),
        ("temporary", isolation.temporary),
    ]
    assert tries(isolation, *deeds) == ["EACCES"] * 6 + ["done", "EACCES", "EACCES", "done", "done"]


@needs_kernel
def test_a_child_reads_a_folder_that_it_is_given(isolation, other):
    given = replace(isolation, readable=(other.parent, other.parent / "absent"))
    assert tries(given, ("read", other), ("write", other)) == ["done", "EACCES"]


@needs_kernel
def test_a_child_makes_no_link_socket_process_or_program_and_sends_no_signal(isolation):
    made = isolation.writable[0]
    refused = ["link", "pipe", "socket", "unix", "fork", "run", "exec", "signal"]
    endings = tries(isolation, *[(name, made) for name in [*refused, "own_signal", "thread"]])
    assert endings[:2] == ["EPERM", "EPERM"], "pipes are made by mknod"
    assert endings[2:8] == ["EPERM"] * 6
    assert endings[8:] == ["done", "done"]


@needs_kernel
def test_a_run_changes_nothing_of_the_child_that_forks_the_next_one(isolation):
    deeds = [(name, isolation.folder) for name in ("slow_parent", "bind_parent", "parents_memory")]
    assert tries(isolation, *deeds) == ["EPERM", "EPERM", "EACCES"]


def test_without_the_kernels_help_a_child_reaches_what_its_parent_does(isolation, other):
    assert tries(replace(isolation, kernel=False), ("read", other), ("socket", other)) == ["done", "done"]


def test_a_child_writes_no_file_over_the_limit_of_the_disk(isolation):
    limits = replace(LIMITS, disk_bytes=1 << 20)
    with Sandbox(limits, allow=["isolated_work"], isolation=isolation) as sandbox:
        with pytest.raises(Unusable, match="over the limit of a sandbox") as caught:
            list(sandbox.run("isolated_work:writes", path=str(isolation.writable[0]), size=2 << 20, files=1))
        assert caught.value.reason == "MEDIA_DISK"


def test_a_child_whose_files_together_exceed_the_limit_is_stopped(isolation):
    limits = replace(LIMITS, disk_bytes=1 << 20)
    with Sandbox(limits, allow=["isolated_work"], isolation=isolation) as sandbox:
        with pytest.raises(Unusable, match=r"MiB of disk, over the limit of 1 MiB") as caught:
            list(sandbox.run("isolated_work:writes", path=str(isolation.writable[0]), size=1 << 19, files=6))
        assert caught.value.reason == "MEDIA_DISK"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
def test_a_user_at_the_limit_of_processes_starts_no_thread(isolation):
    """Root is exempt from the limit, so another user's process tries it."""
    script = (
        "import os, threading\n"
        "from pathlib import Path\n"
        "from facefoundry.process.sandbox.isolation import Isolation\n"
        "os.setgid(64321)\nos.setuid(64321)\n"
        "Isolation(Path('/'), (), Path('/'), processes=1, kernel=False).apply()\n"
        "try:\n    threading.Thread(target=int).start()\n    print('started')\n"
        "except RuntimeError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "refused\n", done.stderr


@pytest.mark.parametrize(("found", "missing"), [((0, True), "Landlock"), ((7, False), "seccomp")])
def test_an_isolation_that_is_required_and_missing_is_refused_by_its_name(found, missing):
    with pytest.raises(InvalidInput, match=f"without {missing}") as caught:
        Available(*found).require()
    assert caught.value.reason == "ISOLATION"


def test_an_isolation_that_the_kernel_has_is_enough():
    Available(1, True).require()
