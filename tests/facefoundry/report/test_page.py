from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from facefoundry import codec
from facefoundry.checks.leaks import Auc, LeakReport, LeakRow, path_of
from facefoundry.dataset import verdict
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.files import write as write_file
from facefoundry.dataset.gates import DEFAULT_GATES
from facefoundry.dataset.record import Estimate, Failure, IdentityDistances, SequenceRecord, StageTime
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.report import ReportWriter, write
from facefoundry.report.page import ONE_PAGE_PAIRS, pages_folder
from facefoundry.report.render import asset
from facefoundry.storage.info import ExtractionWarning
from facefoundry.storage.usage import Usage
from tests.facefoundry.report.made import Amounts, make

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'


def text_of(layout) -> str:
    page = write(layout)
    assert page == layout.report_page()
    return page.read_text(encoding="utf-8")


def script_is_ours(page: str) -> bool:
    """Return whether a page has one script, which its policy allows by its digest."""
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return script == asset("script.js") and page.count("<script") == 1 and f"&#39;sha256-{digest}&#39;" in page


def test_the_page_is_self_contained_and_says_that_the_outputs_are_synthetic(save, make_pair):
    page = text_of(save(make_pair()))
    assert "The outputs are synthetic." in page
    assert script_is_ours(page)
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
    texts = dict.fromkeys(("name", "command", "created", "rights", "rights_end"), HOSTILE)
    page = text_of(save(pair, recipe={HOSTILE: HOSTILE}, **texts))
    assert script_is_ours(page)
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
    assert '<body data-refresh="10">' in running
    assert "700 of 1,900 iterations" in running
    assert "about 1 min 06 s left" in running
    assert "This pair is waiting." in running
    assert "data-refresh" not in text_of(save(make_pair()))


def test_each_of_many_pairs_has_a_page_that_links_to_pictures_and_videos(tmp_path):
    layout = make(tmp_path / "many", Amounts(done=ONE_PAGE_PAIRS, failed=2, pending=1, samples=6))
    page, pages = text_of(layout), pages_folder(layout)
    assert "data:image/jpeg" not in page and '<details class="pair"' not in page
    named = {path.name for path in pages.iterdir()}
    assert named == {f"{pair}.html" for pair in RunFolder(layout.run_folder()).load_run().pairs} | {
        "style.css",
        "script.js",
    }
    files = [layout.report_page(), *pages.glob("*.html")]
    for file in files:
        for link in re.findall(r"""(?:src|href|poster)="([^"#]+)""", file.read_text()):
            assert link.startswith("data:") or (file.parent / link).is_file(), link
    sizes = [file.stat().st_size for file in pages.glob("*.html") if "Fake" in file.read_text()]
    row = (layout.report_page().stat().st_size - len(asset("style.css"))) / (ONE_PAGE_PAIRS + 3)
    assert 1000 * (max(sizes) + row) < 22_000_000, "a thousand pairs stay near 20 MB"


def test_pages_of_pairs_that_did_not_change_are_not_written_again(tmp_path):
    layout = make(tmp_path / "many", Amounts(done=ONE_PAGE_PAIRS, running=1, samples=1))
    writer, folder = ReportWriter(layout), RunFolder(layout.run_folder())
    writer.write()
    before = {path.name: path.stat().st_mtime_ns for path in pages_folder(layout).glob("*.html")}
    running = folder.load_pair(folder.load_run().pairs[-1])
    running.training.iteration = 1500
    folder.save_pair(running)
    writer.write()
    after = {path.name: path.stat().st_mtime_ns for path in pages_folder(layout).glob("*.html")}
    assert [name for name, time in after.items() if time != before[name]] == [f"{running.id}.html"]
    assert "1,500 of 3,000" in (pages_folder(layout) / f"{running.id}.html").read_text()


def test_a_report_that_became_one_page_leaves_no_others(tmp_path):
    layout = make(tmp_path / "many", Amounts(done=ONE_PAGE_PAIRS, failed=1, samples=1, videos=False))
    write(layout)
    folder = RunFolder(layout.run_folder())
    run = folder.load_run()
    run.pairs = run.pairs[:3]
    folder.save_run(run)
    assert text_of(layout).count('<details class="pair"') == 3
    assert not pages_folder(layout).exists()


def test_the_worst_fakes_of_each_gate_come_first_and_those_that_are_not_judged_do_not(save, make_pair):
    values = [0.95, 0.2, 0.55, 0.7]
    pairs = [make_pair(f"{number}", f"{number}9", samples=0) for number in range(len(values))]
    for pair, value in zip(pairs, values, strict=True):
        for fake, mouth in zip(pair.fakes, (value, None), strict=True):
            fake.quality = {"mouth": mouth, "mouth_motion": 0.05 if value != 0.55 else 0.01}
            verdict.judge(fake, DEFAULT_GATES)
    page = text_of(save(*pairs))
    group = page[page.index('id="worst-mouth"') :]
    group = group[: group.index("</ol>")]
    assert re.findall(r">(\d_\d9)</a>", group) == ["1_19", "3_39", "0_09"]
    assert "at least 0.6" in group and "1 of 3 judged fakes fail" in " ".join(group.split())


