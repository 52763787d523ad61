"""The models of `dataset.yaml`, the file that describes a dataset. `yaml_file` reads and writes it.

The description of each field is also the comment above it in a file that `facefoundry plan` writes.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator

from facefoundry import recipes
from facefoundry.dataset.about import About
from facefoundry.dataset.gates import DEFAULT_GATES, Gate
from facefoundry.dataset.rights import UNSTATED, Rights
from facefoundry.recipes import ranges

__all__ = [
    "FORMAT",
    "CelebDfTree",
    "ClipFolder",
    "ClipList",
    "DatasetFile",
    "DfdcTree",
    "Exclusions",
    "FfppTree",
    "Filelist",
    "GivenSplits",
    "Nearest",
    "NoSplits",
    "Pairing",
    "RecipeChoice",
    "Retention",
    "RightsChoice",
    "RoundRobin",
    "S3Prefix",
    "SharedSplits",
    "Shuffle",
    "Source",
    "SplitFiles",
    "Splitting",
    "Statement",
    "VoxCelebTree",
]

FORMAT = "facefoundry.dataset/1"

_SEED = Field(0, ge=0, lt=2**53, description="Seed of the random choices. Equal clips and seeds give equal results.")
_TOLERANCE = 1e-6


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _place(text: str) -> str:
    if text != UNSTATED and not text.endswith((".yaml", ".yml")):
        raise ValueError("expected unstated, a path that ends in .yaml, or a record of rights")
    return text


Statement = Annotated[
    Annotated[
        str,
        Field(max_length=1000, json_schema_extra={"pattern": r"^(unstated|.+\.ya?ml)$"}),
        AfterValidator(_place),
        Tag("place"),
    ]
    | Annotated[Rights, Tag("record")],
    Discriminator(lambda value: "place" if isinstance(value, str) else "record"),
]
"""What is stated about rights: a record, the path of a YAML file with one, or `unstated`."""


class _Source(_Model):
    rights: Statement | None = Field(
        None, description="Rights to the clips of this source; null for `default` of the rights below."
    )


class ClipFolder(_Source):
    """A folder of video files and folders of frames; subfolders are not searched."""

    kind: Literal["folder"] = "folder"
    path: str = Field(description="Path of the folder, relative to this file.")


class S3Prefix(_Source):
    """Videos below a prefix of a bucket. The extractor imports them; they do not pass through the client."""

    kind: Literal["s3"] = "s3"
    prefix: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]+/.*$", description="URI such as s3://bucket/clips/.")


class FfppTree(_Source):
    """FaceForensics++ as its script downloads it: original_sequences/youtube/<level>/videos/<id>.mp4."""

    kind: Literal["ffpp"] = "ffpp"
    path: str = Field(description="Folder that holds original_sequences, relative to this file.")
    level: str = Field("raw", description="Compression level of the clips to read: raw, c23 or c40.")
    splits: str = Field("", description="Folder of FF++'s train.json, val.json and test.json; empty to look for it.")
    conversion_dict: str = Field(
        "", description="FF++'s conversion_dict.json, which names the YouTube video of each clip; empty to look for it."
    )


class CelebDfTree(_Source):
    """Celeb-DF as downloaded: the real videos in Celeb-real and YouTube-real."""

    kind: Literal["celeb-df"] = "celeb-df"
    path: str = Field(description="Folder that holds Celeb-real, relative to this file.")


class DfdcTree(_Source):
    """DFDC as downloaded: the real videos of the folders with a metadata.json."""

    kind: Literal["dfdc"] = "dfdc"
    path: str = Field(description="Folder that holds dfdc_train_part_N, or one such folder, relative to this file.")


class VoxCelebTree(_Source):
    """VoxCeleb as downloaded: {dev,test}/mp4/<speaker>/<YouTube id>/<clip>.mp4."""

    kind: Literal["voxceleb"] = "voxceleb"
    path: str = Field(description="Folder that holds dev, test or mp4, relative to this file.")


class ClipList(_Source):
    """A CSV file with the columns clip, and where known id, subject, source_video, rights and split."""

    kind: Literal["list"] = "list"
    path: str = Field(description="Path of the CSV file, relative to this file. Its clips are relative to it.")


Source = Annotated[
    ClipFolder | S3Prefix | FfppTree | CelebDfTree | DfdcTree | VoxCelebTree | ClipList, Field(discriminator="kind")
]


class Filelist(_Model):
    """Pairs that a file gives, as FF++'s filelist.json does."""

    strategy: Literal["filelist"] = "filelist"
    path: str = Field(
        description='JSON file of pairs, [["033", "097"], ...], or the folder of FF++\'s train.json, val.json and '
        "test.json, relative to this file."
    )


