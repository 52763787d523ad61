"""A runner with real children, on a function of the test's own."""

from __future__ import annotations

import importlib
import sys
import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import grpc
import pytest
from prometheus_client import REGISTRY

from facefoundry import __version__
from facefoundry.errors import Busy, Cancelled, Interrupted, Unusable
from facefoundry.process.sandbox import Limits
from facefoundry.process.scratch import Scratch
from facefoundry.rpc.slots import Slots
from facefoundry.settings import ServerSettings
from facefoundry.storage import keys, manifest
from facefoundry.storage.parts import CHUNKS
from facefoundry.storage.sources import find_source
from facefoundry.work.function import ENTRY_MODULE, SandboxFunction
from facefoundry.work.messages import Progress
from facefoundry.work.plan import Job, Plan
from facefoundry.work.pool import SandboxPool
from facefoundry.work.runner import Committed, Runner
from tests.sources import put_source

MODULE = '''
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from facefoundry.work.messages import PartsReady, Progress, Result, Resumed
from facefoundry.work.workspace import Workspace


@dataclass(frozen=True)
class Args:
    source: tuple[str, ...]
    parts: int
    trick: str = ""


@dataclass(frozen=True)
class Facts:
    bytes: int
    made: list[str]


@dataclass(frozen=True)
class Lies:
    name: str
    bytes: int


def copies(arguments: Args, workspace: Workspace):
    """Copy the source into each part, except into those that are finished."""
    data = b"".join(workspace.input(name).read_bytes() for name in arguments.source)
    yield Resumed(workspace.finished)
    made = []
    for number in range(arguments.parts):
        name = f"chunk-{number:05d}.tar"
        if name in workspace.finished:
            continue
        workspace.made_part(name).write_bytes(data)
        yield PartsReady((name,))
        yield Progress("copy", number + 1, arguments.parts)
        made.append(name)
    yield Result(Facts(len(data), made), "ab" * 32, {"copier": "1"}, {"COPIED": arguments.parts})


def tricks(arguments: Args, workspace: Workspace):
    """Misbehave, as a child that was taken over may."""
    secret = workspace.folder.parent / "secret"
    if arguments.trick == "link":
        workspace.made_part("chunk-00000.tar").symlink_to(secret)
        yield PartsReady(("chunk-00000.tar",))
    elif arguments.trick == "folder":
        workspace.made.rename(workspace.folder / "moved")
        workspace.made.symlink_to(workspace.folder.parent)
        yield PartsReady(("secret",))
    elif arguments.trick == "pipe":
        os.mkfifo(workspace.made_part("chunk-00000.tar"))
        yield PartsReady(("chunk-00000.tar",))
    elif arguments.trick == "names":
        os.link(workspace.input(arguments.source[0]), workspace.made_part("chunk-00000.tar"))
        yield PartsReady(("chunk-00000.tar",))
    elif arguments.trick == "plan":
        yield Result(Lies(name="no fake", bytes=1), "ab" * 32, {"facefoundry": "99"})
    elif arguments.trick == "digest":
        yield Result(Facts(1, []), "../../somewhere")
    elif arguments.trick == "path":
        yield PartsReady(("../../secret",))
    elif arguments.trick == "absent":
        yield PartsReady(("chunk-00000.tar",))
    elif arguments.trick == "resumed":
        yield Resumed(("chunk-00000.tar",))
    elif arguments.trick == "field":
        yield Progress("copy", "many", 3)
    elif arguments.trick == "facts":
        yield Result(Progress("copy", 1, 3))
    elif arguments.trick == "silent":
        yield Progress("copy", 1, 3)
'''


