"""Makes the dataset that a dataset file describes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from facefoundry.client import Client
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.progress import OnEvent
from facefoundry.dataset.record import PairRecord
from facefoundry.dataset.scheduler import Limits
from facefoundry.dataset.subjects import with_subjects
from facefoundry.dataset.transfer import Transfers
from facefoundry.planning import yaml_file
from facefoundry.planning.check import CheckFolder, content_of, features_of, known_facts, reading_of
from facefoundry.planning.clips import ListObjects, SourceClip, find_clips
from facefoundry.planning.dataset_file import DatasetFile, RoundRobin, Shuffle
from facefoundry.planning.estimate import estimate
from facefoundry.planning.exclusions import check_exclusions, without_excluded
from facefoundry.planning.making import Connections, RunPlan, assemble
from facefoundry.planning.objects import lister
from facefoundry.planning.outputs import FOLDER, check_output, open_output
from facefoundry.planning.recipe import base_of, recipe_of, request_of
from facefoundry.planning.resolve import ResolvedDataset, resolve, splits_json
from facefoundry.planning.rights import rights_of
from facefoundry.recipes import ranges
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store

__all__ = ["plan_of", "run"]


def run(
    dataset_file: str | Path,
    out: str | Path | None = None,
    client: Client | None = None,
    *,
    layout: str | None = None,
    limits: Limits | None = None,
    on_event: OnEvent = lambda _: None,
) -> list[PairRecord]:
    """Make the dataset that a dataset file describes. What is finished is not made again.

    Args:
        dataset_file: The dataset file.
        out: Folder of the results, or a place in a bucket, `s3://bucket/datasets/NAME/`; by default `output` of the
            dataset file, or the folder `output`.
        client: The client of the services; by default one with the addresses of the environment.
        layout: Name of an installed layout; by default that of the folder's earlier run, or `ffpp`.
        limits: How much work is under way at once.
        on_event: Called with each event of the run, from many threads.

    Returns:
        The records of all pairs, of those that failed too.

    Raises:
        InvalidInput: the dataset file is wrong, its clips cannot be divided into splits, or they are paired by their
            faces and were not checked, or changed since then (NOT_CHECKED); nothing is stated about the rights to a
            clip, or they have ended (RIGHTS); or the output cannot be made there (OUTPUT,
            LAYOUT, NO_KEYS).
    """
    if client is None:
        with Client() as own:
            return run(dataset_file, out, own, layout=layout, limits=limits, on_event=on_event)
    settings = read(StoreSettings)
    dataset = yaml_file.load(Path(dataset_file))
    place = str(out or dataset.output or FOLDER)
    check_output(place, layout, settings)
    plan, _ = plan_of(Path(dataset_file), lister(settings))
    store = Store(settings) if settings.has_keys else None
    connections = Connections(Transfers(client), store, limits or Limits())
    command = f"facefoundry.run({str(dataset_file)!r}, {place!r})"
    with open_output(place, layout, store, with_models=dataset.keep_models) as output:
        return assemble(plan, output, connections, on_event, command).make_pairs()


def plan_of(path: Path, list_objects: ListObjects) -> tuple[RunPlan, ResolvedDataset]:
    """Return what a run makes of a dataset file, and its clips, splits and pairs; errors are as in `run`.

    Args:
        path: The dataset file.
        list_objects: Lists a prefix of a bucket.
    """
    dataset = yaml_file.load(path)
    recipe, reading, folder = recipe_of(dataset), reading_of(dataset), path.parent
    clips = find_clips(dataset, folder, list_objects)
    rights = rights_of({clip_id: clip.rights for clip_id, clip in clips.items()}, date.today())
    check_exclusions(dataset.exclude, clips)
    facts = without_excluded(known_facts(CheckFolder.of(path), clips, reading), dataset.exclude)
    features = features_of(facts, clips, recipe.extraction.engine)
    resolved = resolve(dataset, folder, list_objects, features, content_of(facts))
    known = all(clip in facts for pair in resolved.pairs for clip in pair)
    rates = CheckFolder.of(path).rates()
    plan = RunPlan(
        recipe,
        _clips(dataset, resolved.clips, folder),
        resolved.pairs,
        reading,
        keep_faces=dataset.keep_faces,
        name=dataset.name,
        seed=dataset.pairs.seed if isinstance(dataset.pairs, Shuffle | RoundRobin) else None,
        splits=splits_json(resolved),
        base=base_of(request_of(dataset), folder),
        retention=dataset.retention.days(),
        gates=dataset.gates,
        rights=rights,
        about=dataset.about,
        estimate=estimate(resolved.pairs, facts, recipe, rates) if known else None,
    )
    return plan, resolved


def _clips(dataset: DatasetFile, clips: dict[str, SourceClip], base: Path) -> dict[str, Clip]:
    """Return the clips with their subjects and excluded frames.

    The path of a picture of a subject is relative to the dataset file.
    """
    found = {
        clip_id: replace(clip.clip, excluded_frames=tuple(map(ranges.to_message, dataset.exclude.ranges_of(clip_id))))
        for clip_id, clip in clips.items()
    }
    assignments = []
    for clip_id, who in dataset.subjects.items():
        picture = base / who
        assignments.append(f"{clip_id}={picture if picture.is_file() else who}")
    return with_subjects(found, assignments)
