"""Checks a dataset file: its clips with the extractor, its splits and pairs, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from facefoundry import recipes
from facefoundry.client import Client
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.planning import yaml_file
from facefoundry.planning.check import Checker, CheckFolder, content_of, features_of, known_facts, reading_of
from facefoundry.planning.clips import ListObjects, find_clips
from facefoundry.planning.dataset_file import Nearest
from facefoundry.planning.estimate import Rates, estimate, rates_of
from facefoundry.planning.exclusions import check_exclusions, without_excluded
from facefoundry.planning.facts import ClipFacts
from facefoundry.planning.objects import lister
from facefoundry.planning.outcome import Outcome
from facefoundry.planning.recipe import recipe_of
from facefoundry.planning.resolve import resolve
from facefoundry.planning.rights import rights_of
from facefoundry.settings import StoreSettings, read
from facefoundry.v1 import recipe_pb2

__all__ = ["SAMPLE_FRAMES", "check", "check_with"]

SAMPLE_FRAMES = 12
"""Number of frames of a clip that are searched for faces."""


def check(
    dataset_file: str | Path,
    client: Client | None = None,
    *,
    sample_frames: int = SAMPLE_FRAMES,
    threads: int = 4,
    rates: str | Path | None = None,
    on_clip: Callable[[ClipFacts], None] = lambda _: None,
) -> Outcome:
    """Check a dataset before any of it is made, and write what was found beside the dataset file.

    Args:
        dataset_file: The dataset file.
        client: The client of the services; by default one with the addresses of the environment.
        sample_frames: Number of frames of each clip to search for faces, at most 64.
        threads: Number of clips that are checked at once.
        rates: Output folder of an earlier run, whose speed and sizes are used for the estimate.
        on_clip: Called with what was found out about each clip, from many threads.

    Raises:
        InvalidInput: the dataset file is wrong, its clips cannot be divided into splits, or nothing is stated about the
            rights to a clip, or they have ended (RIGHTS).
        FaceFoundryError: a service or the store does not answer.
    """
    if client is None:
        with Client() as own:
            return check(dataset_file, own, sample_frames=sample_frames, threads=threads, rates=rates, on_clip=on_clip)
    path, folder = Path(dataset_file), Path(rates) if rates is not None else None
    list_objects = lister(read(StoreSettings))
    return check_with(path, Transfers(client), list_objects, sample_frames, threads, folder, on_clip)


def check_with(
    path: Path,
    transfers: Transfers,
    list_objects: ListObjects,
    sample_frames: int,
    threads: int,
    rates: Path | None,
    on_clip: Callable[[ClipFacts], None],
) -> Outcome:
    """Check a dataset through open connections; arguments and errors are as in `check`."""
    dataset = yaml_file.load(path)
    recipe = recipe_of(dataset)
    measured = _rates(rates, recipe)
    clips = find_clips(dataset, path.parent, list_objects)
    today = date.today()
    rights = rights_of({clip_id: clip.rights for clip_id, clip in clips.items()}, today)
    check_exclusions(dataset.exclude, clips)
    folder, engine = CheckFolder.of(path), recipe.extraction.engine
    if not isinstance(dataset.pairs, Nearest):  # what is wrong without a look at the clips is found at once
        content = content_of(known_facts(folder, clips, reading_of(dataset)))
        resolve(dataset, path.parent, list_objects, content=content)
    facts = Checker(dataset, transfers, folder, engine, sample_frames).check(clips, threads, on_clip)
    check_exclusions(dataset.exclude, clips, facts)
    facts = without_excluded(facts, dataset.exclude)
    features = features_of(facts, clips, engine)
    resolved = resolve(dataset, path.parent, list_objects, features, content_of(facts))
    cost = estimate(resolved.pairs, facts, recipe, measured)
    outcome = Outcome(dataset.name, resolved, facts, measured, cost, rights, today)
    outcome.write(folder)
    return outcome


def _rates(out: Path | None, recipe: recipe_pb2.Recipe) -> Rates:
    """Return what the run in an output folder measured."""
    if out is None:
        return Rates()
    layout = layout_of(out)
    folder = RunFolder(layout.run_folder())
    try:
        run, pairs = folder.load_run(), list(folder.load_pairs())
    except NotFound as error:
        raise InvalidInput(error.message, reason=error.reason) from error
    training = recipes.options(recipe)["training"]
    return rates_of(run, pairs, training if isinstance(training, dict) else {})
