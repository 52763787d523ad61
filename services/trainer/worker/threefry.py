"""Random numbers without state, in keras.ops: equal on every backend and device."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from keras import ops

__all__ = ["threefry", "uniform"]

Tensor: TypeAlias = Any  # keras.ops has no types: a tensor of its backend

_ROUNDS: Final = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY: Final = 0x1BD11BDA


def threefry(key: tuple[int, int], counter: Tensor, count: int) -> Tensor:
    """Generate random words with the Threefry-2x32 cipher of 20 rounds (Salmon et al. 2011).

    It has no state, and its words are equal on every backend.

    Args:
        key: Two numbers below 2**32.
        counter: Scalar uint32 tensor, the first half of the number of every block; the second half counts the blocks
            from 0.
        count: Number of words.

    Returns:
        uint32 [count]. A block has two words: all first words come before all second words.
    """
    keys = [_word(key[0]), _word(key[1]), _word(key[0] ^ key[1] ^ _PARITY)]
    second = ops.cast(ops.arange((count + 1) // 2, dtype="int32"), "uint32") + keys[1]
    first = ops.zeros_like(second) + counter + keys[0]
    for group in range(5):
        for bits in _ROUNDS[group % 2]:
            first = first + second
            second = ops.bitwise_xor(
                first,
                ops.bitwise_or(ops.left_shift(second, _word(bits)), ops.right_shift(second, _word(32 - bits))),
            )
        first = first + keys[(group + 1) % 3]
        second = second + keys[(group + 2) % 3] + _word(group + 1)
    return ops.concatenate([first, second])[:count]


def uniform(words: Tensor) -> Tensor:
    """Return float32 numbers in [0, 1), made of the upper 24 bits of uint32 words."""
    return ops.cast(ops.cast(ops.right_shift(words, _word(8)), "int32"), "float32") * (2.0**-24)


def _word(value: int) -> Tensor:
    return ops.convert_to_tensor(value, dtype="uint32")
