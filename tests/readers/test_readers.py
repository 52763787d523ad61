"""The readers of this environment give what docs/readers.md says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facefoundry.media.read import open_source
from tests.readers import made, verdict
from tests.readers.made import LARGE, SMALL, Frames
from tests.readers.read import READERS

HERE = ("opencv", "av", "imageio")


def read_by(name: str) -> Callable[[Path], Frames]:
    return lambda path: np.stack(list(READERS[name][0](str(path))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def raw(folder: Path) -> tuple[Path, Path]:
    return made.levels(folder, "raw", SMALL)


@pytest.fixture(scope="module", params=[SMALL, LARGE], ids=["480", "720"])
def c23(folder: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    return made.levels(folder, "c23", request.param, 2)


@pytest.mark.parametrize("name", HERE)
def test_raw_is_exact_with_and_without_tags(name: str, raw: tuple[Path, Path]) -> None:
    assert [verdict.of_raw(read_by(name)(path), SMALL) for path in raw] == ["exact", "exact"]


@pytest.mark.parametrize("name", HERE)
def test_colours_are_right_at_every_size_and_equal_to_those_of_the_product(name: str, c23: tuple[Path, Path]) -> None:
    for path in c23:
        frames = read_by(name)(path)
        assert verdict.of_colours(frames, path) == "right"
        with open_source(path) as source:
            np.testing.assert_array_equal(frames, np.stack(list(source))[..., ::-1])


@pytest.mark.parametrize("name", HERE)
def test_masks_are_0_and_255(name: str, folder: Path) -> None:
    path, expected = made.masks(folder)
    assert verdict.of_masks(read_by(name)(path), expected) == "0, 255"


@pytest.mark.parametrize("name", HERE)
def test_a_frame_is_found_by_its_number(name: str, raw: tuple[Path, Path]) -> None:
    expected = list(made.drawn(SMALL, 4))[3][..., ::-1]
    np.testing.assert_array_equal(READERS[name][1](str(raw[0]), 3), expected)


def test_a_verdict_names_what_is_wrong(raw: tuple[Path, Path], c23: tuple[Path, Path], folder: Path) -> None:
    frames = np.stack([frame[..., ::-1] for frame in made.drawn(SMALL, made.FRAMES)])
    assert verdict.of_raw(frames[:4], SMALL) == "4 of 5 frames"
    assert verdict.of_raw(frames[..., ::-1], SMALL).endswith("levels off")
    assert verdict.of_colours(made.as_rgb(c23[0], 1), c23[0]).startswith("as BT.709, up to ")
    _, expected = made.masks(folder)
    grey = np.where(expected, 235, 16).astype(np.uint8)
    assert verdict.of_masks(np.repeat(grey[..., None], 3, axis=-1), expected) == "16, 235"
