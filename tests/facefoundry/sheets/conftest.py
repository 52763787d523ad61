"""A dataset of two pairs with videos and labels, and its run record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.sheets import pictures
from facefoundry.sheets.plan import SheetPlan
from tests.facefoundry.checks.made import write_dataset


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> FfppLayout:
    """The dataset; tests change nothing in it."""
    return write_dataset(tmp_path_factory.mktemp("sheets"), 2, seed=3)


def drawn(plan: SheetPlan, folder: Path) -> tuple[NDArray[np.uint8], int]:
    """Draw a sheet in this process; return it, BGR, and the number of pictures that could not be read."""
    values: Iterator[codec.JsonObject] = pictures.draw(codec.to_values(plan), str(folder / "sheet.png"))
    ((lost,),) = (list(message.values()) for message in values)
    assert isinstance(lost, int)
    sheet = cv2.imread(str(folder / "sheet.png"))
    assert sheet is not None
    return np.asarray(sheet, np.uint8), lost
