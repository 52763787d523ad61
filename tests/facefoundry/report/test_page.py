from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from facefoundry import codec
from facefoundry.checks.leaks import Auc, LeakReport, LeakRow, path_of
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.files import write as write_file
from facefoundry.dataset.record import Estimate, Failure, IdentityDistances, SequenceRecord, StageTime
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.report import write
from facefoundry.storage.info import ExtractionWarning
from facefoundry.storage.usage import Usage

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'


def text_of(layout) -> str:
    page = write(layout)
    assert page == layout.report_page()
    return page.read_text(encoding="utf-8")


def test_the_page_is_self_contained_and_says_that_the_outputs_are_synthetic(save, make_pair):
    page = text_of(save(make_pair()))
    assert "The outputs are synthetic." in page
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert page.count("data:image/jpeg;base64,") == 2 * 2 * 6 + 3


def test_the_page_tells_what_was_done(save, make_pair):
    page = text_of(save(make_pair()))
    for words in (
        "033_097",
        "097_033",
        "108 of 115",
        "0.13 nearer to the source than the control",
        "correlation of 0.93",
        "over 31 sampled frames of 108",
        "6 frames: no face",
        "1,900 of 1,900 iterations in 1 min 44 s",
        "Not faithful to FaceForensics++.",
        "extract 033",
        "29.97",
        "2 min 42 s",
        "--convert_images",
        "3.15.1",
        "side A, 033",
        "side B, 097",
    ):
        assert words in page


def test_a_fake_that_is_not_good_enough_is_told_in_words(save, make_pair):
    pair = make_pair(samples=0)
    assert "Not good enough to judge" not in text_of(save(pair))
    pair.fakes[1].faults = ["is blurred (9% of the target's sharpness, not 50%)", "has a seam"]
    page = text_of(save(pair))
    assert page.count("Not good enough to judge clips or recipe by.") == 1
    assert "This fake is blurred (9% of the target&#39;s sharpness, not 50%), has a seam." in page


def test_what_is_in_doubt_about_a_training_is_told(save, make_pair):
    pair = make_pair(samples=0)
    pair.training.warnings = ["The training stagnates."]
    assert '<p class="notice">The training stagnates.</p>' in text_of(save(pair))


def test_what_is_in_doubt_is_listed_clip_by_clip(save, make_pair):
    assert "Clips in doubt" not in text_of(save(make_pair()))
    several = ExtractionWarning("SEVERAL_FACES", "7 frames show several faces.")
    sequences = {
        "033": SequenceRecord(remarks=["It states 1000 frames per second."], warnings=[several]),
        "097": SequenceRecord(),
        "101": SequenceRecord(remarks=["It has 2 <video> streams."]),
    }
    page = text_of(save(make_pair(), sequences=sequences))
    section = page[page.index("Clips in doubt") :]
    section = section[: section.index("</section>")]
    assert re.findall(r"<li>([^<]+)</li>", section) == [
        "It states 1000 frames per second.",
        "7 frames show several faces.",
        "It has 2 &lt;video&gt; streams.",
    ]
    assert re.findall(r"<strong>(\d+)</strong>", section) == ["033", "101"]


def test_what_users_named_is_escaped(save, make_pair):
    pair = make_pair(state="failed")
    pair.a, pair.b, pair.failure = HOSTILE, HOSTILE, Failure(HOSTILE, HOSTILE, HOSTILE)
    pair.stages = [StageTime(HOSTILE, 1.0)]
    page = text_of(
        save(pair, name=HOSTILE, command=HOSTILE, created=HOSTILE, rights=HOSTILE, recipe={HOSTILE: HOSTILE})
    )
    assert "<script" not in page
    assert "onerror=alert(2)&gt;" in page
    assert "<img src=x" not in page
    assert "{{ 7 * 7 }}" in page


def test_a_failed_pair_is_told_with_its_reason_and_sentence(save, make_pair):
    failed = make_pair("001", "002", state="failed", samples=0)
    failed.failure = Failure("extract", "NO_FACE_AT_ALL", "No frame of 002 shows a face.")
    page = text_of(save(make_pair(samples=1), failed))
    assert "Finished, 1 failed" in page
    assert "NO_FACE_AT_ALL" in page
    assert page.count("No frame of 002 shows a face.") == 2


def test_a_running_run_reloads_itself_and_a_finished_one_does_not(save, make_pair):
    running = text_of(save(make_pair(state="running"), make_pair("1", "2", state="pending", samples=0)))
    assert '<meta http-equiv="refresh" content="10">' in running
    assert "700 of 1,900 iterations" in running
    assert "about 1 min 06 s left" in running
    assert "This pair is waiting." in running
    assert 'http-equiv="refresh"' not in text_of(save(make_pair()))


def test_a_thousand_pairs_stay_small_and_pictures_are_for_the_first_pairs_only(save, make_pair):
    pairs = [make_pair(f"{index:04d}", f"{index + 1000:04d}", samples=1 if index < 10 else 0) for index in range(1000)]
    page = text_of(save(*pairs))
    assert len(page) < 12_000_000
    assert page.count('<details class="pair"') == 1000
    assert '<details class="pair" open' not in page
    assert page.count("data:image/jpeg;base64,") == 8 * (2 * 6 + 3)
    assert "Pictures are embedded for the first 8 pairs" in page


