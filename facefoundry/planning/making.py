"""Makes a dataset: puts a run together, with its record and report. Every command that makes one comes through here."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facefoundry import codec, recipes, report
from facefoundry.dataset import files, models
from facefoundry.dataset.about import About
from facefoundry.dataset.gates import DEFAULT_GATES, Gate
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.output import FolderOutput, Output
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.progress import Event, OnEvent
from facefoundry.dataset.reading import Reading
from facefoundry.dataset.record import Estimate, PairRecord, RunRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.rights import RIGHTS_FILE, ClipRights
from facefoundry.dataset.run import DatasetRun
from facefoundry.dataset.run_folder import RUN_FILE, RunFolder
from facefoundry.dataset.run_log import LOG_FILE, LoggedEvent, RunLog
from facefoundry.dataset.scheduler import Limits
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.dataset.splits import splits_folder
from facefoundry.dataset.statements import refuse_revoked_clips
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import DataLoss, Unusable
from facefoundry.planning.stored_run import stored_log
from facefoundry.storage import document, keys
from facefoundry.storage.revocation import refuse_revoked
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2

__all__ = ["Connections", "Making", "RunPlan", "assemble", "run_name"]


@dataclass(frozen=True)
class RunPlan:
    """What a run makes.

    Attributes:
        recipe: The complete recipe.
        clips: The clips by id.
        pairs: The pairs, in order.
        reading: How the clips are read.
        convert: Whether to make fakes, not only models.
        keep_faces: Whether to write face crops and alignments too.
        name: Name of the run; None for the name that `run_name` derives from the output folder.
        seed: Seed of the random pairing; None if the pairs were given.
        given: Folders of existing models, by pair.
        splits: Texts of the files of the splits, by name; empty without splits.
        estimate: What the plan expects it to cost; None if unknown.
        base: The model on this machine from which trainings start; None for what the recipe says.
        retention: Days that results stay in the bucket after the run has ended, by their kind.
        gates: The bars that fakes are held to.
        rights: The rights to the clips; those of other clips are unstated.
        about: What people should know of the dataset.
    """

    recipe: recipe_pb2.Recipe
    clips: Mapping[str, Clip]
    pairs: Sequence[Pair] = ()
    reading: Reading = field(default_factory=Reading)
    convert: bool = True
    keep_faces: bool = False
    name: str | None = None
    seed: int | None = None
    given: Mapping[Pair, Path] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    base: Path | None = None
    retention: Mapping[str, int] = field(default_factory=dict)
    estimate: Estimate | None = None
    gates: Sequence[Gate] = DEFAULT_GATES
    rights: ClipRights = field(default_factory=ClipRights)
    about: About = field(default_factory=About)

    @property
    def clip_rights(self) -> ClipRights:
        """The rights to the clips that are used, and their records."""
        used = {clip for pair in self.pairs for clip in pair} or set(self.clips)
        clips = {clip: self.rights.digest_of(clip) for clip in sorted(used)}
        found = set(clips.values())
        return ClipRights(clips, {digest: record for digest, record in self.rights.records.items() if digest in found})


@dataclass(frozen=True)
class Connections:
    """What a run is made with.

    Attributes:
        transfers: The client of the services, and the connections by which files come and go.
        store: The object store, for a copy of the record; None without keys of it.
        limits: How much work is under way at once.
    """

    transfers: Transfers
    store: Store | None
    limits: Limits


@dataclass(frozen=True)
class Making:
    """A run that can be started.

    Attributes:
        plan: What it makes.
        output: Takes the files of the dataset.
        record: The record of the run.
        run: Runs single stages, for commands that do not make pairs.
    """

    plan: RunPlan
    output: Output
    record: RunRecord
    run: DatasetRun

    @property
    def layout(self) -> Layout:
        """Names the paths of the files."""
        return self.output.layout

    def make_pairs(self) -> list[PairRecord]:
        """Write filelist, rights and splits, make all pairs, and return their records, of those that failed too."""
        filelist = self.layout.filelist()
        files.write(filelist, (json.dumps([list(pair) for pair in self.plan.pairs], indent=1) + "\n").encode())
        files.write(filelist.parent / RIGHTS_FILE, codec.to_json(self.plan.clip_rights) + b"\n")
        for name, text in self.plan.splits.items():
            files.write(splits_folder(self.layout) / name, text.encode())
        self.output.begin(self.record)
        records = self.run.run(self.plan.pairs, self.plan.clips, self.plan.given)
        self.output.commit(self.record, records)
        return records


def assemble(plan: RunPlan, output: Output, connections: Connections, on_event: OnEvent, command: str) -> Making:
    """Put a run together. At each save of its record, the report is written, and the store gets the record and the log.

    A base on this machine is uploaded.

    Args:
        plan: What the run makes.
        output: Takes the files of the dataset.
        connections: What the run is made with.
        on_event: Called with each event, from many threads.
        command: The command line that started the run, for the record.

    Raises:
        InvalidInput: a frame rate is that of no clip, or the name of the run is not valid.
        Unusable: clips, or rights to them, were revoked (REVOKED); without keys of the store the services tell it.
    """
    plan.reading.check(plan.clips)
    layout, rights = output.layout, plan.clip_rights
    name = run_name(plan.name, layout)
    if connections.store is not None:
        refuse_revoked(connections.store, *rights.records)
        refuse_revoked_clips(connections.store, name, rights.clips)
    recipe = recipe_pb2.Recipe()
    recipe.CopyFrom(plan.recipe)
    if plan.base is not None:
        recipe.training.start_from = models.upload(connections.transfers, plan.base)
        recipe = recipes.resolve(recipe)
    record = RunRecord(name, command, recipes.options(recipe), plan.seed, layout=layout.name, estimate=plan.estimate)
    record.retention, record.gates = dict(plan.retention), list(plan.gates)
    record.about = plan.about
    record.rights, record.rights_end = rights.summary(), rights.end
    log = RunLog(_earlier_events(name, connections.store))
    on_event = _both(log.add, on_event)
    recorder = RunRecorder(
        record,
        RunFolder(layout.run_folder()),
        on_event,
        upload=_upload(keys.run(name), connections.store, log),
        on_save=report.ReportWriter(layout, with_pages=isinstance(output, FolderOutput)).write,
    )
    stages = ServiceStages(
        connections.transfers,
        recipes.portable(recipe),
        output,
        recorder,
        on_event,
        keep_faces=plan.keep_faces,
        reading=plan.reading,
    )
    run = DatasetRun(
        stages,
        recorder,
        on_event,
        convert=plan.convert,
        compare=recipe.extraction.identity,
        gates=plan.gates,
        limits=connections.limits,
        version=output.version,
    )
    return Making(plan, output, record, run)


def run_name(name: str | None, layout: Layout) -> str:
    """Return the name of a run: the given name, or the name of the earlier run in the folder, or a new unique name.

    Args:
        name: The given name, if any.
        layout: Layout of the output folder, in which an earlier run may have left its record.
    """
    chosen = name or RunFolder(layout.run_folder()).run_name()
    if chosen is None:
        folder = re.sub(r"[^A-Za-z0-9._-]+", "-", layout.root.resolve().name).lstrip("._-")[:54] or "run"
        chosen = f"{folder}-{secrets.token_hex(4)}"
    keys.run(chosen)
    return chosen


def _upload(prefix: str, store: Store | None, log: RunLog) -> Callable[[str, bytes], None]:
    def upload(name: str, data: bytes) -> None:
        if store is None:
            return
        if name == RUN_FILE:
            document.put(store, f"{prefix}/{LOG_FILE}", document.encode(log.record()))
        document.put(store, f"{prefix}/{name}", data)  # if this fails, the next save repeats it

    return upload


def _earlier_events(name: str, store: Store | None) -> Sequence[LoggedEvent]:
    """Return the events of earlier starts of a run; none if there is no log of them that can be read."""
    try:
        found = stored_log(store, name) if store is not None else None
    except (DataLoss, Unusable):
        found = None
    return found.events if found is not None else ()


def _both(first: OnEvent, second: OnEvent) -> OnEvent:
    def call(event: Event) -> None:
        first(event)
        second(event)

    return call
