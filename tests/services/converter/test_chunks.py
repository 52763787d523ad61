"""Chunks hold any pixels, whatever the target has in their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.converter import chunks
from services.converter.composite import Patch
from services.converter.labels import OUT_OF_RANGE, Row
from services.converter.mask import Box
from services.converter.warp import Region


def test_random_pixels_and_masks_read_back_to_the_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    targets = [random.integers(0, 256, (40, 60, 3), np.uint8) for _ in range(3)]
    region = Region(3, 5, 33, 21)
    shape = (region.height, region.width)
    rows, patches = [], []
    for frame in range(2):
        blend = (random.integers(0, 2, shape) * 255).astype(np.uint8)
        patches.append(Patch(region, random.integers(0, 256, (*shape, 3), np.uint8), blend, Box(4, 6, 9, 9)))
        rows.append(Row(frame, True, None, patches[-1].box))
    writer = chunks.ChunkWriter(tmp_path / "chunk-00000.tar")
    for given in zip(targets, [*rows, Row(2, False, OUT_OF_RANGE)], [*patches, None], strict=True):
        writer.add(*given)
    read_back = list(chunks.read(writer.close(), range(3), iter(targets)))
    assert [row.frame for _, row, _ in read_back] == [0, 1, 2]
    assert read_back[2][2] is None
    for (target, _, patch), expected, given_target in zip(read_back[:2], patches, targets, strict=False):
        assert patch is not None
        assert (patch.region, patch.box) == (expected.region, expected.box)
        assert patch.pixels.dtype == np.uint8
        np.testing.assert_array_equal(patch.pixels, expected.pixels)
        np.testing.assert_array_equal(patch.blend, expected.blend)
        np.testing.assert_array_equal(patch.apply(target), expected.apply(given_target))


def test_a_target_that_cannot_be_read_is_not_blamed_on_the_chunk(tmp_path: Path) -> None:
    writer = chunks.ChunkWriter(tmp_path / "chunk-00000.tar")
    writer.add(np.zeros((4, 4, 3), np.uint8), Row(0, False, OUT_OF_RANGE), None)

    def broken():
        raise ValueError("the decoder's own error")
        yield

    with pytest.raises(ValueError, match="the decoder's own error"):
        list(chunks.read(writer.close(), range(1), broken()))
