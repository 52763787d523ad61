"""The videos of a dataset on disk in the order in which they are signed, and what a signature says of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal

from facefoundry.checks.videos import levels_of
from facefoundry.dataset.file_digests import sha256_of
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.rights import RIGHTS_FILE, ClipRights, read_rights
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput
from facefoundry.storage.parts import MASKS

__all__ = ["FORMAT", "DatasetFacts", "SignedFacts", "Video", "find_videos"]

FORMAT: Final = "facefoundry.c2pa/1"
Kind = Literal["real", "fake", "mask"]


@dataclass(frozen=True)
class Video:
    """A video of a dataset.

    Attributes:
        kind: Whether it is a real video, a fake or a mask.
        level: Name of its compression level, or of the kind of mask.
        id: Id of the sequence or of the fake.
        path: Where it is.
    """

    kind: Kind
    level: str
    id: str
    path: Path

    @property
    def files(self) -> tuple[Path]:
        """Its file, beside which its manifest may lie."""
        return (self.path,)

    @property
    def target(self) -> str:
        """Id of the sequence whose frames it has."""
        return self.id.partition("_")[0]

    @property
    def source(self) -> str:
        """Id of the sequence that gives the face; empty for a real video."""
        return self.id.partition("_")[2]


@dataclass(frozen=True, kw_only=True)
class SignedFacts:
    """What the assertion `org.facefoundry.sequence` of a signed video says.

    Attributes:
        dataset: Name of the run that made it.
        kind: Whether it is a real video, a fake or a mask.
        path: Its path in the dataset.
        synthetic: Whether it shows what was not recorded.
        target: Id of the sequence whose frames it has.
        source: Id of the sequence that gives the face; empty for a real video.
        unsigned_sha256: SHA-256 of the file before it was signed.
        labels_sha256: SHA-256 of the labels of a fake; empty without labels.
        model_sha256: SHA-256 of the weights of the model; empty if the dataset has none.
        version: The version of the dataset before its videos were signed; empty if it has none.
        clip: The stored clip of a real video, `<bucket>/sources/<digest>`.
        rights: SHA-256 of the record of the rights to each clip, or `unstated`, by id of the clip.
        format: `FORMAT`.
    """

    dataset: str
    kind: Kind
    path: str
    synthetic: bool
    target: str
    source: str = ""
    unsigned_sha256: str = ""
    labels_sha256: str = ""
    model_sha256: str = ""
    version: str = ""
    clip: str = ""
    rights: dict[str, str] = field(default_factory=dict)
    format: str = FORMAT


class DatasetFacts:
    """What the records of a dataset say of its videos.

    Args:
        layout: The dataset's folder.

    Raises:
        NotFound: it has no run record (NO_RUN).
        DataLoss: the file of its rights is damaged (RIGHTS_FILE).
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self.run = layout, _run(layout)
        place = layout.filelist().with_name(RIGHTS_FILE)
        self.rights = read_rights(place) if place.is_file() else ClipRights.unstated(self.run.sequences)
        self._model_sha256 = cache(self._model)

    def of(self, video: Video, unsigned: Path) -> SignedFacts:
        """Return what a signature says of a video.

        Args:
            video: The video.
            unsigned: Its file before it is signed.
        """
        labels = self.layout.labels(video.id)
        is_fake = video.kind == "fake"
        sequence = self.run.sequences.get(video.id)
        return SignedFacts(
            dataset=self.run.name,
            kind=video.kind,
            path=video.path.relative_to(self.layout.root).as_posix(),
            synthetic=video.kind != "real",
            target=video.target,
            source=video.source,
            unsigned_sha256=sha256_of(unsigned),
            labels_sha256=sha256_of(labels) if is_fake and labels.is_file() else "",
            model_sha256=self._model_sha256(video.id) if is_fake else "",
            version=self.run.dataset_version,
            clip=sequence.source_uri.removeprefix("s3://") if sequence and video.kind == "real" else "",
            rights={clip: self.rights.digest_of(clip) for clip in (video.target, video.source) if clip},
        )

    def _model(self, fake: str) -> str:
        target, _, source = fake.partition("_")
        for pair in (fake, f"{source}_{target}"):
            weights = self.layout.models() / pair / "weights.safetensors"
            if weights.is_file():
                return sha256_of(weights)
        return ""


def find_videos(layout: Layout) -> list[Video]:
    """Find the videos of a dataset: real ones first, as the signatures of fakes name those of their clips.

    Raises:
        InvalidInput: there are none (NO_VIDEOS), or the name of a level has other characters than a recipe's (LEVEL).
    """
    levels = levels_of(layout)
    found = [
        *(video for level in levels for video in _in("real", level, layout.real_video(level, "any").parent)),
        *(video for level in levels for video in _in("fake", level, layout.fake_video(level, "any").parent)),
        *(video for kind in MASKS for video in _in("mask", kind, layout.mask_video(kind, "any").parent)),
    ]
    if not found:
        message = f"Expected the folder of a dataset. Received {layout.root}, which has no videos of one."
        raise InvalidInput(message, reason="NO_VIDEOS")
    return found


def _in(kind: Kind, level: str, folder: Path) -> Iterator[Video]:
    for path in sorted(folder.glob("*.mp4")):
        if not path.name.startswith("."):
            yield Video(kind, level, path.stem, path)


def _run(layout: Layout) -> RunRecord:
    return RunFolder(layout.run_folder()).load_run()
