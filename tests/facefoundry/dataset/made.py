"""Makes a small finished dataset, for tests of what reads or exports one."""

from __future__ import annotations

from pathlib import Path

from facefoundry import recipes, report
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.run import DatasetRun
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.storage.store import Store
from tests.facefoundry.dataset.fakes import transfers_of


def make_dataset(layout: Layout, store: Store, folder: Path) -> RunFolder:
    """Make a dataset of the pair a_b with the recipe `preview`; services commit tiny results to a real store.

    Args:
        layout: Layout of the dataset.
        store: The object store.
        folder: Folder for the clips `a.mp4` and `b.mp4`.

    Returns:
        The run record. Videos are no videos: they contain `<id> <level>` as text.
    """
    recipe = recipes.load("preview")
    clips = {name: Clip(name, folder / f"{name}.mp4") for name in "ab"}
    for name, clip in clips.items():
        clip.path.write_bytes(name.encode())
    record = RunFolder(layout.run_folder())
    run = RunRecord("test", "", recipes.options(recipe), layout=layout.name)
    recorder = RunRecorder(run, record, lambda event: None, on_save=lambda: report.write(layout))
    stages = ServiceStages(
        transfers_of(store, [level.name for level in recipe.compression.levels]),
        recipe,
        FolderOutput(layout),
        recorder,
        lambda event: None,
        keep_faces=True,
    )
    (pair,) = DatasetRun(stages, recorder, lambda event: None).run([Pair("a", "b")], clips)
    assert pair.state == "done", pair.failure
    return record
