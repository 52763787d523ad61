"""Looks at all real videos of a dataset in sandboxes, and compares its splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from facefoundry import codec
from facefoundry.checks.balance import BalanceReport, Look, balance, path_of
from facefoundry.checks.checking import Progress, require_libraries, run_all
from facefoundry.checks.videos import Fake, Found, find_fakes, levels_of
from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.plan import read_filelist
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.splits import split_files
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.process.sandbox import Sandbox

__all__ = ["check_balance"]

_NAMED = 5
_QUALITY = ("swapped_share", "sharpness", "seam", "identity", "head_turn")


def check_balance(
    layout: Layout,
    *,
    subjects: Mapping[str, str] | None = None,
    processes: int | None = None,
    on_progress: Progress = lambda done, total, last: None,
) -> BalanceReport:
    """Find near-identical clips, and what is unequal between the splits of a dataset, and write `balance.json`.

    Args:
        layout: The dataset's folder.
        subjects: Who is shown in each sequence, by its id; by default every sequence shows another person.
        processes: Number of processes that look at videos; by default one for each core.
        on_progress: Called after each video.

    Raises:
        InvalidInput: there are no fakes with labels (NO_FAKES), or libraries are missing.
    """
    require_libraries()
    levels = levels_of(layout)
    found = find_fakes(layout, levels)
    # The level that decodes fastest: the last one of the recipe is the smallest.
    chosen = next(level for level in reversed(levels) if any(fake.level == level for fake in found.fakes))
    by_target = {fake.target: fake for fake in found.fakes if fake.level == chosen and fake.labels}
    if not by_target:
        message = f"Expected labels beside the fakes of {layout.root}. Received none: their boxes say where faces are."
        raise InvalidInput(message, reason="NO_FAKES")
    looks = dict[str, Look]()
    failed = [f"{path} is missing, so it was not looked at." for path in _without_video(found)]

    def see(sandbox: Sandbox, fake: Fake) -> None:
        values = list(sandbox.run("facefoundry.checks.faces:look", video=str(fake.real), labels=str(fake.labels)))[-1]
        looks[fake.target] = codec.from_values(Look, values if isinstance(values, dict) else {})

    for done, (fake, error) in enumerate(run_all(list(by_target.values()), see, processes), 1):
        on_progress(done, len(by_target), fake.target)
        if error:
            failed.append(f"{fake.target}: {error.message}")
    fakes = sorted({fake.id for fake in found.fakes})
    ordered = {name: looks[name] for name in sorted(looks)}
    splits, crossing = _splits(layout)
    report = balance(ordered, fakes, splits, subjects or {}, _quality(layout))
    report = replace(report, warnings=[*crossing, *report.warnings], failed=failed)
    files.write(path_of(layout), codec.to_standard_json(report))
    return report


def _without_video(found: Found) -> list[Path]:
    """Return a path of each real video that is missing at all levels."""
    targets = {fake.target for fake in found.fakes}
    return list({path.stem: path for path in found.missing if path.stem not in targets}.values())


def _splits(layout: Layout) -> tuple[dict[str, str], list[str]]:
    """Read the splits of a dataset file.

    Returns:
        The split of each sequence, and sentences on sequences that are in two.
    """
    found, twice = dict[str, str](), dict[str, str]()
    for name, path in split_files(layout).items():
        pairs = read_filelist(path, may_be_empty=True) if path.is_file() else []
        for clip in dict.fromkeys(clip for pair in pairs for clip in pair):
            other = found.setdefault(clip, name)
            if other != name:
                twice[clip] = f"{clip} ({other}, {name})"
    if not twice:
        return found, []
    named = ", ".join([*twice.values()][:_NAMED])
    return found, [f"Clips in two splits: {len(twice)}, such as {named}. A test on them measures nothing."]


def _quality(layout: Layout) -> dict[str, dict[str, float]]:
    """Return the measurements of the fakes in the run record, by id and name."""
    try:
        pairs = list(RunFolder(layout.run_folder()).load_pairs())
    except NotFound:
        return {}
    return {
        fake.id: {name: value for name in _QUALITY if (value := fake.quality.get(name)) is not None}
        for pair in pairs
        for fake in pair.fakes
    }
