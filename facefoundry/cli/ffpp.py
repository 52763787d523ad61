"""The subcommands that are modes of FF++'s script. Options have the script's spellings, and clearer long names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.ffpp_options import conversion_options, refused_options
from facefoundry.cli.options import (
    ConnectionOptions,
    OutputOptions,
    RecipeOptions,
    connection_options,
    output_options,
    recipe_options,
)
from facefoundry.cli.session import face_shares, make_dataset, open_session
from facefoundry.dataset import models, plan
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.subjects import with_subjects
from facefoundry.errors import InvalidInput, Unavailable
from facefoundry.planning.making import RunPlan
from facefoundry.storage import keys

__all__ = ["convert", "create_from_models", "extract_faces", "generate_models", "train"]

_FOLDER = click.Path(path_type=Path, file_okay=False)
_ANY = click.Path(path_type=Path)
_keep_faces_option = click.option(
    "--keep_temp_directories", "--keep-faces", "keep_faces", is_flag=True, help="Also write face crops and alignments."
)
_filelist_option = click.option("--filelist", type=_ANY, help='JSON file with pairs, [["033", "097"], ...].')
_name_option = click.option(
    "--name",
    help="Name of the run, for its trainings, and for a copy of its record in the bucket. The copy is made with "
    "--local, and if FACEFOUNDRY_STORE_ACCESS_KEY is set.  "
    "[default: the output folder's name and a random word, which the folder keeps]",
)


@click.command(name="generate-models", short_help="Train models on pairs of clips, and make their fakes.")
@refused_options("generate-models")
@click.option(
    "-i",
    "--data_path",
    "--clips",
    "clips_path",
    type=_ANY,
    required=True,
    help="Folder of clips: video files, or folders of frames.",
)
@_filelist_option
@click.option(
    "--seed",
    type=click.IntRange(0, 2**53 - 1),
    default=0,
    show_default=True,
    help="Seed of the random pairing; not used with --filelist.",
)
@click.option(
    "--convert_images",
    "--convert",
    "convert_images",
    is_flag=True,
    help="Also make both fakes of each pair.",
)
@_keep_faces_option
@_name_option
@output_options
@recipe_options
@connection_options
def generate_models(
    clips_path: Path,
    filelist: Path | None,
    seed: int,
    convert_images: bool,
    keep_faces: bool,
    name: str | None,
    recipe: RecipeOptions,
    connection: ConnectionOptions,
    output: OutputOptions,
) -> None:
    """Train a model for each pair of clips. With --convert_images, also make the fakes.

    \b
    Examples:
      facefoundry generate-models --local -i CLIPS -o OUT --recipe preview -it 3000 --convert_images
      facefoundry generate-models -i CLIPS -o OUT --filelist pairs.json --convert_images

    Run the same command again to continue a run that was stopped.
    """
    clips = plan.find_clips(clips_path)
    messages, pairing_seed = plan.left_out(clips_path, clips), None
    if filelist is not None:
        pairs = plan.read_filelist(filelist)
    else:
        for clip in clips:
            keys.sequence_id(clip, field=str(clips_path / clip))
        pairs, left_over = plan.pair_up(list(clips), seed)
        pairing_seed = seed
        if left_over:
            messages.append(f"{left_over} is left out: the number of clips is odd, so this clip has no partner.")
    if not pairs:
        raise InvalidInput(f"Expected at least two clips in {clips_path}. Received one. Add a clip.", reason="NO_PAIRS")
    plan.require_clips(pairs, clips, clips_path)
    run_plan = replace(
        _plan(recipe, clips, output, name),
        pairs=pairs,
        convert=convert_images,
        keep_faces=keep_faces,
        seed=pairing_seed,
    )
    make_dataset(run_plan, connection, output, messages=messages)


@click.command(name="create-from-models", short_help="Make the fakes of pairs with models that exist.")
@refused_options("create-from-models")
@click.option(
    "-i", "--data_path", "--models", "models_path", type=_FOLDER, required=True, help="Folder of models <A>_<B>/."
)
@click.option(
    "-i2",
    "--data_path2",
    "--clips",
    "clips_path",
    type=_ANY,
    required=True,
    help="Folder of the models' clips.",
)
@_filelist_option
@_keep_faces_option
@_name_option
@output_options
@recipe_options
@connection_options
def create_from_models(
    models_path: Path,
    clips_path: Path,
    filelist: Path | None,
    keep_faces: bool,
    name: str | None,
    recipe: RecipeOptions,
    connection: ConnectionOptions,
    output: OutputOptions,
) -> None:
    """Make both fakes of each pair with models that exist.

    A model is a folder that generate-models wrote, or the three .h5 files of FF++, in <A>_<B>/ or <A>_<B>/models/.
    Without --filelist, models are left out if one of their clips is missing.

    \b
    Examples:
      facefoundry create-from-models --local -i OUT/manipulated_sequences/Deepfakes/models -i2 CLIPS -o OUT2
      facefoundry create-from-models -i PUBLISHED -i2 CLIPS -o OUT --filelist pairs.json

    Finished pairs are not made again.
    """
    found = models.find_models(layout_of(models_path))
    clips = plan.find_clips(clips_path)
    messages = [*found.others, *plan.left_out(clips_path, clips)]
    if filelist is not None:
        pairs = models.choose(found, plan.read_filelist(filelist), models_path)
    else:
        pairs = [pair for pair in found.models if pair.a in clips and pair.b in clips]
        without_clips = [pair.id for pair in found.models if pair not in pairs]
        if without_clips and pairs:
            messages.append(
                f"Models left out, because {clips_path} does not hold both of their clips: {', '.join(without_clips)}."
            )
    plan.require_clips(pairs or found.models, clips, clips_path)
    run_plan = replace(_plan(recipe, clips, output, name), pairs=pairs, keep_faces=keep_faces, given=found.models)
    make_dataset(run_plan, connection, output, messages=messages)


@click.command(name="extract-faces", short_help="Write the face crops of clips.")
@refused_options("extract-faces")
@click.option(
    "-i", "--data_path", "--clips", "clips_path", type=_ANY, required=True, help="A clip, or a folder of clips."
)
@output_options
@recipe_options
@connection_options
def extract_faces(
    clips_path: Path, recipe: RecipeOptions, connection: ConnectionOptions, output: OutputOptions
) -> None:
    """Write the aligned face crops and the alignments of each clip.

    \b
    Example:
      facefoundry extract-faces --local -i CLIPS -o OUT
    """
    clips = _clips_at(clips_path)
    run_plan = replace(_plan(recipe, clips, output), convert=False, keep_faces=True)
    run_plan.reading.check(clips)
    with open_session(run_plan, connection, output) as session:
        making = session.making
        for message in [] if _is_one_clip(clips_path) else plan.left_out(clips_path, clips):
            session.view.message(message)
        failed = making.run.extract(run_plan.clips)
        done = f"{len(clips) - len(failed)} of {len(clips)} clips done in {making.layout.root}. "
        session.view.message((done + face_shares(making.record)).rstrip())
    if failed:
        had_outage = any(isinstance(error, Unavailable) for error in failed.values())
        raise click.exceptions.Exit(1 if had_outage else SOME_FAILED)


@click.command()
@refused_options("train")
@click.option("-i", "--data_path", "--clip-a", "clip_a", type=_ANY, required=True, help="The clip of side A.")
@click.option("-i2", "--data_path2", "--clip-b", "clip_b", type=_ANY, required=True, help="The clip of side B.")
@_name_option
@output_options
@recipe_options
@connection_options
def train(
    clip_a: Path,
    clip_b: Path,
    name: str | None,
    recipe: RecipeOptions,
    connection: ConnectionOptions,
    output: OutputOptions,
) -> None:
    """Train the model of one pair.

    \b
    Example:
      facefoundry train --local -i 033.mp4 -i2 097.mp4 -o OUT --recipe preview -it 3000
    """
    a, b = _clip_at(clip_a), _clip_at(clip_b)
    pairs = plan.check_pairs([(a.id, b.id)], where="-i, -i2")
    run_plan = _plan(recipe, {a.id: a, b.id: b}, output, name)
    make_dataset(replace(run_plan, pairs=pairs, convert=False), connection, output)


@click.command()
@refused_options("convert")
@click.option(
    "-i",
    "--data_path",
    "--clip",
    "clip_path",
    type=_ANY,
    required=True,
    help="The target clip, whose frames get the other face.",
)
@click.option("--model_path", "--model", "model_path", type=_FOLDER, required=True, help="Folder of the model <A>_<B>.")
@click.option(
    "-s", "--swap_model", "--swap-model", "swap_model", is_flag=True, help="The clip is the model's side B, not A."
)
@conversion_options
@output_options
@recipe_options
@connection_options
def convert(
    clip_path: Path,
    model_path: Path,
    swap_model: bool,
    recipe: RecipeOptions,
    connection: ConnectionOptions,
    output: OutputOptions,
) -> None:
    """Make one fake with a model.

    \b
    Example:
      facefoundry convert --local -i 033.mp4 --model_path OUT/manipulated_sequences/Deepfakes/models/033_097 -o OUT2
    """
    clip = _clip_at(clip_path)
    found = models.find_models(layout_of(model_path)).models
    if len(found) != 1:
        message = f"Expected --model_path to be the folder of one model. {model_path} holds {len(found)} models."
        raise InvalidInput(message, reason="MODEL")
    pair, folder = next(iter(found.items()))
    run_plan = _plan(recipe, {clip.id: clip}, output)
    run_plan.reading.check([clip.id])
    with open_session(run_plan, connection, output) as session:
        making = session.making
        fake = making.run.convert_clip(run_plan.clips[clip.id], folder, pair, swap_model=swap_model)
        video = making.layout.fake_video("raw", fake.id)
        session.view.message(f"{fake.swapped} of {fake.frames} frames swapped: {video}")


def _plan(recipe: RecipeOptions, clips: Mapping[str, Clip], output: OutputOptions, name: str | None = None) -> RunPlan:
    """Return the plan of a run on clips, by the options that all commands have."""
    subjects = with_subjects(clips, recipe.subjects)
    return RunPlan(recipe.resolve(), subjects, reading=output.reading, name=name, base=recipe.base)


def _clips_at(path: Path) -> dict[str, Clip]:
    if _is_one_clip(path):
        clip = _clip_at(path)
        return {clip.id: clip}
    clips = plan.find_clips(path)
    for name in clips:
        keys.sequence_id(name, field=str(path / name))
    return clips


def _is_one_clip(path: Path) -> bool:
    return path.is_file() or plan.is_frame_folder(path)


def _clip_at(path: Path) -> Clip:
    if not path.is_file() and not plan.is_frame_folder(path):
        raise InvalidInput(
            f"Expected a video file or a folder of frames. Received {path}, which is neither or does not exist.",
            reason="INPUT_FILE",
        )
    if path.is_file() and path.suffix.lower() not in plan.CLIP_SUFFIXES:
        raise InvalidInput(
            f"Expected a clip with one of the suffixes {', '.join(sorted(plan.CLIP_SUFFIXES))}. Received {path}. "
            "Rename it.",
            reason="INPUT_FILE",
        )
    return Clip(keys.sequence_id(path.stem if path.is_file() else path.name, field=str(path)), path)
