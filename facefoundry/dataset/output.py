"""Where the files of a dataset go: `Output`, and `FolderOutput` for a folder on this machine.

`BucketOutput`, in a module of its own, leaves them in the bucket.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from facefoundry import archive, codec
from facefoundry.dataset import files, models
from facefoundry.dataset.dropped import DroppedFakes
from facefoundry.dataset.file_digests import FileDigests
from facefoundry.dataset.labels import Labels
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord
from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.samples import Pictures, unpack_samples
from facefoundry.dataset.version_places import folder_index
from facefoundry.faces.alignments import Alignments
from facefoundry.formats import refuse_newer_json
from facefoundry.storage import manifest
from facefoundry.storage.info import ModelInfo, PreviewInfo
from facefoundry.storage.parts import ALIGNMENTS, FACES, LABELS, LABELS_FORMAT, MASKS, SAMPLES

__all__ = ["FolderOutput", "Output", "read_alignments", "read_labels"]

_FACE = re.compile(r"\d{6}\.png")


class Output(ABC):
    """Takes the files of results, and names them as a layout does. Many threads call its methods at once.

    Attributes:
        layout: Names the paths of the files. Its root is the folder on this machine for what the run writes itself.
        place: Where the dataset is, for the user.
        dropped: Names the fakes that gates left out.
    """

    def __init__(self, layout: Layout, place: str) -> None:
        self.layout, self.place, self.dropped = layout, place, DroppedFakes(layout)

    @property
    def filelist(self) -> str:
        """Where the filelist is, for the user."""
        return self.shown(self.layout.filelist())

    @property
    def report(self) -> str:
        """Where the report is, for the user."""
        return self.shown(self.layout.report_page())

    @abstractmethod
    def shown(self, path: Path) -> str:
        """Return where a file of the layout is, for the user."""

    def put_real(self, transcoding: StoredResult, sequence: str) -> None:
        """Take the videos of a transcoding, one for each compression level."""
        for name in transcoding.names:
            stem, _, suffix = name.partition(".")
            if suffix == "mp4":
                self.put(transcoding, name, self.layout.real_video(stem, sequence), sequence, stem)

    def put_fake(self, conversion: StoredResult, fake: str) -> None:
        """Take a fake: its videos at every compression level, its masks and its labels.

        Args:
            conversion: The conversion.
            fake: Id of the fake, `<target>_<source>`.
        """
        for name, path in self._paths(conversion, fake):
            self.put(conversion, name, path, fake, name.partition(".")[0])
        self.dropped.remove(fake)

    def leave_out(self, conversion: StoredResult, fake: FakeRecord) -> None:
        """Name a fake as dropped, then remove its files.

        Args:
            conversion: The conversion.
            fake: The record of the fake, with the gates that it did not pass.
        """
        self.dropped.add(fake)
        for _, path in self._paths(conversion, fake.id):
            path.unlink(missing_ok=True)

    def _paths(self, conversion: StoredResult, fake: str) -> Iterator[tuple[str, Path]]:
        """Yield the names of a fake's files in its conversion, and their paths in the layout."""
        for name in conversion.names:
            stem, _, suffix = name.partition(".")
            if suffix == "mp4":
                yield name, (self.layout.mask_video if stem in MASKS else self.layout.fake_video)(stem, fake)
        yield LABELS, self.layout.labels(fake)

    @abstractmethod
    def put(self, result: StoredResult, name: str, path: Path, item: str, kind: str) -> None:
        """Take a file of a result, unless it is there.

        Args:
            result: The result.
            name: Name of the file in the result.
            path: Its path in the layout.
            item: Id of the pair, fake or sequence that the file belongs to.
            kind: What the file is: a compression level, the kind of a mask, or another word such as `labels`.
        """

    @abstractmethod
    def put_faces(self, extraction: StoredResult, sequence: str) -> None:
        """Take the face crops and the alignments of a sequence."""

    @abstractmethod
    def put_samples(self, result: StoredResult, name: str) -> Pictures:
        """Take the sample pictures of an extraction or a conversion.

        Args:
            result: The extraction or conversion.
            name: Id of the sequence or fake, the folder of its pictures.

        Returns:
            Those that are in the run's folder now.
        """

    @abstractmethod
    def put_model(self, model: StoredResult, pair: str) -> ModelInfo:
        """Take the model of a pair, and return the facts about it."""

    @abstractmethod
    def put_preview(self, model: StoredResult, preview: PreviewInfo, pair: str, path: Path) -> None:
        """Take a preview of a training that is among the files of its model.

        Raises:
            NotFound: it is not (NO_SUCH_PART).
            DataLoss: it is damaged or gone.
        """

    @abstractmethod
    def begin(self, run: RunRecord) -> None:
        """Check that the dataset can be made here, before any of it is made. Filelist and splits are written."""

    @abstractmethod
    def finish(self, pair: PairRecord) -> None:
        """Take note that all files of a pair are there."""

    @abstractmethod
    def version(self) -> str:
        """Return the version of the dataset, after all pairs have ended; empty if it has no videos."""

    @abstractmethod
    def commit(self, run: RunRecord, pairs: Sequence[PairRecord]) -> None:
        """Finish the dataset, after all pairs have ended and the record and the report are written."""


