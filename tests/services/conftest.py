"""The three services, running once for each module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from facefoundry.storage.store import Store
from tests.services.running import Services, serving


@pytest.fixture(scope="module")
def services(new_store: Callable[[], Store], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The services and a new bucket."""
    with serving(new_store(), tmp_path_factory.mktemp("scratch")) as running:
        yield running
