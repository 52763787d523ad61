"""The colours that the network sees."""

from __future__ import annotations

import pytest

from facefoundry.model import colours


@pytest.mark.parametrize("size", [64, 128])
def test_the_background_beside_a_face_has_no_share_in_its_colours(size: int) -> None:
    shares = colours.shares(size)
    assert shares.shape == (1, size, size, 1) and shares.sum() == pytest.approx(1, abs=1e-5)
    corner = size // 12
    for rows in (slice(corner), slice(-corner, None)):
        assert not shares[0, rows, :corner].any() and not shares[0, rows, -corner:].any()
    assert shares[0, :, [0, -1]].max() < 0.1 * shares.max()
    face = slice(size // 5, -size // 5)
    assert shares[0, face, face].min() > 0.8 * shares.max()
