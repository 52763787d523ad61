"""Preview pictures and the faces on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from facefoundry.errors import NotFound, Unusable
from facefoundry.model.network import SIDES, Architecture, build
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from services.trainer.worker import faces
from services.trainer.worker.preview import Previewer, schedule
from tests.extractions import alignments_of, put_extraction


@pytest.mark.parametrize("iterations", [1, 2, 10, 300, 3000, 200_000])
def test_previews_are_few_and_include_the_first_and_the_last(iterations: int) -> None:
    due = schedule(iterations)
    assert due[0] == 1
    assert due[-1] == iterations
    assert due == sorted(set(due))
    assert len(due) <= 10


def test_a_preview_is_a_jpeg_of_six_rows_whose_first_is_the_faces() -> None:
    network = build(Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4)))
    given: dict[Any, Any] = {"a": np.full((3, 64, 64, 3), 200, np.uint8), "b": np.full((2, 64, 64, 3), 40, np.uint8)}
    data, similarity = Previewer(network, given).draw()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (6 * 96, 3 * 96, 3)
    rows = picture.reshape(6, 96, 3, 96, 3).mean(axis=(1, 3, 4))
    assert np.allclose(rows[0], 200, atol=3)
    assert np.allclose(rows[3, :2], 40, atol=3)
    # A fresh network answers with grey; places without a face stay black.
    assert np.allclose(rows[1], 128, atol=3)
    assert rows[4, 2] < 3
    assert all(0 < side < 1 for side in similarity)


def test_a_preview_shows_each_sides_decoder_with_the_present_weights() -> None:
    network = build(Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4)))
    previewer = Previewer(network, {side: np.zeros((2, 64, 64, 3), np.uint8) for side in SIDES})

    def levels() -> list[float]:
        picture = cv2.imdecode(np.frombuffer(previewer.draw().jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return [float(row.mean()) for row in np.split(picture, 6)]

    for logits in ({"a": 1.5, "b": -1.5}, {"a": -0.5, "b": 0.5}):
        tensors = {
            name: np.full_like(tensor, logits[name[len("decoder_")]]) if name.endswith("output/bias") else tensor
            for name, tensor in network.tensors().items()
        }
        network.assign(tensors)
        a, b = (255 / (1 + np.exp(-logits[side])) for side in SIDES)
        assert np.allclose(levels(), [0, a, b, 0, b, a], atol=3)


def put(store: Store, crops: dict[str, np.ndarray], **options: int) -> str:
    prefix = keys.extraction("1" * 40)
    put_extraction(store, prefix, crops, **options)
    return prefix


def test_faces_come_in_order_over_all_parts(store: Store, draw_faces: Callable[..., Any]) -> None:
    crops = draw_faces(5, 1)
    prefix = put(store, {"faces-00000.tar": crops[:3], "faces-00001.tar": crops[3:]}, padding=48)
    committed = manifest.load(store, prefix)
    manifest.commit(store, prefix, replace(committed, parts=committed.parts[::-1]), replace=True)
    found = faces.fetch(store, prefix)
    assert np.array_equal(found.crops, crops)
    assert found.margin == 48
    assert found.content_digest == alignments_of(crops).content_digest()


def test_crops_of_another_size_are_resized_with_their_margin(store: Store, draw_faces: Callable[..., Any]) -> None:
    crops = draw_faces(2, 1)
    small = np.stack([cv2.resize(crop, (128, 128), interpolation=cv2.INTER_AREA) for crop in crops])
    found = faces.fetch(store, put(store, {"faces-00000.tar": small}, padding=16))
    assert found.crops.shape == (2, 256, 256, 3)
    assert found.margin == 32
    assert np.abs(found.crops.astype(int) - crops).mean() < 3


def test_an_extraction_without_faces_is_unusable_and_a_missing_one_not_found(store: Store) -> None:
    with pytest.raises(Unusable) as caught:
        faces.fetch(store, put(store, {"faces-00000.tar": np.zeros((0, 256, 256, 3), np.uint8)}))
    assert caught.value.reason == "NO_FACES"
    with pytest.raises(NotFound):
        faces.fetch(store, keys.extraction("2" * 40))


def test_unwarped_faces_are_the_mean_face_square(draw_faces: Callable[..., Any]) -> None:
    crops = draw_faces(9, 1)
    unwarped = faces.unwarped(faces.Faces(crops, 48.0, ""), 3, 64)
    assert unwarped.shape == (3, 64, 64, 3)
    assert np.array_equal(unwarped[:, ::2, ::2], crops[[0, 4, 8]][:, 48:208:5, 48:208:5])
    assert len(faces.unwarped(faces.Faces(crops[:2], 48.0, ""), 5, 64)) == 2
