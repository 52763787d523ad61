"""The tool that makes bases: which heads and pictures it draws, how it varies crops, and that a training goes on."""

import gzip

import cv2
import numpy as np
import pytest

from facefoundry.faces.mean_face import MEAN_FACE
from facefoundry.model.architecture import unpack
from tools.base.crops import crops, varied
from tools.base.looks import heads
from tools.base.train import options, train


@pytest.fixture
def drawn(tmp_path):
    """Makes heads of targets and skins that have a few names of the real ones."""
    for name in ("nose/nose-hump-decr", "nose/nose-hump-incr", "eyes/l-eye-bag-in", "eyes/l-eye-bag-out",
                 "eyes/r-eye-bag-in", "eyes/r-eye-bag-out", "asym/asym-jaw-1-l", "asym/asym-jaw-1-r",
                 "mouth/mouth-trans-in", "mouth/mouth-trans-out", "head/head-oval"):  # fmt: skip
        path = tmp_path / "targets" / f"{name}.target.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(b""))
    for ancestry in ("african", "asian", "caucasian"):
        for sex in ("female", "male"):
            path = tmp_path / "skins" / f"young_{ancestry}_{sex}" / "textures" / f"young_{sex}_diffuse.png"
            path.parent.mkdir(parents=True)
            path.touch()
    return lambda count, shots: heads(tmp_path / "targets", tmp_path / "skins", count, shots)


def test_a_head_is_the_same_however_many_heads_and_pictures_there_are(drawn):
    few, many = drawn(2, 3), drawn(5, 7)
    assert [head.look for head in few] == [head.look for head in many[:2]]
    assert few[1].shots == many[1].shots[:3]
    assert len({head.look.name for head in many}) == 5 and len(many[4].shots) == 7


def test_both_eyes_of_a_head_change_alike_and_nothing_is_moved_aside(drawn):
    for head in drawn(20, 1):
        chosen = {name: weight for name, weight in head.look.targets.items() if not name.startswith("macrodetails")}
        for name, weight in chosen.items():
            assert "mouth-trans" not in name
            if name.startswith("eyes/l-"):
                assert chosen[name.replace("/l-", "/r-")] == weight
        assert not {"nose/nose-hump-decr", "nose/nose-hump-incr"} <= set(chosen)


def test_mouths_are_drawn_from_shut_to_wide(drawn):
    jaws = [shot.actions.get("jawOpen", 0) for head in drawn(20, 10) for shot in head.shots]
    assert 0.2 < np.mean(np.equal(jaws, 0)) < 0.5 and max(jaws) > 0.9


def test_a_crop_has_the_landmarks_of_its_picture_where_the_extractor_has_them(tmp_path):
    points = np.concatenate([np.zeros((17, 2)), 20 + 60 * MEAN_FACE])
    picture = np.zeros((100, 100, 3), np.uint8)
    x, y = np.rint(points[30]).astype(int)  # the tip of the nose
    cv2.circle(picture, (int(x), int(y)), 2, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    np.save(tmp_path / "a.npy", points)
    (crop,) = crops([tmp_path / "a.png"])
    rows, columns = np.nonzero(crop[..., 0] > 128)
    np.testing.assert_allclose([columns.mean(), rows.mean()], 48 + 160 * MEAN_FACE[13], atol=2)


def test_a_varied_crop_is_another_one_and_the_crop_stays():
    crop = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    before = crop.copy()
    first, second = (varied(crop, np.random.default_rng(seed)) for seed in (1, 2))
    np.testing.assert_array_equal(crop, before)
    assert first.shape == crop.shape and first.dtype == np.uint8 and not np.array_equal(first, second)
    np.testing.assert_array_equal(first, varied(crop, np.random.default_rng(1)))


def test_an_interrupted_training_of_a_base_goes_on_and_its_decoders_are_equal(tmp_path):
    faces = np.random.default_rng(0).integers(0, 256, (4, 256, 256, 3), np.uint8)
    done = []

    def stop(iteration, loss):
        raise InterruptedError

    chosen = options("preview", 3, seed=1)
    chosen.batch_size = 2
    with pytest.raises(InterruptedError):
        train(faces, chosen, tmp_path / "state", stop, steps=2)
    (tmp_path / "base").write_bytes(
        train(faces, chosen, tmp_path / "state", lambda iteration, loss: done.append(iteration), steps=2)
    )
    assert done == [3]
    _, tensors = unpack(tmp_path / "base")
    for name in tensors:
        if name.startswith("decoder_a/"):
            np.testing.assert_array_equal(tensors[name], tensors[name.replace("_a/", "_b/")])
