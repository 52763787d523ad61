"""The working tree as a release, and the release installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.release.clone import Clone
from tests.release.installed import Installed


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A repository with the files of the working tree, shared by all tests."""
    return Clone(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def repository(tree: Clone) -> Clone:
    """The repository, ready for a release: the changelog has a section for the version."""
    tree.reset()
    tree.close_changelog()
    tree.commit()
    return tree


@pytest.fixture(scope="session")
def dist(tree: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the wheel, the sdist and the chart of the working tree."""
    tree.reset()
    ended = tree.release("--dry-run")
    assert ended.returncode == 0, ended.stderr
    return Path(shutil.move(tree.folder / "dist", tmp_path_factory.mktemp("release")))


@pytest.fixture(scope="session")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, installed outside the clone."""
    (wheel,) = dist.glob("*.whl")
    return Installed(tmp_path_factory.mktemp("installed"), wheel)
