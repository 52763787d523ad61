"""The table and the contact sheet of the benchmark of previews; its runs take minutes and are made by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import preview
from benchmarks.sheet import HEADER, TILE, sheet
from facefoundry.dataset.record import FakeRecord, IdentityDistances, PairRecord, Sample


def fake(name: str, source: float, mouth: float | None) -> FakeRecord:
    target, _, giver = name.partition("_")
    made = FakeRecord(name, target, giver, identity=IdentityDistances(12, source, 0.7, 0.75, 0.3))
    made.quality = {"identity": made.identity.nearer, "identity_gain": made.identity.gain}
    made.quality |= {"mouth": mouth, "mouth_motion": 0.03, "sharpness": 0.5, "seam": 1.1}
    return made


def test_a_row_says_what_was_measured_and_leaves_out_what_was_not() -> None:
    made = fake("a_b", 0.5, None)
    assert preview.row("ours", made.id, preview.values(made), 81.4) == (
        "| ours | a_b | 0.50 | 0.70 | 0.20 | 0.25 |  | 0.030 | 0.50 | 1.10 | 81 |"
    )
    assert preview.values(FakeRecord("a_b", "a", "b")) == [None] * len(preview.COLUMNS)
    assert preview.HEAD.splitlines()[0].count("|") == preview.HEAD.splitlines()[1].count("|") == 12


def test_medians_are_of_what_was_measured() -> None:
    fakes = [fake("a_b", 0.5, None), fake("b_a", 0.6, 0.4), fake("c_d", 0.1, 0.8)]
    found = dict(zip(preview.COLUMNS, preview.medians(fakes), strict=True))
    assert found["to source"] == 0.5 and found["mouth"] == pytest.approx(0.6)


def test_the_mouth_counts_where_that_of_the_target_moves() -> None:
    moves, still = fake("a_b", 0.5, 0.9), fake("b_a", 0.5, -0.4)
    still.quality["mouth_motion"] = 0.018
    assert "| 0.90 | 0.030 |" in preview.row("ours", moves.id, preview.values(moves), None)
    assert "| (-0.40) | 0.018 |" in preview.row("ours", still.id, preview.values(still), None)
    assert preview.medians([moves, still])[preview.COLUMNS.index("mouth")] == 0.9


def pair_with_pictures(folder: Path, swapped: int, frames: tuple[int, ...]) -> PairRecord:
    """Both fakes of a pair. The target of the first is grey of level 20, that of the second, its source, of 60."""
    folder.mkdir()
    mask = np.zeros((90, 160, 3), np.uint8)
    mask[30:60, 70:100] = 255
    for name, level in (("a", 20), ("b", 60), ("swap", swapped)):
        picture = np.full((90, 160, 3), level, np.uint8)
        picture[40:50, 80:90] = level + 100  # in the middle of the face
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    cv2.imwrite(str(folder / "masks.png"), mask)
    made = fake("a_b", 0.5, None), fake("b_a", 0.5, None)
    for each in made:
        each.samples = [Sample(frame, "", f"{each.target}.png", "swap.png", "masks.png") for frame in frames]
    return PairRecord("a_b", "a", "b", fakes=list(made))


def test_the_sheet_shows_source_target_and_the_fake_of_each_training_as_large_faces(tmp_path: Path) -> None:
    trained = {
        name: (pair_with_pictures(tmp_path / name, level, frames), tmp_path / name)
        for name, level, frames in (("ours", 120, (3, 9)), ("base", 140, (3,)))
    }
    drawn = sheet(trained)
    assert drawn.shape[0] == HEADER + 2 * TILE
    middle = drawn[HEADER + TILE // 2 :: TILE, TILE // 2 :: TILE, 0]
    assert middle[:, :4].tolist() == [[160, 120, 220, 240], [160, 120, 220, 0]]
    beside = drawn[HEADER + TILE // 4, TILE // 4 :: TILE, 0]
    assert beside[:4].tolist() == [60, 20, 120, 140]
    assert drawn.shape[1] > 8 * TILE, "the other direction is beside it"


def test_an_odd_number_of_clips_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        preview.main(["one.mp4"])
    assert "even number of clips" in capsys.readouterr().err