def test_failed_pairs_are_grouped_by_reason(save, make_pair):
    pairs = [make_pair(f"{number}", f"{number}9", state="failed", samples=0) for number in range(3)]
    for pair, reason in zip(pairs, ("NO_FACE", "OUT_OF_MEMORY", "NO_FACE"), strict=True):
        pair.failure = Failure("train" if reason == "OUT_OF_MEMORY" else "extract", reason, f"Sentence on {pair.id}.")
    page = text_of(save(*pairs))
    section = page[page.index('id="failures"') :]
    section = " ".join(re.sub(r"<[^>]+>", " ", section[: section.index("</section>")]).split())
    assert "2 pairs NO_FACE at extract 2 For example, 0_09: Sentence on 0_09. 0_09 , 2_29" in section
    assert section.index("NO_FACE") < section.index("1 pair OUT_OF_MEMORY")


def test_splits_with_the_states_of_their_pairs_and_balance_are_shown(tmp_path):
    layout = make(tmp_path / "few", Amounts(done=9, failed=1, samples=1, videos=False))
    page = text_of(layout)
    section = page[page.index('id="splits"') :]
    rows = re.findall(r"<tr><th.*?</tr>", section[: section.index("</table>")])[1:]
    counts = {re.sub("<[^>]+>", " ", row).split()[0]: re.sub("<[^>]+>", " ", row).split()[1] for row in rows}
    assert counts == {"train": "8", "val": "1", "test": "1"}
    assert "Median length differs" in section
    assert "extractions 30 days" in page


def test_speed_and_time_left_come_from_pairs_that_were_made_now(save, make_pair):
    made, found = make_pair("1", "2", samples=0), make_pair("3", "4", samples=0)
    for fake in found.fakes:
        fake.reused = True
    waiting = [make_pair(f"{number}", f"{number}9", state="pending", samples=0) for number in (5, 6)]
    page = " ".join(text_of(save(made, found, *waiting, seconds=1800.0)).split())
    assert "<dt>Pairs in an hour</dt><dd>2</dd>" in page
    assert "<dt>Time left</dt><dd>1 h 00 min" in page
    page = " ".join(text_of(save(found, *waiting)).split())
    assert "known after the first pair" in page and "Pairs in an hour" not in page


@pytest.mark.parametrize(
    ("levels", "chosen", "sentence"),
    [
        ([("raw", "libx264rgb", False), ("c23", "libx264", False)], "c23", "Do not judge <code>raw</code>"),
        ([("raw", "libx264rgb", False), ("c40", "libx264", False)], "c40", "Do not judge <code>raw</code>"),
        ([("raw", "libx264rgb", True)], "raw", "are those of the level <code>raw</code>."),
        ([("raw", "libx264rgb", False)], "raw", "Browsers show it in wrong colours"),
    ],
)
def test_videos_are_those_of_a_level_that_browsers_show_rightly(save, make_pair, levels, chosen, sentence):
    listed = [{"name": name, "codec": codec, "tagged": tagged} for name, codec, tagged in levels]
    layout = save(make_pair(samples=0), recipe={"name": "own", "compression": {"levels": listed}})
    write_file(layout.fake_video(chosen, "033_097"), b"video")
    page = " ".join(text_of(layout).split())
    assert f'src="manipulated_sequences/Deepfakes/{chosen}/videos/033_097.mp4"' in page
    assert sentence in page and page.count("<video") == 1


def test_links_and_names_that_leave_the_dataset_are_not_followed(save, make_pair):
    pair = make_pair(samples=0)
    layout = save(pair)
    outside = layout.root.parent / "outside.mp4"
    outside.write_bytes(b"secret")
    linked = layout.fake_video("c23", "033_097")
    linked.parent.mkdir(parents=True)
    linked.symlink_to(outside)
    pair.fakes[1].id = pair.fakes[1].target = "../../../../../outside"
    RunFolder(layout.run_folder()).save_pair(pair)
    assert "<video" not in text_of(layout)


def test_pictures_outside_the_folder_missing_or_no_jpeg_are_not_embedded(save, make_pair, folder):
    folder.path.mkdir(parents=True)
    (folder.path.parent / "secret.jpg").write_bytes(b"\xff\xd8\xff secret")
    (folder.path / "033_097").mkdir(exist_ok=True)
    (folder.path / "033_097" / "text.jpg").write_text("no picture")
    pair = make_pair(samples=1)
    sample = pair.fakes[0].samples[0]
    sample.source, sample.target, sample.swap, sample.masks = "../secret.jpg", "033_097/text.jpg", "gone.jpg", ""
    page = text_of(save(pair))
    assert page.count("no picture</span>") == 4
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
    assert "could not be measured" not in page
    assert "1 leak</span>" in page
    assert "2 of 2 fakes differ" in page
    assert "0.52 [0.41, 0.63]" in page
    assert HOSTILE not in page


def test_fakes_that_the_leak_test_could_not_measure_are_named(save, make_pair):
    layout = save(make_pair())
    failed = [f"033_097 at c23: {HOSTILE}"]
    write_file(
        path_of(layout), codec.to_standard_json(LeakReport(2, 1, by_pair=True, frames=32, rows=[], failed=failed))
    )
    page = text_of(layout)
    assert "Fakes that could not be measured" in page and "033_097 at c23: " in page
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
