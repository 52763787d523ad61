"""Finds clips whose faces are nearly the same pictures, by their hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_BITS", "near_identical"]

MAX_BITS: Final = 26
"""Two hashes of 256 bits are of nearly the same picture if at most as many bits differ."""
_MIN_SHARE = 0.5


def near_identical(
    hashes: Mapping[str, Sequence[str]], mirrored: Mapping[str, Sequence[str]]
) -> list[tuple[str, str, float]]:
    """Return the pairs of clips of which one has at least half of the sampled faces of the other.

    Args:
        hashes: Hashes of the sampled faces, 64 hex digits each, by the id of the clip.
        mirrored: The same of the mirrored faces.

    Returns:
        (id, id, share of the faces of one that the other has too), the largest share first. Of a short clip and a long
        one that contains it, the share is that of the short one.
    """
    names = sorted(name for name, values in hashes.items() if values)
    if len(names) < 2:
        return []
    counts = [len(hashes[name]) for name in names]
    starts = np.cumsum([0, *counts[:-1]])
    bits = _bits([value for name in names for value in hashes[name]])
    turned = _bits([value for name in names for value in mirrored[name]])
    found = dict[tuple[str, str], float]()
    for place, count in enumerate(counts):
        own = bits[starts[place] : starts[place] + count]
        distances = np.minimum(_distances(own, bits), _distances(own, turned))
        nearest = np.minimum.reduceat(distances, starts, axis=1)
        shares = (nearest <= MAX_BITS).mean(axis=0)
        for other in np.flatnonzero(shares >= _MIN_SHARE).tolist():
            if other != place:
                pair = names[min(place, other)], names[max(place, other)]
                found[pair] = max(found.get(pair, 0.0), float(shares[other]))
    return sorted(((a, b, share) for (a, b), share in found.items()), key=lambda entry: (-entry[2], *entry[:2]))


def _bits(values: Sequence[str]) -> NDArray[np.float32]:
    """Return -1 or 1 for each bit, float32 [n, 256]."""
    data = np.frombuffer(bytes.fromhex("".join(values)), np.uint8).reshape(len(values), -1)
    return np.unpackbits(data, axis=1).astype(np.float32) * 2 - 1


def _distances(bits: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the numbers of differing bits, float32 [n, m]."""
    return np.asarray((bits.shape[1] - bits @ other.T) / 2, np.float32)
