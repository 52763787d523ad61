"""Swaps faces on a CPU: FF++'s autoencoder in NumPy, without TensorFlow.

It computes the same layers as `facefoundry.model.network`: the encoder, then one decoder. All convolutions except the
last use the fast 3x3 convolution of `facefoundry.model.winograd`. For this, a 5x5 kernel with stride 2 is rearranged to
a 3x3 kernel on blocks of 2x2 pixels.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facefoundry.model import colours
from facefoundry.model.architecture import SLOPE, Architecture
from facefoundry.model.weights import Tensors
from facefoundry.model.winograd import Convolution

__all__ = ["Swapper"]

Maps: TypeAlias = NDArray[np.float32]

_MAX_BATCH: Final = 16  # larger batches are no faster and take memory

# Row and column of each pixel of a 2x2 block, in circular order, so that the two pixels of a row or column are
# neighbours. Where `winograd` needs only one row or column of the blocks, its channels are then one slice.
_BLOCK: Final = ((0, 0), (0, 1), (1, 1), (1, 0))


class Swapper:
    """Encodes faces and decodes them with the decoder of one side, which gives them the face of that side.

    Every call computes batches of one size; the last batch is padded. A result therefore does not depend on the other
    faces of the call, but its last bits may depend on the position of the face in the call, on the type of CPU and on
    the number of threads.

    Args:
        architecture: Sizes of the networks.
        tensors: The weights by name; only the weights of the encoder and of one decoder are read.
        decoder: Side of the decoder: `b` puts B's face on A.
        batch_size: Number of faces to compute at once; more than 16 are split into equal batches of at most 16.

    Attributes:
        face_size: Width and height of the faces, pixels.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Tensors,
        decoder: Literal["a", "b"],
        batch_size: int = _MAX_BATCH,
    ) -> None:
        self.face_size = architecture.face_size
        self._encode = _Encoder(architecture, tensors)
        self._decode = _Decoder(architecture, tensors, f"decoder_{decoder}")
        self._kept = architecture.colours == "kept"
        self._batch_size = -(-batch_size // -(-batch_size // _MAX_BATCH))

    def __call__(self, faces: NDArray[np.uint8] | NDArray[np.float32]) -> Maps:
        """Swap faces.

        Args:
            faces: BGR [n, face_size, face_size, 3], uint8 in [0, 255] or float32 in [0, 1]; n may be 0.

        Returns:
            The swapped faces, float32 [n, face_size, face_size, 3] BGR in [0, 1]; with standardised colours, some
            values may lie outside.

        Raises:
            ValueError: the faces have another shape.
        """
        shape = (self.face_size, self.face_size, 3)
        if faces.ndim != 4 or faces.shape[1:] != shape:
            expected = ", ".join(map(str, shape))
            raise ValueError(f"Expected faces of shape [n, {expected}]. Received shape={faces.shape}.")
        scale = np.float32(255.0 if faces.dtype == np.uint8 else 1.0)
        swapped = np.empty(faces.shape, np.float32)
        for start in range(0, len(faces), self._batch_size):
            chosen = faces[start : start + self._batch_size]
            batch = np.zeros((self._batch_size, *shape), np.float32)
            np.divide(chosen, scale, out=batch[: len(chosen)], casting="unsafe")
            swapped[start : start + len(chosen)] = self._swap(batch)[: len(chosen)]
        return swapped

    def _swap(self, batch: Maps) -> Maps:
        if self._kept:
            return self._decode(self._encode(batch))
        shares = colours.shares(self.face_size)
        mean = (shares * batch).sum((1, 2), keepdims=True)
        deviation = np.sqrt((shares * np.square(batch - mean)).sum((1, 2), keepdims=True) + np.float32(colours.FLOOR))
        decoded = self._decode(self._encode(colours.standard(batch, mean, deviation)))
        return np.asarray(colours.original(decoded, mean, deviation), np.float32)


class _Encoder:
    def __init__(self, architecture: Architecture, tensors: Tensors) -> None:
        self._halve = []
        side = architecture.face_size
        for index in range(1, len(architecture.encoder_filters) + 1):
            kernel, bias = _layer(tensors, f"encoder/conv_{index}")
            side //= 2
            self._halve.append(Convolution(_on_blocks(kernel), bias, side, SLOPE))
        self._dense = [_layer(tensors, f"encoder/dense_{index}") for index in (1, 2)]
        self._upscale = Convolution(*_layer(tensors, "encoder/upscale"), side, SLOPE, spread=2)

    def __call__(self, maps: Maps) -> Maps:
        for halve in self._halve:
            maps = halve(_to_blocks(maps))
        features = maps.reshape(len(maps), -1)
        for kernel, bias in self._dense:
            features = features @ kernel + bias
        return self._upscale(features.reshape(maps.shape))


class _Decoder:
    def __init__(self, architecture: Architecture, tensors: Tensors, name: str) -> None:
        self._upscale = []
        side = 2 * architecture.inner_side
        for index in range(1, len(architecture.decoder_filters) + 1):
            self._upscale.append(Convolution(*_layer(tensors, f"{name}/upscale_{index}"), side, SLOPE, spread=2))
            side *= 2
        self._kernel, self._bias = _layer(tensors, f"{name}/output")

    def __call__(self, maps: Maps) -> Maps:
        for upscale in self._upscale:
            maps = upscale(maps)
        return _sigmoid(np.stack([_convolve_to_few(face, self._kernel) for face in maps]) + self._bias)


def _layer(tensors: Tensors, name: str) -> tuple[Maps, Maps]:
    return tensors[f"{name}/kernel"], tensors[f"{name}/bias"]


def _to_blocks(maps: Maps) -> Maps:
    """Turn blocks of 2x2 pixels into channels ordered (pixel of `_BLOCK`, c): [n, 2h, 2w, c] -> [n, h, w, 4c]."""
    return np.concatenate([maps[:, row::2, column::2] for row, column in _BLOCK], axis=-1)


def _on_blocks(kernel: Maps) -> Maps:
    """Rearrange a kernel with stride 2 into a kernel with stride 1 for maps that `_to_blocks` returned.

    The shapes are [5, 5, c, o] -> [3, 3, 4c, o]. With the padding of Keras, the kernel begins at the second row and
    column of the first block.
    """
    even = np.zeros((6, 6, *kernel.shape[2:]), np.float32)
    even[1:, 1:] = kernel
    return np.concatenate([even[row::2, column::2] for row, column in _BLOCK], axis=2)


def _convolve_to_few(maps: Maps, kernel: Maps) -> Maps:
    """Convolve maps [h, w, c] with a kernel [k, k, c, o] that has few outputs o, and return [h, w, o].

    Maps are padded with zeros. All products are computed at once, then shifted and added.
    """
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