def context(active=True):
    """A call."""
    call = create_autospec(grpc.ServicerContext, instance=True)
    call.is_active.return_value = active
    call.add_callback.return_value = active
    return call


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """The module of the functions, importable here and in children."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "runner_work.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("runner_work")
    sys.path.remove(str(folder))


def new_pool(folder, kernel):
    (folder / "secret").write_text("of this process alone")
    return SandboxPool(Limits(seconds=60, memory_bytes=500 << 20), Scratch("pool", folder), kernel=kernel)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    sandboxes = new_pool(tmp_path_factory.mktemp("pool"), kernel=True)
    yield sandboxes
    sandboxes.close()


@pytest.fixture(scope="module")
def pool_without_the_kernels_help(tmp_path_factory):
    """Children that can make links, pipes and folders where they want."""
    sandboxes = new_pool(tmp_path_factory.mktemp("pool"), kernel=False)
    yield sandboxes
    sandboxes.close()


class Copier:
    """A runner, and plans for it."""

    def __init__(self, store, folder: Path, pool, work, max_source_bytes=1 << 20, max_pixels=1 << 40):
        self.store, self.work = store, work
        self.slots, self.stopping = Slots("copier", 1), threading.Event()
        self.runner = Runner(
            "copier",
            store,
            ServerSettings(scratch_dir=folder, drain_seconds=1000),
            max_source_bytes=max_source_bytes,
            slots=self.slots,
            stopping=self.stopping,
            pool=pool,
            max_pixels=max_pixels,
        )
        clip = folder / "a.mp4"
        clip.write_bytes(b"a clip")
        uri = put_source(store, clip, width=8, height=4, frame_count=3)
        clip.unlink()
        self.source = find_source(store, uri, "clip")

    def job(self, function="copies", trick="", parts=3):
        return Job(
            source=self.source,
            files=self.source.files,
            function=SandboxFunction(f"runner_work:{function}", self.work.Args, self.work.Facts),
            arguments=lambda _: self.work.Args(tuple(self.source.files), parts, trick),
        )

    def plan(self, **job):
        return Plan(
            kind="conversion",
            prefix=keys.conversion("1" * 40),
            job=self.job(**job),
            resumable=[CHUNKS],
            inputs={"source": self.source.uri},
            options={"parts": 3},
            info={"name": "known before"},
        )

    def run(self, **job):
        return list(self.runner.run(self.plan(**job), context()))

    def stored(self):
        return set(manifest.find_parts(self.store, self.plan().prefix))


@pytest.fixture
def copier(store, tmp_path, pool, work):
    return Copier(store, tmp_path, pool, work)


def counted(result):
    return REGISTRY.get_sample_value("facefoundry_frames_total", {"service": "copier", "result": result}) or 0


def test_a_run_yields_progress_and_then_what_it_committed(copier, tmp_path):
    before = counted("COPIED")
    *progress, done = copier.run()
    assert [event.stage for event in progress] == ["download", "download", "copy", "copy", "copy"]
    assert isinstance(done, Committed) and not done.reused
    record = manifest.load(copier.store, copier.plan().prefix)
    assert record == done.manifest and done.uri == copier.store.uri(copier.plan().prefix)
    names = [CHUNKS.name(number) for number in range(3)]
    assert [part.name for part in record.parts] == names
    assert record.info == {"name": "known before", "bytes": 6, "made": names}
    assert (record.kind, record.content_digest) == ("conversion", "ab" * 32)
    assert record.versions["copier"] == "1" and "facefoundry" in record.versions
    assert record.usage and record.usage.cpu_seconds > 0 and record.usage.gpu_seconds == 0
    assert counted("COPIED") == before + 3
    assert list(tmp_path.iterdir()) == []


def test_a_stored_result_needs_no_slot_and_no_child(copier):
    done = copier.run()[-1]
    copier.stopping.set()
    with copier.slots.take():
        (again,) = copier.run()
    assert again.reused and (again.uri, again.manifest) == (done.uri, done.manifest)


def test_finished_parts_of_an_earlier_call_are_reused_unless_they_are_damaged(copier):
    record = copier.run()[-1].manifest
    copier.store.delete([f"{copier.plan().prefix}/manifest.json"])
    copier.store.put_bytes(record.parts[1].key, b"something else", "application/x-tar")
    again = copier.run()[-1].manifest
    assert again.info["made"] == [CHUNKS.name(1)]
    assert again.parts == record.parts


def test_a_stopping_process_ends_a_call_at_its_next_finished_part_and_takes_no_new_one(copier):
    running = copier.runner.run(copier.plan(), context())
    assert next(running) == Progress("download", 0, 6, unit="bytes")
    copier.stopping.set()
    with pytest.raises(Interrupted, match="Finished parts are kept"):
        list(running)
    assert copier.stored() == {CHUNKS.name(0)}
    assert copier.slots.in_use == 0
    with pytest.raises(Interrupted, match="Call another replica"):
        copier.run()


@pytest.mark.parametrize(
    ("trick", "how"),
    [
        ("link", "no file for the part"),
        ("folder", "no file for the part"),
        ("pipe", "no file for the part"),
        ("names", "no file for the part"),
        ("path", "no file for the part"),
        ("digest", "content digest"),
        ("absent", "no file for the part"),
        ("resumed", "not fetched"),
        ("field", "done"),
        ("facts", "info"),
        ("silent", "without a result"),
    ],
)
def test_a_child_that_misbehaves_ends_the_call_and_stores_nothing(
    store, tmp_path, pool_without_the_kernels_help, work, trick, how
):
    copier = Copier(store, tmp_path, pool_without_the_kernels_help, work)
    with pytest.raises(Unusable, match=how) as caught:
        copier.run(function="tricks", trick=trick)
    assert (caught.value.reason, caught.value.resource) == ("MEDIA_CRASHED", copier.source.uri)
    assert copier.stored() == set() and copier.slots.in_use == 0


@pytest.mark.parametrize("trick", ["link", "folder", "pipe", "names"])
def test_the_kernel_keeps_a_child_from_making_links_and_pipes_and_from_moving_its_folders(copier, trick):
    with pytest.raises(Unusable, match=r"exit code 1.*(Permission|not permitted|Invalid cross-device)"):
        copier.run(function="tricks", trick=trick)
    assert copier.stored() == set()


def test_facts_of_a_child_replace_none_that_the_service_knew_before(copier):
    lies = SandboxFunction("runner_work:tricks", copier.work.Args, copier.work.Lies)
    plan = copier.plan(trick="plan")
    plan = replace(plan, job=replace(plan.job, function=lies))
    done = list(copier.runner.run(plan, context()))[-1]
    assert done.manifest.info == {"name": "known before", "bytes": 1}
    assert done.manifest.versions["facefoundry"] == __version__


def test_a_source_that_is_too_large_is_refused(store, tmp_path, pool, work):
    with pytest.raises(Unusable, match=r"clip\.mp4 \(s3://.*\) has 6 bytes; this copier accepts at most 5") as caught:
        Copier(store, tmp_path, pool, work, max_source_bytes=5).run()
    assert caught.value.reason == "TOO_LARGE"


def test_a_source_of_too_many_pixels_is_refused_before_anything_is_spent_on_it(store, tmp_path, pool, work):
    copier = Copier(store, tmp_path, pool, work, max_pixels=95)
    with (
        copier.slots.take(),
        pytest.raises(Unusable, match=r"has 96 pixels .* at most 95\..*COPIER_MAX_PIXELS") as caught,
    ):
        copier.run()
    assert (caught.value.reason, caught.value.resource) == ("TOO_LARGE", copier.source.uri)
    assert len(Copier(store, tmp_path, pool, work, max_pixels=96).run()) > 1


def test_a_full_service_is_busy(copier):
    with copier.slots.take(), pytest.raises(Busy):
        copier.run()


def test_a_job_returns_its_facts_and_stores_nothing(copier):
    assert copier.runner.ask(copier.job(parts=0), context()) == copier.work.Facts(6, [])
    assert copier.stored() == set()


def test_a_job_without_a_result_is_an_error_that_names_the_clip(copier):
    with pytest.raises(Unusable, match=r"clip\.mp4 \(s3://.*\): .* without a result"):
        copier.runner.ask(copier.job(function="tricks", trick="silent"), context())


def test_a_job_of_a_caller_that_is_gone_is_cancelled(copier):
    with pytest.raises(Cancelled):
        copier.runner.ask(copier.job(), context(active=False))


def test_the_pool_runs_sandbox_functions_alone(pool):
    assert SandboxFunction.__module__ == ENTRY_MODULE
    with pool.acquire(context()) as (sandbox, _), pytest.raises(Exception, match="starts with one of"):
        sandbox.run("os:listdir")
