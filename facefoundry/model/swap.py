"""The way of a face through the Original network on a CPU: encoder, then one decoder, without TensorFlow.

What `facefoundry.model.network` computes layer by layer, here with every convolution but the last as a 3x3 one
(`facefoundry.model.winograd`): of 2x2 pixels taken as one, a 5x5 kernel with stride 2 covers 3x3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facefoundry.model.architecture import FACE_SIZE, SLOPE, Architecture
from facefoundry.model.weights import Tensors
from facefoundry.model.winograd import Convolution

__all__ = ["swapper"]

Maps = NDArray[np.float32]

_MOST_TOGETHER = 16  # more is no faster, and takes memory

# Rows and columns of 2x2 pixels in a circle, so that those of one row or column are neighbours: in some of Winograd's
# points the pixels of the upper row or of the left column count for nothing, and the others are read as one piece.
_BLOCK = ((0, 0), (0, 1), (1, 1), (1, 0))


def swapper(
    architecture: Architecture, tensors: Tensors, decoder: Literal["a", "b"], batch_size: int = _MOST_TOGETHER
) -> Callable[[NDArray[Any]], Maps]:
    """Prepare the path from faces to faces of one side.

    Every call computes whole batches (the last one padded), so what a face becomes depends on its place alone and not
    on the faces it is given with. Another kind of CPU, or another number of threads, changes its last bits.

    Args:
        architecture: Widths of the network.
        tensors: Its weights by name, float32; those of the encoder and of one decoder are read.
        decoder: Whose face comes out: `b` puts B's face on A.
        batch_size: Faces in one batch; more than 16 are cut into equal ones of at most 16.

    Returns:
        A function of BGR faces [n, 64, 64, 3], uint8 or float in [0, 1], n >= 0, to faces of the same shape,
        float32 in [0, 1].
    """
    encode = _Encoder(architecture, tensors)
    decode = _Decoder(architecture, tensors, f"decoder_{decoder}")
    pieces = -(-batch_size // _MOST_TOGETHER)
    batch_size = -(-batch_size // pieces)

    def swap(faces: NDArray[Any]) -> Maps:
        if faces.ndim != 4 or faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3):
            raise ValueError(f"Expected faces of shape [n, 64, 64, 3]. Received shape={faces.shape}.")
        scale = np.float32(255.0 if faces.dtype == np.uint8 else 1.0)
        swapped = np.empty(faces.shape, np.float32)
        for start in range(0, len(faces), batch_size):
            piece = faces[start : start + batch_size]
            batch = np.zeros((batch_size, FACE_SIZE, FACE_SIZE, 3), np.float32)
            np.divide(piece, scale, out=batch[: len(piece)], casting="unsafe")
            swapped[start : start + len(piece)] = decode(encode(batch))[: len(piece)]
        return swapped

    return swap


class _Encoder:
    def __init__(self, architecture: Architecture, tensors: Tensors) -> None:
        self._halve = []
        side = FACE_SIZE
        for index in range(1, len(architecture.encoder_filters) + 1):
            kernel, bias = _layer(tensors, f"encoder/conv_{index}")
            side //= 2
            self._halve.append(Convolution(_of_blocks(kernel), bias, side, SLOPE))
        self._dense = [_layer(tensors, f"encoder/dense_{index}") for index in (1, 2)]
        self._upscale = Convolution(*_layer(tensors, "encoder/upscale"), side, SLOPE, spread=2)

    def __call__(self, maps: Maps) -> Maps:
        for halve in self._halve:
            maps = halve(_to_depth(maps))
        features = maps.reshape(len(maps), -1)
        for kernel, bias in self._dense:
            features = features @ kernel + bias
        return self._upscale(features.reshape(maps.shape))


class _Decoder:
    def __init__(self, architecture: Architecture, tensors: Tensors, name: str) -> None:
        count = len(architecture.decoder_filters)
        self._upscale = [
            Convolution(*_layer(tensors, f"{name}/upscale_{index}"), FACE_SIZE >> (count - index + 1), SLOPE, spread=2)
            for index in range(1, count + 1)
        ]
        self._kernel, self._bias = _layer(tensors, f"{name}/output")

    def __call__(self, maps: Maps) -> Maps:
        for upscale in self._upscale:
            maps = upscale(maps)
        return _sigmoid(np.stack([_convolve_to_few(one, self._kernel) for one in maps]) + self._bias)


def _layer(tensors: Tensors, name: str) -> tuple[Maps, Maps]:
    return tensors[f"{name}/kernel"], tensors[f"{name}/bias"]


def _to_depth(maps: Maps) -> Maps:
    """Take 2x2 pixels as one: [n, 2h, 2w, c] -> [n, h, w, 4c], channels ordered (pixel of `_BLOCK`, c)."""
    return np.concatenate([maps[:, row::2, column::2] for row, column in _BLOCK], axis=-1)


def _of_blocks(kernel: Maps) -> Maps:
    """The kernel on `_to_depth` that convolves as this one does with stride 2: [5, 5, c, o] -> [3, 3, 4c, o].

    With Keras's padding the first block's second row and column are the first that are read.
    """
    even = np.zeros((6, 6, *kernel.shape[2:]), np.float32)
    even[1:, 1:] = kernel
    return np.concatenate([even[row::2, column::2] for row, column in _BLOCK], axis=2)


def _convolve_to_few(maps: Maps, kernel: Maps) -> Maps:
    """Convolve [h, w, c] with [k, k, c, o] of few outputs to [h, w, o], zeros around: first products, then sums."""
    (height, width, _), (size, _, channels, filters) = maps.shape, kernel.shape
    padded = np.pad(maps, ((size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    products = kernel.transpose(0, 1, 3, 2).reshape(-1, channels) @ padded.reshape(-1, channels).T
    products = products.reshape(size, size, filters, *padded.shape[:2])
    sums = np.zeros((filters, height, width), np.float32)
    for row in range(size):
        for column in range(size):
            sums += products[row, column, :, row : row + height, column : column + width]
    return sums.transpose(1, 2, 0)


def _sigmoid(logits: Maps) -> Maps:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
