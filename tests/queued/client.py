"""A run whose clips are extracted already: `python -m tests.queued.client OUT PAIRS NAME URI...`.

The URIs are those of extractions. Everything else is the run of a command: the record, the report, the progress.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from facefoundry import recipes, report
from facefoundry.cli.view import make_view
from facefoundry.client import Client
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.record import RunRecord, SequenceRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.run import DatasetRun
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.dataset.stages import ExtractedSequence
from facefoundry.dataset.transfer import Transfers
from facefoundry.v1 import extractor_pb2


class Extracted(ServiceStages):
    """Stages of clips that are extracted already."""

    uris: dict[str, str]

    def extract(self, clip: Clip) -> ExtractedSequence:
        extraction = extractor_pb2.Extraction(uri=self.uris[clip.id], content_digest=clip.id, frame_count=300)
        self._recorder.add_sequence(clip.id, SequenceRecord("", 300, "25/1", 1280, 720, 300))
        return ExtractedSequence(clip.id, "", extraction)


def main(out: Path, count: int, name: str, uris: list[str]) -> None:
    """Run pairs until they are done, or until Ctrl-C."""
    layout, ids = FfppLayout(out), [f"{number:03d}" for number in range(len(uris))]
    pairs = [Pair(a, b) for a, b in itertools.islice(itertools.combinations(ids, 2), count)]
    recipe = recipes.load("preview")
    with make_view(as_json=True) as view, Client() as client:
        record = RunRecord(name, "", recipes.options(recipe), layout=layout.name)
        recorder = RunRecorder(record, RunFolder(layout.run_folder()), view.event, on_save=lambda: report.write(layout))
        stages = Extracted(Transfers(client), recipe, FolderOutput(layout), recorder, view.event)
        stages.uris = dict(zip(ids, uris, strict=True))
        run = DatasetRun(stages, recorder, view.event)
        run.run(pairs, {clip_id: Clip(clip_id, out / f"{clip_id}.mp4") for clip_id in ids})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
