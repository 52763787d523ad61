"""Helm, shared by all tests of the chart."""

from __future__ import annotations

import pytest

from tests.helm.chart import Helm, find_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm, applied to the chart."""
    return find_helm()
