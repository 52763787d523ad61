"""Defines what a format of exports is. Implement `Export` to write datasets in another form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from facefoundry.exports.dataset import Dataset
from facefoundry.exports.plan import Plan

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Export", "Request", "option"]

O = TypeVar("O", bound="DataclassInstance")  # noqa: E741 - the options
V = TypeVar("V", bool, int, float, str)


def option(default: V, text: str) -> V:
    """Return a field of the options of an export: a bool is a flag of the command, anything else has a value.

    Args:
        default: The value without the option; its type is the option's.
        text: What the option does, a sentence for `--help`.
    """
    made: V = field(default=default, metadata={"help": text})
    return made


@dataclass(frozen=True)
class Request(Generic[O]):
    """What a user asks of an export.

    Attributes:
        levels: Names of the compression levels to export, in the order of the recipe; each has videos in the dataset.
        options: The options of the format.
        numbers: The names that an earlier export to the same place gave to sequences, by their ids. An export that
            renames sequences keeps these, so that an update touches no other file.
    """

    levels: tuple[str, ...]
    options: O
    numbers: Mapping[str, str] = field(default_factory=dict)


class Export(ABC, Generic[O]):
    """A form of datasets. It plans which files an export has; it does not write them.

    Attributes:
        name: Name of the format on the command line, such as `deepfakebench`.
        summary: What reads the format, for `--help`.
        options: Dataclass of its options, whose fields are made by `option`.
        revision: Raise it when the same dataset gives other files: an update then makes all of them again.
        one_level: If not empty, an export has one level: the first of these that the dataset has, or the chosen one.
        modules: Prefixes of the modules with functions of its items, such as `my_package.`.
        libraries: Names of the modules that these functions import, and that a client alone may lack.
        install: What to install for them, as `pip install` takes it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    options: type[O]
    revision: ClassVar[int] = 1
    one_level: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ("facefoundry.exports.makers.",)
    libraries: ClassVar[tuple[str, ...]] = ("av", "cv2")
    install: ClassVar[str] = "'.[media]'"

    @abstractmethod
    def plan(self, dataset: Dataset, request: Request[O]) -> Plan:
        """Return the items of an export, without writing anything.

        Args:
            dataset: The dataset.
            request: What to export of it.

        Raises:
            InvalidInput: the format cannot hold the dataset, or the dataset lacks a file that it needs.
        """
