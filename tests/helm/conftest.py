"""Helm, once for all tests of the chart."""

from __future__ import annotations

import pytest

from tests.helm.chart import Helm, find_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm with our chart."""
    return find_helm()
