"""Datasets for exports, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from tests.facefoundry.exports.made import write_dataset


@pytest.fixture(scope="session")
def real_dataset(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A dataset of three pairs with videos. Tests only read it."""
    return write_dataset(FfppLayout(tmp_path_factory.mktemp("real")))


@pytest.fixture
def dataset_copy(real_dataset: Layout, tmp_path: Path) -> Layout:
    """A copy of it that a test may change."""
    shutil.copytree(real_dataset.root, tmp_path / "dataset")
    return FfppLayout(tmp_path / "dataset")


@pytest.fixture
def text_dataset(tmp_path: Path) -> Layout:
    """A dataset of three pairs whose videos are text, which a test may change."""
    return write_dataset(FfppLayout(tmp_path / "dataset"), videos=False)