def test_pictures_outside_the_folder_missing_or_no_jpeg_are_not_embedded(save, make_pair, folder):
    folder.path.mkdir(parents=True)
    (folder.path.parent / "secret.jpg").write_bytes(b"\xff\xd8\xff secret")
    (folder.path / "text.jpg").write_text("no picture")
    pair = make_pair(samples=1)
    sample = pair.fakes[0].samples[0]
    sample.source, sample.target, sample.swap, sample.masks = "../secret.jpg", "text.jpg", "gone.jpg", ""
    page = text_of(save(pair))
    assert page.count("no picture</div>") == 4
    assert page.count("data:image/jpeg;base64,") == 12 - 4 + 3


@pytest.mark.parametrize(
    "changes",
    [
        {"pairs": []},
        {"pairs": ["a_b"]},
        {"recipe": {}, "versions": {}, "sequences": {}, "seed": None},
    ],
)
def test_a_sparse_record_still_makes_a_page(save, make_pair, changes):
    assert "</html>" in text_of(save(make_pair(samples=0), **changes))


def test_losses_and_distances_that_are_no_numbers_are_left_out(save, make_pair):
    pair = make_pair(samples=0)
    pair.training.losses = [(0, float("nan"), 0.1), (10, float("inf"), 0.1)]
    pair.fakes[0].identity = IdentityDistances(5, None, 0.5)
    pair.fakes[1].identity = None
    pair.fakes[1].quality["mouth"] = float("nan")
    page = text_of(save(pair))
    assert "Loss (logarithmic scale)" not in page
    assert page.count("Identity was not measured for this video.") == 2
    assert "nan" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL).lower()


def test_no_record_is_not_found(tmp_path):
    with pytest.raises(NotFound, match=r"run\.json"):
        write(FfppLayout(tmp_path))


def test_a_record_that_is_none_is_refused(save, folder):
    layout = save()
    (folder.path / "run.json").write_text("[]")
    with pytest.raises(InvalidInput, match=r"run\.json is not a run record"):
        write(layout)


def test_a_page_is_replaced_whole_and_nothing_else_is_left(save, make_pair):
    layout = save(make_pair(samples=0))
    layout.report_page().write_text("old")
    text_of(layout)
    assert sorted(path.name for path in layout.root.iterdir()) == ["misc", "report.html"]


def test_the_report_loads_no_heavy_library():
    heavy = ["tensorflow", "keras", "torch", "cv2", "av", "dlib", "h5py", "grpc", "minio"]
    code = f"import sys, facefoundry.report; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_the_page_says_what_the_dataset_took_beside_what_was_expected(save, make_pair):
    pair = make_pair(samples=0)
    assert "What it took" not in text_of(save(pair))
    train = next(stage for stage in pair.stages if stage.stage == "train")
    train.usage, train.stored_bytes, train.retries = Usage(7200.0, 3600.0, 1.8e6), 2_500_000, 3
    layout = save(pair)
    page = " ".join(text_of(layout).split())
    assert ">1 h 00 min</td>" in page and ">0.5 kWh</td>" in page and ">2.5 MB</td>" in page and "1800.0 kJ" in page
    assert "beside what the plan expected" not in page
    folder = RunFolder(layout.run_folder())
    run = folder.load_run()
    run.estimate = Estimate(4.0, 8.0, 5e9, None, 1e9)
    folder.save_run(run)
    page = text_of(layout)
    trained = 'Trainings, on GPUs</th><td data-label="Expected" class="number">4 h 00 min</td>'
    for row in (trained, ">8 h 00 min</td>", ">4 GB</td>"):
        assert row in page


def test_the_page_shows_what_gives_fakes_away(save, make_pair):
    layout = save(make_pair())
    assert "gives the fakes away" not in text_of(layout)
    rows = [
        LeakRow("c23", "encoder", "leak", f"2 of 2 fakes differ {HOSTILE}", differing=2),
        LeakRow("c23", "rate", "ok", "", alone=Auc(0.52, 0.41, 0.63)),
    ]
    write_file(path_of(layout), codec.to_standard_json(LeakReport(2, 1, by_pair=True, frames=32, rows=rows)))
    page = text_of(layout)
    assert "1 leak</span>" in page
    assert "2 of 2 fakes differ" in page
    assert "0.52 <small>[0.41, 0.63]</small>" in page
    assert HOSTILE not in page


def test_an_old_result_of_the_leak_test_is_no_verdict_on_the_dataset(save, make_pair):
    layout = save(make_pair())
    rows = [LeakRow("c23", "rate", "ok", "", alone=Auc(0.52, 0.41, 0.63))]
    report = LeakReport(2, 1, by_pair=True, frames=32, rows=rows)
    write_file(path_of(layout), codec.to_standard_json(report))
    page = text_of(layout)
    assert "no leak</span>" in page
    assert "at c23." in page
    for created in ("2001-01-01T00:00:00+00:00", "2001-01-01T00:00:00", "yesterday"):
        write_file(path_of(layout), codec.to_standard_json(replace(report, created=created)))
        page = text_of(layout)
        assert "older than the dataset</span>" in page
        assert "no leak" not in page


def test_figures_that_could_not_be_judged_are_not_called_free_of_leaks(save, make_pair):
    layout = save(make_pair())
    rows = [LeakRow("c23", "rate", "untested", "Too few pairs to judge.")]
    write_file(path_of(layout), codec.to_standard_json(LeakReport(2, 1, by_pair=True, frames=32, rows=rows)))
    page = text_of(layout)
    assert "partly untested</span>" in page
    assert "no leak" not in page
