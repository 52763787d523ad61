"""Contact sheets show the frames that they name, at their places, of whatever is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import facefoundry
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.gates import DEFAULT_GATES, Action, FailedGate, Gate
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.record import FakeRecord, PairRecord, Preview
from facefoundry.errors import InvalidInput
from facefoundry.faces.alignments import NO_FACE
from facefoundry.faces.crop import cut, face_matrix
from facefoundry.sheets.clips import plan_alignments
from facefoundry.sheets.datasets import plan_dataset, plan_pair
from facefoundry.sheets.plan import Cell, Row, SheetPlan, evenly
from facefoundry.sheets.ranking import shortfall, worst_first
from tests.clips import drifting_face, encode
from tests.extractions import alignments_of
from tests.facefoundry.checks.made import BOX, HEIGHT, WIDTH, pictures_of
from tests.facefoundry.report.conftest import folder, make_pair, save
from tests.facefoundry.sheets.conftest import drawn

__all__ = ["folder", "make_pair", "save"]  # fixtures

TILE = 120


def tile(sheet, row, column, side=TILE):
    """A tile of a sheet whose rows all have this side; row and column count from 0."""
    top, left = 34 + row * (22 + side + 4) + 22, 4 + column * (side + 4)
    return sheet[top : top + side, left : left + side].astype(int)


def fitted(picture, side=TILE):
    """A square picture, scaled as a tile is."""
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR).astype(int)


def test_a_pair_shows_source_target_and_fake_in_the_box_of_the_labels(made, tmp_path):
    plan = plan_pair(made, "001_000", 4)
    assert [row.caption for row in plan.rows][:3] == ["001_000: source, 000", "001_000: target, 001", "001_000: fake"]
    assert len(plan.rows) == 6
    sheet, lost = drawn(plan, tmp_path)
    assert lost == 0
    x, y, width, _ = BOX
    middle, half = (x + width // 2, y + width // 2), width
    part = (slice(middle[1] - half, middle[1] + half), slice(middle[0] - half, middle[0] + half))
    for row, path in enumerate((made.real_video("raw", "000"), made.real_video("raw", "001"))):
        frames = pictures_of(path)
        frame = evenly(range(len(frames)), 4)[2]
        shown, expected = tile(sheet, row, 2), fitted(frames[frame][part])
        assert np.abs(shown - expected)[:90].max() <= 1  # words are below
    assert np.abs(tile(sheet, 1, 2) - tile(sheet, 2, 2))[:20].max() == 0  # outside the face, target and fake are equal
    assert np.abs(tile(sheet, 1, 2) - tile(sheet, 2, 2))[40:80, 40:80].mean() > 5


def test_a_dataset_without_a_record_has_a_row_for_each_pair(made, tmp_path):
    plan = plan_dataset(made, 20)
    assert [row.caption.strip() for row in plan.rows] == ["000_001", "002_003"]
    assert "2 of 2 pairs, by name" in plan.title
    assert [len(row.cells) for row in plan.rows] == [8, 8]
    sheet, lost = drawn(plan, tmp_path)
    assert lost == 0 and sheet.shape[:2] == (34 + 2 * (22 + TILE + 4), 4 + 8 * (TILE + 4))


def test_a_damaged_video_leaves_its_tiles_empty_and_all_others(made, tmp_path):
    copy = FfppLayout(tmp_path / "copy")
    shutil.copytree(made.root, copy.root)
    copy.fake_video("raw", "000_001").write_bytes(b"no video")
    sheet, lost = drawn(plan_pair(copy, "000_001", 4), tmp_path)
    assert lost == 4
    assert tile(sheet, 1, 0).std() > 5  # the target


def test_another_level_is_shown_if_it_is_wanted_or_the_only_one(made):
    def videos(plan: SheetPlan) -> set[str]:
        return {Path(cell.path).parts[-3] for row in plan.rows for cell in row.cells}

    assert videos(plan_pair(made, "000_001", 2)) == {"raw"}
    assert videos(plan_pair(made, "000_001", 2, "c23")) == {"c23"}
    with pytest.raises(InvalidInput) as caught:
        plan_pair(made, "000_001", 2, "c40")
    assert caught.value.reason == "PAIR"


def test_samples_and_previews_of_the_record_are_shown_where_there_are_no_videos(
    save: Callable[..., FfppLayout], make_pair: Callable[..., PairRecord], tmp_path: Path
) -> None:
    layout = save(make_pair())
    plan = plan_pair(layout, "097_033", 4)
    captions = [row.caption for row in plan.rows]
    assert captions[0].startswith("previews") and [cell.words for cell in plan.rows[0].cells] == ["100", "1,900"]
    assert captions[1:7] == [
        "033_097: source, 097",
        "033_097: target, 033",
        "033_097: fake",
        "033_097: mask: box",
        "033_097: mask: blended",
        "033_097: mask: changed",
    ]
    assert drawn(plan, tmp_path)[1] == 0


def test_a_value_that_misses_its_bar_by_little_is_shown_with_enough_digits(
    save: Callable[..., FfppLayout], make_pair: Callable[..., PairRecord]
) -> None:
    pair = make_pair()
    pair.fakes[0].failed = [FailedGate("sharpness", 0.4996, 0.5, "flag"), FailedGate("seam", 1.30042, 1.3, "flag")]
    expected = "sharpness 0.4996 (bar 0.5), seam 1.3004 (bar 1.3)"
    layout = save(pair)
    assert f"033_097: fake   {expected}" in [row.caption for row in plan_pair(layout, pair.id, 4).rows]
    assert plan_dataset(layout, 1).rows[0].caption == f"033_097   033_097: {expected}"


def test_pictures_outside_the_folder_are_not_shown(
    save: Callable[..., FfppLayout], make_pair: Callable[..., PairRecord], tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"")
    pair = make_pair()
    pair.training.previews = [Preview(1, "../../../secret.jpg")]
    pair.fakes[0].samples[0] = replace(pair.fakes[0].samples[0], swap="../../../secret.jpg")
    plan = plan_pair(save(pair), pair.id, 4)
    assert not any("secret" in cell.path for row in plan.rows for cell in row.cells)


def test_an_unknown_pair_is_refused_with_those_that_there_are(
    save: Callable[..., FfppLayout], make_pair: Callable[..., PairRecord]
) -> None:
    with pytest.raises(InvalidInput, match=r"such as 033_097\. Received '1_2'") as caught:
        plan_pair(save(make_pair()), "1_2", 4)
    assert caught.value.reason == "PAIR"


def test_a_clip_shows_box_and_landmarks_and_the_face_as_a_training_gets_it(tmp_path):
    frames = list(drifting_face(6))
    clip = encode(tmp_path / "clip.mp4", frames)
    rng = np.random.default_rng(2)
    landmarks = (rng.uniform(50, 140, (6, 68, 2))).astype(np.float32)
    known = alignments_of(np.zeros((6, 8, 8, 3), np.uint8))
    known = replace(
        known,
        boxes=np.tile(np.array([50, 50, 90, 90], np.int32), (6, 1)),
        landmarks=landmarks,
        matrices=face_matrix(landmarks),
        reasons=np.array([0, 0, 0, NO_FACE, 0, 0], np.uint8),
    )
    plan = plan_alignments(Clip("clip", clip), known, 3)
    assert plan.title == "clip: a face in 83% of 6 frames; NO_FACE 1"
    assert [cell.words for cell in plan.rows[0].cells] == ["1", "3: NO_FACE", "5"]
    sheet, lost = drawn(plan, tmp_path)
    assert lost == 0
    (first, _, _), (face, none, _) = ([tile(sheet, row, column, plan.tile) for column in range(3)] for row in range(2))
    decoded = pictures_of(clip)[1]
    expected = cv2.resize(cut(decoded, known.matrices[1], 256, 48), (plan.tile,) * 2, interpolation=cv2.INTER_AREA)
    assert np.abs(face - expected.astype(int))[:130].max() == 0
    assert none.std() == 0
    plain = cv2.resize(decoded, (plan.tile,) * 2, interpolation=cv2.INTER_AREA).astype(int)
    marked = np.abs(first - plain).max(axis=2) > 40
    edge = round(50 * plan.tile / 192)
    assert marked[edge, edge : round(140 * plan.tile / 192)].mean() > 0.8  # the upper side of the box
    for x, y in landmarks[1] * plan.tile / 192:
        assert marked[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].any()


def fake(name: str, *failed: Action, **quality: float) -> FakeRecord:
    target, source = name.split("_")
    return FakeRecord(
        name, target, source, quality={**quality}, failed=[FailedGate("seam", 2, 1.3, each) for each in failed]
    )


def test_pairs_come_by_what_their_gates_do_and_then_by_the_bar_that_is_missed_by_most():
    gates = [Gate(measure="sharpness", min=0.5), Gate(measure="seam", max=1.0)]
    pairs = [
        PairRecord("1_2", "1", "2", fakes=[fake("1_2", sharpness=0.9, seam=0.9), fake("2_1", sharpness=0.6)]),
        PairRecord("3_4", "3", "4", fakes=[fake("3_4", "flag", sharpness=0.4)]),
        PairRecord("5_6", "5", "6", fakes=[fake("5_6", "flag", sharpness=0.1)]),
        PairRecord("7_8", "7", "8", fakes=[fake("7_8", "drop", sharpness=0.45)]),
        PairRecord("9_0", "9", "0", state="failed"),
        PairRecord("a_b", "a", "b", fakes=[fake("a_b", sharpness=0.8, seam=0.5)]),
    ]
    assert [pair.id for pair in worst_first(pairs, gates)] == ["9_0", "7_8", "5_6", "3_4", "1_2", "a_b"]


def test_a_shortfall_counts_only_what_gates_judge():
    assert shortfall(fake("1_2", mouth=0.3, mouth_motion=0.01), DEFAULT_GATES) == -float("inf")
    assert shortfall(fake("1_2", mouth=0.3, mouth_motion=0.1), DEFAULT_GATES) == pytest.approx(0.5)
    assert shortfall(fake("1_2", seam=1.95), DEFAULT_GATES) == pytest.approx(0.5)


def test_evenly_takes_the_middles_of_equal_parts():
    assert evenly(range(100), 4) == [12, 37, 62, 87]
    assert evenly("abc", 5) == ["a", "b", "c"]


def test_a_sheet_is_drawn_in_a_sandbox_and_shown_by_a_notebook(made, tmp_path):
    sheet = facefoundry.look(made.root, frames=2, pairs=1)
    assert sheet.png.startswith(b"\x89PNG") and sheet._repr_png_() == sheet.png
    shown = sheet._repr_html_()
    assert shown.startswith("<img ") and "1 of 2 pairs, by name" in shown and "base64," in shown
    saved = sheet.save(tmp_path / "new" / "sheet.png")
    assert saved.read_bytes() == sheet.png
    drawn_here, _ = drawn(plan_dataset(made, 1), tmp_path)
    decoded = cv2.imdecode(np.frombuffer(sheet.png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None and np.array_equal(decoded, drawn_here)


def test_a_frame_that_is_beside_its_box_is_shown_whole(made, tmp_path):
    video = str(made.real_video("raw", "000"))
    cells = [Cell(video, 0, box=(900, 900, 10, 10)), Cell(video, 0)]
    sheet, _ = drawn(SheetPlan("", [Row("", cells)]), tmp_path)
    assert np.array_equal(tile(sheet, 0, 0), tile(sheet, 0, 1))
    assert tile(sheet, 0, 1)[: (TILE - TILE * HEIGHT // WIDTH) // 2 - 1].std() == 0  # bars above a wide frame


def test_a_pair_with_its_figures_is_a_table_in_a_notebook(make_pair: Callable[..., PairRecord]) -> None:
    pair = make_pair()
    pair.fakes[0].faults = ["is <blurred>"]
    table = pair._repr_html_()
    assert "<caption>033_097 done</caption>" in table and "<td>0.93</td>" in table and "is &lt;blurred&gt;" in table
    assert make_pair(state="running")._repr_html_() == "<p>033_097 running</p>"


def test_a_list_of_pairs_is_short_in_a_notebook(make_pair: Callable[..., PairRecord]) -> None:
    assert repr([make_pair(), make_pair(state="running")]) == (
        "[PairRecord('033_097', 'done', ['033_097', '097_033']), PairRecord('033_097', 'running', [])]"
    )