class Shuffle(_Model):
    """Every clip in one pair, at random."""

    strategy: Literal["shuffle"] = "shuffle"
    seed: int = _SEED


class RoundRobin(_Model):
    """Every clip in up to `partners` pairs, at random."""

    strategy: Literal["round-robin"] = "round-robin"
    partners: int = Field(2, ge=1, le=100, description="Number of pairs that a clip is in, at most.")
    seed: int = _SEED


class Nearest(_Model):
    """Every clip with the clips whose faces are most like its own in pose, size and skin.

    `facefoundry plan --check` measures the faces first.
    """

    strategy: Literal["nearest"] = "nearest"
    partners: int = Field(1, ge=1, le=100, description="Number of pairs that a clip is in, at most.")


Pairing = Annotated[Filelist | Shuffle | RoundRobin | Nearest, Field(discriminator="strategy")]


class SharedSplits(_Model):
    """Splits by shares of the clips. No subject, source video or pair is in two of them."""

    kind: Literal["shares"] = "shares"
    train: float = Field(0.72, ge=0.0, le=1.0, description="Share of the clips for training.")
    val: float = Field(0.14, ge=0.0, le=1.0, description="Share of the clips for validation.")
    test: float = Field(0.14, ge=0.0, le=1.0, description="Share of the clips for tests.")
    seed: int = _SEED

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.train + self.val + self.test - 1.0) > _TOLERANCE:
            raise ValueError("train, val and test must add up to 1")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The shares by the name of the split."""
        return {"train": self.train, "val": self.val, "test": self.test}


class SplitFiles(_Model):
    """Splits that files give, as FF++'s train.json, val.json and test.json do. They are not changed."""

    kind: Literal["files"] = "files"
    folder: str = Field(description="Folder of the three files, relative to this file.")


class GivenSplits(_Model):
    """The splits that come with the sources: FF++'s files, Celeb-DF's test list, the column split. Not changed."""

    kind: Literal["given"] = "given"


class NoSplits(_Model):
    """No splits."""

    kind: Literal["none"] = "none"


Splitting = Annotated[SharedSplits | SplitFiles | GivenSplits | NoSplits, Field(discriminator="kind")]


class RecipeChoice(_Model):
    """A recipe, and what this dataset changes in it."""

    name: str = Field(recipes.DEFAULT, description=f"Name of the recipe: {', '.join(recipes.names())}.")
    set: dict[str, JsonValue] = Field(
        default_factory=dict, description="Fields to override, such as training.iterations: 3000."
    )


def _ordered(text: str) -> str:
    wrong = list(ranges.violations(ranges.parse(text)))
    if wrong:
        raise ValueError(f"each range {wrong[0].description}")
    return text


FrameRanges = Annotated[
    str,
    Field(pattern=r"^(\d{1,9}|min)-(\d{1,9}|max)([,\s]\s*(\d{1,9}|min)-(\d{1,9}|max))*$"),
    AfterValidator(_ordered),
]
"""Ranges of frames as the command writes them, in ascending order."""


class Exclusions(_Model):
    """What is left out."""

    clips: tuple[str, ...] = Field((), description="Ids of clips. Write them in quotes: YAML reads 033 as a number.")
    frames: dict[str, FrameRanges] = Field(
        default_factory=dict,
        description="Frames of single clips, by id, such as 0-24,300-max, counted from 0. They count as frames without "
        "a face: they are neither trained on nor swapped.",
    )

    def ranges_of(self, clip_id: str) -> list[ranges.Range]:
        """Return the ranges of excluded frames of a clip."""
        return ranges.parse(self.frames[clip_id]) if clip_id in self.frames else []


