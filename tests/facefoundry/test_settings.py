"""Settings that follow from others."""

import pytest

from facefoundry.settings import ServerSettings, read


@pytest.mark.parametrize(("slots", "given", "threads"), [(1, 0, 8), (3, 0, 2), (16, 0, 1), (16, 4, 4)])
def test_children_share_the_cores(monkeypatch, slots, given, threads):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert read(ServerSettings, slots=slots, sandbox_threads=given).threads_per_sandbox == threads
