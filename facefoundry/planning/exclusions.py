"""What `exclude.frames` of a dataset file leaves out of what is known of clips. Pure functions."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.planning.dataset_file import Exclusions
from facefoundry.planning.facts import ClipFacts
from facefoundry.recipes import ranges

__all__ = ["check_exclusions", "without_excluded"]


def check_exclusions(excluded: Exclusions, clips: Container[str], facts: Mapping[str, ClipFacts] | None = None) -> None:
    """Check that excluded frames are those of clips, and as far as these are known, within them.

    Args:
        excluded: What the dataset leaves out.
        clips: The ids of the clips.
        facts: What is known of clips, by id.

    Raises:
        InvalidInput: the file excludes frames of no clip, or beyond the end of one; the message names all of them
            (EXCLUDED_FRAMES).
    """
    wrong = list(_violations(excluded, clips, facts or {}))
    if wrong:
        listed = "; ".join(f"{each.field} {each.description}" for each in wrong)
        raise InvalidInput(f"The dataset file is wrong: {listed}.", reason="EXCLUDED_FRAMES", violations=wrong)


def _violations(
    excluded: Exclusions, clips: Container[str], facts: Mapping[str, ClipFacts]
) -> Iterator[FieldViolation]:
    for clip_id in excluded.frames:
        field = f"exclude.frames.{clip_id}"
        if clip_id not in clips and clip_id not in excluded.clips:
            yield FieldViolation(field, "must be the id of a clip of the sources")
        elif clip_id in facts and not facts[clip_id].reason:
            yield from ranges.out_of_bounds(excluded.ranges_of(clip_id), facts[clip_id].frames, field)


def without_excluded(facts: Mapping[str, ClipFacts], excluded: Exclusions) -> dict[str, ClipFacts]:
    """Return what was found in the frames of clips that are not excluded."""
    return {clip_id: _without(known, excluded.ranges_of(clip_id)) for clip_id, known in facts.items()}


def _without(facts: ClipFacts, left_out: list[ranges.Range]) -> ClipFacts:
    if not left_out:
        return facts
    samples = [sample for sample in facts.samples if not ranges.contain(left_out, sample.frame)]
    cuts = [frame for frame in facts.cuts if not ranges.contain(left_out, frame)]
    return replace(facts, samples=samples, cuts=cuts)
