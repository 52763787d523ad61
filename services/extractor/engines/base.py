"""The interface of engines, and the declaration with which an engine is made known.

An engine is a face detector, a tracker and a landmark predictor that belong together. The module of a declaration
imports no media or machine-learning library, so the server can list engines without loading them. The declaration's
`create` imports these libraries when it is called, in the sandbox process that runs the engine.

A box is x, y, width and height in frame pixels. It may reach beyond the frame.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from facefoundry.errors import FieldViolation, InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["IBUG_68", "Engine", "EngineDeclaration", "Landmarks", "Tracker", "WeightFile", "WeightLicence"]

Landmarks = Literal["ibug-68"]

IBUG_68: Final[Landmarks] = "ibug-68"
"""The 68 points of iBUG 300-W: jaw 0 to 16, brows 17 to 26, nose 27 to 35, eyes 36 to 47, mouth 48 to 67."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Tracker(ABC):
    """Follows one face from frame to frame, faster than the detector."""

    @abstractmethod
    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Find the face in the next frame.

        Args:
            frame: uint8 [h, w, 3], BGR.

        Returns:
            The face's box, float64 [4], with the proportions of the detector's boxes; None if the face is lost.
        """


class Engine(ABC):
    """A loaded engine: finds faces and landmarks in frames. Equal frames give equal results on the same machine.

    A landmark predictor is trained on the boxes of one detector, so `landmarks` expects boxes as `detect` or the
    tracker returns them.

    Attributes:
        build: Versions of the package and of the weights. It is stored with every extraction. An interrupted
            extraction resumes only from parts that the same build made.
    """

    build: str

    @abstractmethod
    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces.

        Args:
            frame: uint8 [h, w, 3], BGR; not changed.

        Returns:
            Boxes float64 [k, 4]; k is 0 when there is no face.
        """

    @abstractmethod
    def tracker(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> Tracker:
        """Make a tracker for a detected face.

        Args:
            frame: Frame in which the face was detected, uint8 [h, w, 3], BGR.
            box: The face's box, float64 [4].
        """

    def near(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find faces where a face was a moment ago, also such as `detect` is not sure enough of; by default none.

        Args:
            frame: uint8 [h, w, 3], BGR; not changed.
            box: The last box of the face, float64 [4].

        Returns:
            Boxes float64 [k, 4].
        """
        import numpy as np

        return np.zeros((0, 4))

    def detect_unsure(self, frame: NDArray[np.uint8]) -> Iterator[NDArray[np.float64]]:
        """Find what may be a face where `detect` finds none that is meant, by searches that may take much longer.

        By default there are no searches.

        Args:
            frame: uint8 [h, w, 3], BGR; not changed.

        Yields:
            The boxes that one search finds, float64 [k, 4]; the quickest search comes first.
        """
        yield from ()

    @abstractmethod
    def landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        """Find the landmarks of a face.

        Args:
            frame: uint8 [h, w, 3], BGR; not changed.
            box: The face's box, float64 [4].

        Returns:
            Points float32 [68, 2], (x, y) in frame pixels with pixel centres at integers.
        """

    def second_landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32] | None:
        """Find the landmarks of a face in another way; how far the two are apart says how sure they are.

        Args:
            frame: uint8 [h, w, 3], BGR; not changed.
            box: The face's box, float64 [4].

        Returns:
            Points as those of `landmarks`; None, by default, if the engine has no second way that is quick.
        """
        return None


@dataclass(frozen=True)
class WeightFile:
    """A weight file that an engine reads.

    Attributes:
        name: Name of the file, without folders.
        distribution: Name of the Python distribution that contains the file; empty for a file that the operator of
            the service provides, in a folder or below a bucket prefix.
    """

    name: str
    distribution: str = ""

    def find(self, weights_dir: Path | None = None) -> Path | None:
        """Return the path of the file, or None if it is not installed; no package is imported.

        Args:
            weights_dir: Folder of the operator's weights.
        """
        if not self.distribution:
            paths = [weights_dir / self.name] if weights_dir else []
        else:
            try:
                files = metadata.files(self.distribution) or []
            except metadata.PackageNotFoundError:
                return None
            paths = [Path(str(file.locate())) for file in files if file.name == self.name]
        return next((path for path in paths if path.is_file()), None)


@dataclass(frozen=True)
class WeightLicence:
    """The licence of an engine's weights.

    Attributes:
        terms: The licence in one or two sentences, including the uses that it excludes.
        source: Place where the licence is published.
    """

    terms: str
    source: str


@dataclass(frozen=True)
class EngineDeclaration:
    """Everything that must be known about an engine before it is loaded.

    Attributes:
        name: Name of the engine in recipes (`extraction.engine`): 1 to 64 letters, digits, `_` and `-`, with a letter
            or digit first.
        create: Function that loads the engine. Its argument maps the name of every weight file to the file's path. It
            raises `DataLoss` if the weights are damaged. It is called once for each call of the service, or before
            many, if `fork_safe`.
        packages: Top-level packages that must be importable, such as `torch`.
        weights: The weight files.
        licence: Licence of the weights; None for an engine without weights.
        landmarks: Name of the set of landmarks that the engine predicts. Extractions need `IBUG_68`. If it is None, the
            engine only detects faces and can only be used to inspect clips.
        remedy: How to install what the engine needs, in one or two sentences.
        fork_safe: Whether a process may call `create` and then fork processes that use the engine. It may if nothing
            that `create` calls starts a thread or uses a GPU.
    """

    name: str
    create: Callable[[Mapping[str, Path]], Engine]
    packages: tuple[str, ...]
    weights: tuple[WeightFile, ...]
    licence: WeightLicence | None
    landmarks: Landmarks | None
    remedy: str
    fork_safe: bool = False

    def __post_init__(self) -> None:
        """Check the name and the licence."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                "Expected an engine name of 1 to 64 letters, digits, _ and -, with a letter or digit first. "
                f"Received {self.name!r}."
            )
        if self.weights and self.licence is None:
            raise ValueError(
                f"Expected licence to be given, because the engine {self.name!r} has weights. Received licence=None."
            )

    @property
    def operator_files(self) -> tuple[str, ...]:
        """Names of the weight files that the operator of the service provides."""
        return tuple(file.name for file in self.weights if not file.distribution)

    def missing_package(self) -> str:
        """Name a package that is not installed, in a clause such as "the package torch is not installed".

        Returns:
            The clause, or an empty string if all packages are installed.
        """
        absent = [package for package in self.packages if util.find_spec(package) is None]
        return f"the package {absent[0]} is not installed" if absent else ""

    def missing(self, weights_dir: Path | None = None) -> str:
        """Name a package or weight file that is not installed, in a clause; nothing is loaded.

        Args:
            weights_dir: Folder of the operator's weights.

        Returns:
            The clause, or an empty string if everything is installed.
        """
        if package := self.missing_package():
            return package
        if self.operator_files and weights_dir is None:
            return "no folder of weights is set"
        for file in self.weights:
            if file.find(weights_dir) is None:
                place = f"the package {file.distribution}" if file.distribution else "the folder of weights"
                return f"{place} has no {file.name}"
        return ""

    def load(self, weights_dir: Path | None = None) -> Engine:
        """Load the engine with its weights.

        Args:
            weights_dir: Folder of the operator's weights, for engines whose packages contain none.

        Raises:
            InvalidInput: a package or a weight file is not installed here (ENGINE_NOT_INSTALLED).
            DataLoss: the weights are damaged.
        """
        if missing := self.missing(weights_dir):
            raise self.not_installed(missing)
        found = {file.name: file.find(weights_dir) for file in self.weights}
        return self.create({name: path for name, path in found.items() if path is not None})

    def not_installed(self, missing: str) -> InvalidInput:
        """Make the error for an engine that cannot be used here.

        Args:
            missing: What is not installed, as a clause such as "the package torch is not installed".
        """
        return InvalidInput(
            f"The engine {self.name!r} cannot be used here: {missing}. {self.remedy}",
            reason="ENGINE_NOT_INSTALLED",
            metadata={"engine": self.name},
            violations=[FieldViolation("recipe.extraction.engine", missing)],
        )