class FolderOutput(Output):
    """Writes the files to the layout's folder on this machine."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout, str(layout.root))
        self._digests = FileDigests(layout)

    def shown(self, path: Path) -> str:
        """Return the path."""
        return str(path)

    def put(self, result: StoredResult, name: str, path: Path, item: str, kind: str) -> None:
        """Fetch a file, unless it is there."""
        result.fetch(name, path)
        self._digests.learn({path: result.sha256(name)})

    def put_faces(self, extraction: StoredResult, sequence: str) -> None:
        """Write face crops as `<frame>.png`, and alignments in faceswap's format of 2018."""
        for part in filter(FACES.matches, extraction.names):
            for name, data in archive.unpack(extraction.read(part)).items():
                if _FACE.fullmatch(name):
                    files.write(self.layout.faces(sequence) / name, data)
        alignments = read_alignments(extraction)
        names = [f"{frame:06d}.png" for frame in range(len(alignments))]
        files.write(self.layout.alignments(sequence), json.dumps(alignments.to_faceswap(names), indent=2).encode())

    def put_samples(self, result: StoredResult, name: str) -> Pictures:
        """Write the sample pictures to the run's folder."""
        return unpack_samples(result.read(SAMPLES), self.layout, name)

    def put_model(self, model: StoredResult, pair: str) -> ModelInfo:
        """Download a model."""
        return models.download(model, self.layout.models() / pair)

    def put_preview(self, model: StoredResult, preview: PreviewInfo, pair: str, path: Path) -> None:
        """Fetch a preview."""
        model.fetch(manifest.part_of_key(preview.key).name, path)

    def begin(self, run: RunRecord) -> None:
        """Do nothing: that the folder can be written shows when the record is."""

    def finish(self, pair: PairRecord) -> None:
        """Do nothing: the record says it."""

    def version(self) -> str:
        """Return the version. Files that this run did not fetch are read, unless their digests are known."""
        index = folder_index(self.layout, self._digests)
        return "" if index.is_empty else index.version

    def commit(self, run: RunRecord, pairs: Sequence[PairRecord]) -> None:
        """Do nothing: the record says it."""


def read_labels(conversion: StoredResult) -> list[int]:
    """Read the labels of a fake, in the order of the frames: 1 if the frame is swapped, 0 if not.

    Raises:
        Unusable: a newer version of FaceFoundry wrote the labels (NEWER_FORMAT).
    """
    data = conversion.read(LABELS)
    refuse_newer_json(data, LABELS_FORMAT, f"{conversion.uri}/{LABELS}")
    return [int(label.swapped) for label in codec.from_json(Labels, data).frames]


def read_alignments(extraction: StoredResult) -> Alignments:
    """Read the alignments of an extraction."""
    return Alignments.from_bytes(extraction.read(ALIGNMENTS))