class RightsChoice(_Model):
    """Why the faces of the clips may be used. `run` and `submit` refuse clips without a statement.

    The most specific statement counts: of the clip, of its row in a list, of its subject, of its source, the default.
    """

    default: Statement | None = Field(
        None,
        description="A record of rights (basis, subject, licence, terms, evidence, expires, revoked), the path of a "
        "file with one, such as rights/studio.yaml, or unstated if you know nothing of them.",
    )
    subjects: dict[str, Statement] = Field(default_factory=dict, description="The same by subject, as sources name it.")
    clips: dict[str, Statement] = Field(default_factory=dict, description="The same by id of a clip.")


_Days = Annotated[int, Field(ge=1, le=36_500)]


class Retention(_Model):
    """Days that results stay in the bucket after the run has ended; null for as long as the bucket.

    `facefoundry bucket expire --retention` deletes them.
    """

    sources: _Days | None = Field(None, description="The stored clips.")
    extractions: _Days | None = Field(None, description="The faces of clips; a run with these clips makes them again.")
    trainings: _Days | None = Field(None, description="States, checkpoints and previews of trainings.")
    models: _Days | None = Field(None, description="Trained models; a run with these pairs trains again.")
    conversions: _Days | None = Field(None, description="Fakes as they are stored, without copies in output folders.")

    def days(self) -> dict[str, int]:
        """Return the days by the kind of results, without those that stay."""
        return {kind: days for kind, days in self if days is not None}


class DatasetFile(_Model):
    """A dataset: which clips, in which pairs and splits, made by which recipe."""

    format: Literal["facefoundry.dataset/1"] = Field("facefoundry.dataset/1", description="Format of this file.")
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="Name of the run: of its trainings, and of its record in the bucket.",
    )
    sources: tuple[Source, ...] = Field(
        min_length=1,
        description="Where the clips are. Each source has a kind: folder, s3, ffpp, celeb-df, dfdc, voxceleb or list.",
    )
    about: About = Field(default_factory=About, description="What the datasheet of the dataset says of it.")
    rights: RightsChoice = Field(
        default_factory=RightsChoice, description="Why the faces of the clips may be used; every clip needs a reason."
    )
    exclude: Exclusions = Field(default_factory=Exclusions, description="What is left out of the sources.")
    subjects: dict[str, str] = Field(
        default_factory=dict,
        description="The subject of single clips, by id: largest, moving, centre, a point X,Y or X,Y@FRAME in the "
        "face, or a picture of the person, relative to this file.",
    )
    pairs: Pairing = Field(
        default_factory=Shuffle,
        description="How clips are paired: by a filelist, or by the strategy shuffle, round-robin or nearest. A "
        "strategy pairs inside a split, and never two clips of one subject or source video.",
    )
    splits: Splitting = Field(
        default_factory=SharedSplits,
        description="How the dataset is split: by shares, by files, as given by the sources, or none.",
    )
    recipe: RecipeChoice = Field(default_factory=RecipeChoice, description="How models and fakes are made.")
    levels: tuple[str, ...] = Field(
        (), description="Compression levels of the recipe to make, such as raw, c23, c40; all of them if empty."
    )
    frame_rates: dict[str, float | str] = Field(
        default_factory=dict, description="Frames per second of single clips, by id, such as 30 or 30000/1001."
    )
    tolerate_damage: bool = Field(
        False, description="Whether damaged clips are read as far as possible, and not refused."
    )
    keep_faces: bool = Field(False, description="Whether face crops and alignments are written too.")
    output: str = Field(
        "",
        max_length=1000,
        description="Where the dataset goes: a folder, or a place such as s3://bucket/datasets/NAME/. If it is empty, "
        "`run` makes the folder output, and `submit` takes datasets/ of the release's bucket.",
    )
    keep_models: bool = Field(
        False, description="Whether a dataset in a bucket has the models too. In a folder it always has them."
    )
    gates: tuple[Gate, ...] = Field(
        DEFAULT_GATES,
        description="Bars that the fakes must reach, and what happens to a fake that does not.",
    )
    retention: Retention = Field(
        default_factory=Retention,
        description="Days that results stay in the bucket after the run has ended; null for as long as the bucket. "
        "`facefoundry bucket expire --retention` deletes what no run keeps.",
    )
