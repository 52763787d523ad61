"""A dataset without leaks, and the result of its leak test."""

from __future__ import annotations

import pytest

from facefoundry.checks.checking import check_leaks
from facefoundry.checks.leaks import LeakReport
from facefoundry.dataset.ffpp_layout import FfppLayout
from tests.facefoundry.checks.made import write_dataset

PAIRS = 10


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> FfppLayout:
    """A dataset of 10 pairs. Tests change copies of it."""
    return write_dataset(tmp_path_factory.mktemp("clean"), PAIRS, seed=5)


@pytest.fixture(scope="session")
def clean_report(clean: FfppLayout) -> LeakReport:
    """What its leak test found."""
    return check_leaks(clean, head=8, processes=1)
