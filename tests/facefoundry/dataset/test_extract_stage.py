"""The stage that uploads and extracts a clip: what it tells and records of doubts."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from facefoundry.client import Client
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.progress import Event
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.dataset.transfer import Transfers
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2, recipe_pb2
from tests.facefoundry.dataset.fakes import FakeServices

REMARK = "It has 2 video streams."
WARNING = common_pb2.Warning(reason="GAPS", message="3 frames have no face.")


class DoubtfulServices(FakeServices):
    """Services that find something in doubt about every clip."""

    def import_source(self, request, on_progress) -> extractor_pb2.Source:
        source = super().import_source(request, on_progress)
        source.remarks.append(REMARK)
        return source

    def extract(self, *arguments) -> extractor_pb2.Extraction:
        extraction = super().extract(*arguments)
        extraction.remarks.append(REMARK)
        extraction.warnings.append(WARNING)
        return extraction


def test_doubts_are_told_once_and_recorded(
    store: Store, tmp_path, run_folder: RunFolder, make_recorder: Callable[[], RunRecorder]
) -> None:
    clip = tmp_path / "033.mp4"
    clip.write_bytes(b"a clip")
    events: list[Event] = []
    transfers = Transfers(cast(Client, DoubtfulServices(store)), store.settings)
    recorder = make_recorder()
    stages = ServiceStages(transfers, recipe_pb2.Recipe(), FolderOutput(FfppLayout(tmp_path)), recorder, events.append)
    stages.extract(Clip("033", clip))
    assert [event.message for event in events if event.state == "doubt"] == [REMARK, "3 frames have no face. [GAPS]"]
    recorder.save()
    assert run_folder.load_run().sequences["033"].doubts == [REMARK, "3 frames have no face."]
