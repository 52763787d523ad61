"""The table and the contact sheet of the benchmark of previews; its runs take minutes and are made by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import preview
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


def test_the_sheet_shows_source_target_and_the_fake_of_each_training(tmp_path: Path) -> None:
    def measured(training: str, blue: int, frames: tuple[int, ...]) -> preview.Measured:
        folder = tmp_path / training
        folder.mkdir()
        made = fake("a_b", 0.5, None)
        for name, level in (("source", 10), ("target", 20), ("swap", blue)):
            cv2.imwrite(str(folder / f"{name}.png"), np.full((90, 160, 3), level, np.uint8))
        made.samples = [Sample(frame, source="source.png", target="target.png", swap="swap.png") for frame in frames]
        return preview.Measured(training, PairRecord("a_b", "a", "b", fakes=[made]), folder, 1.0)

    drawn = preview.sheet([measured("ours", 200, (3, 9)), measured("base", 100, (3,))])
    assert drawn.shape == (4 * 160, 2 * 160, 3)
    centres = drawn[80::160, 80::160, 0]
    assert centres.tolist() == [[10, 10], [20, 20], [200, 200], [100, 0]]
    assert not drawn[:30].any(), "a picture keeps its proportions"


def test_an_odd_number_of_clips_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        preview.main(["one.mp4"])
    assert "even number of clips" in capsys.readouterr().err
