"""The five modes of the original FaceForensics++ script, with its spellings beside clear long names."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from facefoundry import recipes
from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.options import (
    Connection,
    connect,
    connection_options,
    frame_rate_of,
    output_options,
    recipe_of,
    recipe_options,
)
from facefoundry.cli.original import conversion_options, refused_options
from facefoundry.cli.view import View, make_view
from facefoundry.dataset import models, plan
from facefoundry.dataset.ffpp_layout import Layout
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.record import RunRecord, name_in
from facefoundry.dataset.run import DatasetRun
from facefoundry.errors import InvalidInput, Unavailable
from facefoundry.storage import keys
from facefoundry.v1 import recipe_pb2

# From this bottleneck and number of iterations on, a training takes months on a CPU: about a minute an iteration.
_LARGE, _MANY = 1024, 100_000

_FOLDER = click.Path(path_type=Path, file_okay=False)
_ANY = click.Path(path_type=Path)
_out = click.option(
    "-o",
    "--output_path",
    "--output",
    "out",
    type=_FOLDER,
    default="output",
    show_default=True,
    help="Folder of the results.",
)
_keep = click.option(
    "--keep_temp_directories", "--keep-faces", "keep_faces", is_flag=True, help="Also write face crops and alignments."
)
_filelist = click.option("--filelist", type=_ANY, help='JSON list of pairs, [["033", "097"], ...].')
_name = click.option(
    "--name",
    help="Name of the run: its record in the bucket, its label in the trainer.  "
    "[default: the output folder's name and a random word, kept in the folder]",
)


@click.command(name="generate-models")
@refused_options("generate-models")
@click.option(
    "-i",
    "--data_path",
    "--clips",
    "clips_path",
    type=_ANY,
    required=True,
    help="Folder of video files or of frame folders.",
)
@_out
@_filelist
@click.option("--seed", default=0, show_default=True, help="Seed of the pairing where there is no filelist.")
@click.option(
    "--convert_images",
    "--convert",
    "convert_images",
    is_flag=True,
    help="Also make both manipulated sequences of each pair.",
)
@_keep
@_name
@recipe_options
@connection_options
@output_options
def generate_models(
    clips_path: Path,
    filelist: Path | None,
    seed: int,
    convert_images: bool,
    keep_faces: bool,
    name: str | None,
    **common: Any,
) -> None:
    """Train a model for each pair of clips; with --convert_images also make the fakes.

    \b
    Examples:
      facefoundry generate-models --local -i CLIPS -o OUT --recipe preview -it 3000 --convert_images
      facefoundry generate-models -i CLIPS -o OUT --filelist pairs.json --convert_images

    Running the same command again goes on where it stopped.
    """
    clips = plan.find_clips(clips_path)
    left_over, paired_by = None, None
    if filelist is not None:
        pairs = plan.read_filelist(filelist)
    else:
        for clip in clips:
            keys.sequence_id(clip, field=str(clips_path / clip))
        pairs, left_over = plan.pair_up(list(clips), seed)
        paired_by = seed
    if not pairs:
        raise InvalidInput(f"{clips_path} holds only one sequence; a pair needs two.", reason="NO_PAIRS")
    plan.require(pairs, clips, clips_path)
    notes = [f"{left_over} is left over: an odd number of clips cannot all be paired."] if left_over else []
    _run(pairs, clips, convert=convert_images, keep_faces=keep_faces, name=name, seed=paired_by, notes=notes, **common)


@click.command(name="create-from-models")
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
    help="Folder of the clips the models belong to.",
)
@_out
@_filelist
@_keep
@_name
@recipe_options
@connection_options
@output_options
def create_from_models(
    models_path: Path, clips_path: Path, filelist: Path | None, keep_faces: bool, name: str | None, **common: Any
) -> None:
    """Make both manipulated sequences of each pair from models that exist.

    A model is what generate-models writes, or the three .h5 files that FaceForensics++ published, in <A>_<B>/ or
    <A>_<B>/models/. Without --filelist, models whose clips are not there are left out.

    \b
    Examples:
      facefoundry create-from-models --local -i OUT/manipulated_sequences/Deepfakes/models -i2 CLIPS -o OUT2
      facefoundry create-from-models -i PUBLISHED -i2 CLIPS -o OUT --filelist pairs.json

    Pairs that are done are found, not made again.
    """
    found = models.find_models(models_path)
    clips = plan.find_clips(clips_path)
    notes = list(found.others)
    if filelist is not None:
        pairs = models.choose(found, plan.read_filelist(filelist), models_path)
    else:
        pairs = [pair for pair in found.models if pair.a in clips and pair.b in clips]
        without = [pair.id for pair in found.models if pair not in pairs]
        if without and pairs:
            notes.append(f"{', '.join(without)} left out: {clips_path} does not hold both clips.")
    plan.require(pairs or found.models, clips, clips_path)
    _run(pairs, clips, convert=True, keep_faces=keep_faces, name=name, given=found.models, notes=notes, **common)


@click.command(name="extract-faces")
@refused_options("extract-faces")
@click.option(
    "-i", "--data_path", "--clips", "clips_path", type=_ANY, required=True, help="A clip, or a folder of clips."
)
@_out
@recipe_options
@connection_options
@output_options
def extract_faces(clips_path: Path, out: Path, as_json: bool, fps: str, **common: Any) -> None:
    """Write the aligned face crops of each clip and its alignments.

    \b
    Example:
      facefoundry extract-faces --local -i CLIPS -o OUT
    """
    clips = _clips_at(clips_path)
    with _session(out, as_json, fps, name=None, seed=None, keep_faces=True, convert=False, **common) as (_, run):
        failed = run.extract(clips)
    if failed:
        raise click.exceptions.Exit(
            1 if any(isinstance(error, Unavailable) for error in failed.values()) else SOME_FAILED
        )


@click.command()
@refused_options("train")
@click.option("-i", "--data_path", "--clip-a", "clip_a", type=_ANY, required=True, help="The clip of side A.")
@click.option("-i2", "--data_path2", "--clip-b", "clip_b", type=_ANY, required=True, help="The clip of side B.")
@_out
@_name
@recipe_options
@connection_options
@output_options
def train(clip_a: Path, clip_b: Path, name: str | None, **common: Any) -> None:
    """Train one pair's model.

    \b
    Example:
      facefoundry train --local -i 033.mp4 -i2 097.mp4 -o OUT --recipe preview -it 3000
    """
    a, b = _one_clip(clip_a), _one_clip(clip_b)
    pairs = plan.pairs_of([(a.id, b.id)], origin="-i, -i2")
    _run(pairs, {a.id: a, b.id: b}, convert=False, keep_faces=False, name=name, **common)


@click.command()
@refused_options("convert")
@click.option(
    "-i",
    "--data_path",
    "--clip",
    "clip_path",
    type=_ANY,
    required=True,
    help="The target clip: its frames get the other face.",
)
@click.option("--model_path", "--model", "model_path", type=_FOLDER, required=True, help="Folder of the model <A>_<B>.")
@click.option(
    "-s", "--swap_model", "--swap-model", "swap_model", is_flag=True, help="The clip is the model's side B, not A."
)
@_out
@conversion_options
@recipe_options
@connection_options
@output_options
def convert(
    clip_path: Path, model_path: Path, swap_model: bool, out: Path, as_json: bool, fps: str, **common: Any
) -> None:
    """Make one manipulated sequence from a model.

    \b
    Example:
      facefoundry convert --local -i 033.mp4 --model_path OUT/manipulated_sequences/Deepfakes/models/033_097 -o OUT2
    """
    clip = _one_clip(clip_path)
    found = models.find_models(model_path).models
    if len(found) != 1:
        raise InvalidInput(f"{model_path} holds {len(found)} models; name one of them.", reason="MODEL")
    pair, folder = next(iter(found.items()))
    with _session(out, as_json, fps, name=None, seed=None, keep_faces=False, convert=True, **common) as (view, run):
        fake = run.convert_one(clip, folder, pair, swap_model=swap_model)
        view.say(f"{fake.swapped} of {fake.frames} frames swapped: {Layout(out).fake_video('raw', fake.id)}")


def _clips_at(path: Path) -> dict[str, Clip]:
    if path.is_file() or plan.is_frame_folder(path):
        clip = _one_clip(path)
        return {clip.id: clip}
    clips = plan.find_clips(path)
    for name in clips:
        keys.sequence_id(name, field=str(path / name))
    return clips


def _one_clip(path: Path) -> Clip:
    if not path.is_file() and not plan.is_frame_folder(path):
        raise InvalidInput(f"{path} is neither a video file nor a folder of frames.", reason="INPUT_FILE")
    return Clip(keys.sequence_id(path.stem if path.is_file() else path.name, field=str(path)), path)


def _run(
    pairs: Sequence[Pair],
    clips: Mapping[str, Clip],
    *,
    out: Path,
    as_json: bool,
    fps: str,
    convert: bool,
    keep_faces: bool,
    name: str | None,
    seed: int | None = None,
    notes: Sequence[str] = (),
    given: Mapping[Pair, Path] | None = None,
    **common: Any,
) -> None:
    """A dataset run with its view, filelist, report and exit code."""
    with _session(out, as_json, fps, name=name, seed=seed, keep_faces=keep_faces, convert=convert, **common) as (
        view,
        run,
    ):
        text = json.dumps([list(pair) for pair in pairs], indent=1)
        Layout(out).filelist().write_text(text + "\n", encoding="utf-8")
        for note in (*notes, *([] if given else _months(run.recipe, **common))):
            view.say(note)
        if seed is not None:
            view.say(f"Paired by seed {seed}: {', '.join(pair.id for pair in pairs[:8])}; see {Layout(out).filelist()}")
        record = run.run(pairs, clips, given)
        failed = [pair for pair in record.pairs if pair.state == "failed"]
        for pair in failed:
            failure = pair.failure or {}
            view.say(f"{pair.id} failed: {failure.get('message')} [{failure.get('reason')}]")
        before = sum(pair.was_done for pair in record.pairs)
        found = f" ({before} found, not made again)" if before else ""
        view.say(
            f"{len(pairs) - len(failed)} of {len(pairs)} pairs done in {out}{found}; look at {out / 'report.html'}"
        )
    if failed:
        raise click.exceptions.Exit(1 if run.had_outage else SOME_FAILED)


def _months(recipe: recipe_pb2.Recipe, *, use_local: bool, **_: Any) -> list[str]:
    """A sentence where a network of the original's size is to be trained on this machine's CPU."""
    training = recipe.training
    if not use_local or training.bottleneck < _LARGE or training.iterations < _MANY or not _cpu_only():
        return []
    return [
        f"{training.iterations:,} iterations of this network take months on a CPU, and TensorFlow is installed here "
        "for CPUs. With a GPU install the one with CUDA (README, Recipes); for a look use --recipe preview."
    ]


def _cpu_only() -> bool:
    try:
        return bool(metadata.version("tensorflow-cpu"))
    except metadata.PackageNotFoundError:
        return False


@contextmanager
def _session(
    out: Path,
    as_json: bool,
    fps: str,
    *,
    name: str | None,
    seed: int | None,
    keep_faces: bool,
    convert: bool,
    recipe_name: str,
    iterations: int | None,
    assignments: tuple[str, ...],
    use_local: bool,
    local_dir: Path | None,
    **addresses: str | None,
) -> Iterator[tuple[View, DatasetRun]]:
    """Everything around a run: recipe, connection, view, record; an interruption says how to go on."""
    recipe = recipe_of(recipe_name, iterations, assignments)
    frame_rate = frame_rate_of(fps)
    command = shlex.join(["facefoundry", *sys.argv[1:]])
    record = RunRecord(name=_run_name(name, out), command=command, recipe=recipes.options(recipe), seed=seed)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with make_view(as_json) as view, connect(use_local, local_dir, view.say, **addresses) as connection:
            yield view, _dataset_run(connection, recipe, record, out, view, convert, keep_faces, frame_rate)
    except KeyboardInterrupt:
        click.echo(f"\nStopped. What is finished is kept; this goes on from there:\n  {command}", err=True)
        raise click.exceptions.Exit(130) from None


def _dataset_run(
    connection: Connection,
    recipe: recipe_pb2.Recipe,
    record: RunRecord,
    out: Path,
    view: View,
    convert: bool,
    keep_faces: bool,
    frame_rate: Any,
) -> DatasetRun:
    from facefoundry import report

    return DatasetRun(
        connection.client,
        connection.store,
        recipe,
        record,
        out,
        view.event,
        convert=convert,
        keep_faces=keep_faces,
        frame_rate=frame_rate,
        limits=connection.limits,
        on_record=lambda: report.write(out),
    )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run_name(name: str | None, out: Path) -> str:
    """The name as it was given, or the one this folder's run has had so far, or a new one that nobody else has."""
    chosen = name or name_in(Layout(out).report())
    if chosen is None:
        folder = re.sub(r"[^A-Za-z0-9._-]+", "-", out.resolve().name).lstrip("._-")[:54] or "run"
        chosen = f"{folder}-{secrets.token_hex(4)}"
    keys.run(chosen)
    return chosen
