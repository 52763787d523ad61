"""Reads and writes the files of a run record: `run.json`, and `pairs/<pair>.json` for each pair that has begun.

Each pair has a file of its own, so that the cost of a save does not grow with the number of pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from facefoundry import codec
from facefoundry.dataset import files
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import FORMAT, PairRecord, RunRecord
from facefoundry.errors import DataLoss, InvalidInput, NotFound
from facefoundry.formats import refuse_newer_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["RUN_FILE", "RunFolder", "is_pair_id", "pair_file", "parse_pair", "parse_run"]

RUN_FILE = "run.json"

T = TypeVar("T", bound="DataclassInstance")

_PAIR_ID = re.compile(r"[A-Za-z0-9-]+_[A-Za-z0-9-]+")


def pair_file(pair_id: str) -> str:
    """Return the path of a pair's file, relative to the run's folder."""
    return f"pairs/{pair_id}.json"


def is_pair_id(text: str) -> bool:
    """Return whether a text can be the id of a pair or of a fake, so that it may be part of a path."""
    return _PAIR_ID.fullmatch(text) is not None


def parse_run(data: bytes, name: str) -> RunRecord:
    """Return the record of a run from the bytes of `run.json`.

    Args:
        data: The bytes.
        name: What messages call the file.

    Raises:
        InvalidInput: the file has another format or a wrong field; the message names it.
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    refuse_newer_json(data, FORMAT, name)
    header = _read(RunHeader, data, name)
    if header.format != FORMAT:
        raise InvalidInput(
            f"Expected a run record of the format {FORMAT} in {name}. Received {header.format!r}. Run the "
            "dataset's command again with this version: it reuses all finished work and writes a new record.",
            reason="RUN_FORMAT",
        )
    record = _read(RunRecord, data, name)
    for pair_id in record.pairs:
        if not is_pair_id(pair_id):
            raise InvalidInput(
                f"{name} is not a run record: expected pairs such as 033_097. Received {pair_id!r}.",
                reason="NOT_A_RUN_RECORD",
            )
    return record


def parse_pair(data: bytes | None, pair_id: str, name: str) -> PairRecord:
    """Return the record of a pair from the bytes of its file. A pair without a file, None, is pending.

    Raises:
        InvalidInput: a field is wrong; the message names it.
    """
    if data is None:
        a, _, b = pair_id.partition("_")
        return PairRecord(pair_id, a, b)
    return _read(PairRecord, data, name)


@dataclass
class RunHeader:
    """The fields of a run record that every format has; a record without a layout has FF++'s layout."""

    format: str
    name: str
    layout: str = FfppLayout.name


@dataclass(frozen=True)
class RunFolder:
    """The folder that contains the files of a run record."""

    path: Path

    def clear(self) -> None:
        """Delete the files of an earlier run's pairs."""
        for path in (self.path / "pairs").glob("*.json"):
            path.unlink()

    def save_run(self, record: RunRecord) -> bytes:
        """Write `run.json` and return its bytes."""
        data = codec.to_standard_json(record)
        files.write(self.path / RUN_FILE, data)
        return data

    def save_pair(self, pair: PairRecord) -> None:
        """Write the file of a pair."""
        files.write(self.path / pair_file(pair.id), codec.to_standard_json(pair))

    def load_run(self) -> RunRecord:
        """Read `run.json`.

        Raises:
            NotFound: the file does not exist.
            InvalidInput: the file has another format or a wrong field; the message names it.
            Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
        """
        path = self.path / RUN_FILE
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(
                f"{path} does not exist. Give the output folder of a dataset run.", reason="NO_RUN", resource=str(path)
            ) from error
        return parse_run(data, str(path))

    def load_pair(self, pair_id: str) -> PairRecord:
        """Read the file of a pair. A pair without a file is pending.

        Raises:
            InvalidInput: a field is wrong; the message names it.
        """
        path = self.path / pair_file(pair_id)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = None
        return parse_pair(data, pair_id, str(path))

    def load_pairs(self) -> Iterator[PairRecord]:
        """Read and yield the records of the pairs, in order."""
        for pair_id in self.load_run().pairs:
            yield self.load_pair(pair_id)

    def run_name(self) -> str | None:
        """Return the name of the run in this folder, even if its format is old; None if there is no run."""
        header = self._header()
        return header.name or None if header else None

    def layout_name(self) -> str | None:
        """Return the name of the layout that the record here names, in any format; None where there is no record."""
        header = self._header()
        return header.layout if header else None

    def _header(self) -> RunHeader | None:
        path = self.path / RUN_FILE
        try:
            return _read(RunHeader, path.read_bytes(), str(path))
        except (OSError, InvalidInput):
            return None


def _read(kind: type[T], data: bytes, name: str) -> T:
    try:
        return codec.from_json(kind, data)
    except DataLoss as error:
        raise InvalidInput(
            f"{name} is not a run record: {error.message} Run the dataset's command again to write a new one.",
            reason="NOT_A_RUN_RECORD",
        ) from error
