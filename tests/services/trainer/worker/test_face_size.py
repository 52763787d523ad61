"""A model of 128 pixel faces, from the recipe through a real worker to a converted frame."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from keras import ops
from skimage import data

from facefoundry.codec import JsonObject
from facefoundry.faces.crop import cut, face_matrix
from facefoundry.faces.mean_face import MEAN_FACE
from facefoundry.model import network, weights
from facefoundry.model.architecture import Architecture, unpack
from facefoundry.model.swap import Swapper
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2
from services.converter.composite import composite
from services.converter.mask import MaskOptions
from services.trainer import worker_protocol
from services.trainer.worker_protocol import Attempt, ExitCode

Spawn = Callable[..., "subprocess.Popen[bytes]"]


def test_a_model_of_128_pixel_faces_is_trained_stored_loaded_and_converts_a_frame(
    store: Store,
    spawn: Spawn,
    put_attempt: Callable[..., Attempt],
    tiny_recipe: recipe_pb2.Recipe,
    tmp_path: Path,
) -> None:
    encoder, decoder = [4, 4, 8, 8, 8], [8, 4, 4, 4]
    tiny_recipe.training.face_size = 128
    tiny_recipe.training.encoder_filters[:] = encoder
    tiny_recipe.training.decoder_filters[:] = decoder
    attempt = put_attempt(iterations=3)
    assert spawn(store.uri(worker_protocol.attempt_key(attempt.prefix))).wait(120) == ExitCode.DONE

    model = manifest.load(store, attempt.model_prefix)
    path = tmp_path / "weights.safetensors"
    manifest.fetch_part(store, model.part("weights.safetensors"), path)
    architecture, tensors = unpack(path)
    assert architecture == Architecture(tuple(encoder), 8, 8, tuple(decoder), face_size=128)
    assert weights.content_digest(tensors) == model.content_digest

    frame = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    landmarks = np.concatenate([np.full((17, 2), (225, 160)), MEAN_FACE * 90 + (180, 90)]).astype(np.float32)
    matrix = face_matrix(landmarks)
    face = cut(frame, matrix, 128, 0)
    (swapped,) = Swapper(architecture, tensors, "b", 4)(face[None])
    expected = network.load(path).reconstruct(face[None].astype(np.float32) / 255, "b")
    np.testing.assert_allclose(swapped, np.asarray(ops.convert_to_numpy(expected))[0], atol=1e-4)

    patch = composite(frame, swapped, matrix, landmarks, MaskOptions("facehullandrect", 0, 2), "opencv-3.4.1")
    assert patch is not None
    changed = np.argwhere((patch.apply(frame) != frame).any(axis=2))
    assert len(changed) > 1000
    low, high = changed.min(axis=0), changed.max(axis=0)
    assert (low >= (80, 170)).all() and (high <= (190, 280)).all(), "only the face changes"


def test_weights_stored_before_faces_had_a_size_are_of_64(tmp_path: Path) -> None:
    widths = Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4))
    tensors = network.build(widths).tensors()
    record: JsonObject = {
        "encoder_filters": [4, 4, 8, 8],
        "bottleneck": 8,
        "upscale_filters": 8,
        "decoder_filters": [8, 4, 4],
    }
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights.to_bytes(tensors, {"format": weights.NETWORK_FORMAT, "architecture": record}))
    assert unpack(path)[0] == widths and widths.face_size == 64
    header = json.loads(network.build(widths).to_bytes()[8:].split(b"}}", 1)[0] + b"}}")
    assert json.loads(header["__metadata__"]["facefoundry"])["architecture"]["face_size"] == 64
