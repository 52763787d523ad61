import importlib
import time
from unittest.mock import create_autospec

import grpc
import psutil
import pytest

from facefoundry.errors import Cancelled, InvalidInput, Unusable
from facefoundry.process.sandbox import Limits
from facefoundry.process.scratch import Scratch
from facefoundry.work.function import SandboxFunction
from facefoundry.work.pool import SandboxPool


@pytest.fixture
def pool(tmp_path):
    sandboxes = SandboxPool(Limits(seconds=60, memory_bytes=500 << 20), Scratch("pool", tmp_path))
    yield sandboxes
    sandboxes.close()


def call(active=True):
    made = create_autospec(grpc.ServicerContext, instance=True)
    made.add_callback.return_value = active
    return made


def end(context):
    """What gRPC does when a call ends, however it ends."""
    (callback,) = context.add_callback.call_args.args
    callback()


def test_a_sandbox_is_used_again_and_side_by_side_there_are_several(pool):
    with pool.acquire(call()) as (first, _), pool.acquire(call()) as (second, _):
        assert first is not second
    with pool.acquire(call()) as (again, _), pool.acquire(call()) as (other, _):
        assert {again, other} == {first, second}


def test_two_calls_have_no_folder_in_common_and_the_next_finds_nothing_of_the_last(pool):
    with pool.acquire(call()) as (_, first), pool.acquire(call()) as (_, second):
        assert first.folder != second.folder
        first.input("clip.mp4").write_bytes(b"a clip")
        (first.made / "folder").mkdir()
        (first.made / "folder" / "part").write_bytes(b"a part")
        second.made_part("part").symlink_to(first.input("clip.mp4"))
    with pool.acquire(call()) as (_, third):
        assert third.folder not in (first.folder, second.folder)
        assert [path for path in third.folder.rglob("*") if not path.is_dir()] == []


def test_the_folders_of_a_call_are_removed_at_its_end_whatever_it_did_to_them(pool, tmp_path):
    with pool.acquire(call()) as (_, workspace):
        assert workspace.folder.parent == tmp_path
        workspace.made.rename(workspace.folder / "moved")
        workspace.made.symlink_to(tmp_path)
        workspace.temporary.chmod(0)
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_does_not_name_its_clip_gets_the_name(pool):
    with pytest.raises(Unusable, match=r"^clip\.mp4: Too dark\.$") as caught, pool.acquire(call(), "clip.mp4"):
        raise Unusable("Too dark.", reason="DARK", metadata={"grey": "3"})
    assert (caught.value.reason, caught.value.resource) == ("DARK", "clip.mp4")
    assert caught.value.metadata == {"grey": "3"}
    with pytest.raises(Unusable, match=r"^b\.mp4 is dark\.$"), pool.acquire(call(), "clip.mp4"):
        raise Unusable("b.mp4 is dark.", resource="b.mp4")
    with pytest.raises(InvalidInput, match=r"^No\.$"), pool.acquire(call(), "clip.mp4"):
        raise InvalidInput("No.")


def test_a_call_that_ended_before_it_got_a_sandbox_is_cancelled_and_leaves_it(pool):
    with pool.acquire(call()) as (first, _):
        pass
    with pytest.raises(Cancelled), pool.acquire(call(active=False)):
        raise AssertionError("there is no caller to work for")
    with pool.acquire(call()) as (second, _):
        assert second is first


def test_the_crash_of_a_child_whose_caller_left_is_no_crash(pool):
    context = call()
    with pytest.raises(Cancelled, match="Finished parts are kept"), pool.acquire(context, "clip.mp4"):
        end(context)
        raise Unusable("The child died.", reason="MEDIA_CRASHED")


def test_the_end_of_a_call_does_not_kill_the_child_of_the_next_one(pool):
    first, second = call(), call()
    with pool.acquire(first):
        pass
    with pytest.raises(Unusable), pool.acquire(second):
        end(first)
        raise Unusable("The second call's own error.")


WORK = """
from dataclasses import dataclass
from facefoundry.work.workspace import Workspace

@dataclass
class Nothing:
    pass

def nothing(arguments: Nothing, workspace: Workspace):
    yield from ()
"""


def test_the_end_of_a_call_kills_a_child_between_two_runs_at_once(pool, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("work")
    (folder / "pool_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(folder)
    work, context, others = importlib.import_module("pool_work"), call(), psutil.Process().children()
    with pool.acquire(context) as (sandbox, workspace):
        nothing = SandboxFunction("pool_work:nothing", work.Nothing, work.Nothing)
        assert list(nothing.run(sandbox, work.Nothing(), workspace)) == []
        (child,) = set(psutil.Process().children()) - set(others)
        child.suspend()  # it cannot end by itself, so it would be waited for in vain, for 2 s
        begin = time.monotonic()
        end(context)
        assert time.monotonic() - begin < 2.0
        assert not child.is_running()
