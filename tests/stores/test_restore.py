"""The exercise of docs/operations.md: after its commands, a service on the copy finds what the lost store had."""

from __future__ import annotations

import re
import subprocess

import pytest

from facefoundry.client import Client
from facefoundry.local.store import ObjectStore
from facefoundry.settings import ChannelSettings, StoreSettings, read
from facefoundry.storage.store import Store
from tests.clients.shell import start
from tests.faults.processes import tiny_recipe, write_clip
from tests.faults.proxied_store import content
from tests.house import files
from tests.processes import Service, environment_of
from tests.sources import put_source


def extract(settings: StoreSettings, folder, name: str, source: str):
    """Extract a clip with an extractor of its own, and return the extraction."""
    service = Service(name, environment_of(settings, scratch_dir=folder), folder, ["services.extractor"])
    try:
        service.ready().close()
        addresses = {f"{each}_address": service.address for each in ("extractor", "trainer", "converter")}
        with Client(read(ChannelSettings, **addresses)) as client:
            return client.extract(source, "clip", tiny_recipe())
    finally:
        service.kill()


@pytest.mark.full
def test_the_exercise_restores_what_the_lost_store_had(new_object_store, tmp_path):
    (script,) = re.findall(r"```sh\n(umask 077.*?)```", (files.ROOT / "docs/operations.md").read_text(), re.S)
    live: ObjectStore = new_object_store("live")
    settings, copied = live.start(), new_object_store("backup").start()
    source = put_source(Store(settings), write_clip(tmp_path / "clip.mp4", phase=0))
    made = extract(settings, tmp_path, "before", source)
    expected = content(Store(settings))
    variables = {
        "BACKUP_ENDPOINT": copied.endpoint,
        "BACKUP_ACCESS_KEY": copied.access_key.get_secret_value(),
        "BACKUP_SECRET_KEY": copied.secret_key.get_secret_value(),
        **{name: value for name, value in environment_of(settings).items() if name.startswith("FACEFOUNDRY_STORE_")},
    }
    process: subprocess.Popen[str] = start(script, tmp_path, {}, **variables)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    live.kill()
    assert content(Store(copied)) == expected
    found = extract(copied, tmp_path, "after", source)
    assert found.reused and not made.reused and found.uri == made.uri
    assert content(Store(copied)) == expected
