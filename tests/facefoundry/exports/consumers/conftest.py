"""Exports of one dataset with real videos, made once. Tests only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefoundry.dataset.layout import Layout
from facefoundry.exports.croissant import CroissantExport, CroissantOptions
from facefoundry.exports.place import FolderPlace
from facefoundry.exports.run import export_dataset
from facefoundry.exports.webdataset import WebdatasetExport, WebdatasetOptions
from tests.facefoundry.exports.made import load


@pytest.fixture(scope="session")
def croissant(real_dataset: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export `croissant`, which has the tables and videos of `parquet` too."""
    folder = tmp_path_factory.mktemp("croissant")
    options = CroissantOptions(license="CC-BY-4.0", creator="Tests", url="https://example.org/made")
    dataset = load(real_dataset, tmp_path_factory.mktemp("alignments"))
    done = export_dataset(CroissantExport(), dataset, FolderPlace(folder), options=options, processes=1)
    assert not done.failed
    return folder


@pytest.fixture(scope="session")
def webdataset(real_dataset: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export `webdataset` with masks."""
    folder = tmp_path_factory.mktemp("webdataset")
    dataset = load(real_dataset, tmp_path_factory.mktemp("alignments"))
    options = WebdatasetOptions(masks=True)
    done = export_dataset(WebdatasetExport(), dataset, FolderPlace(folder), options=options, processes=1)
    assert not done.failed
    return folder
