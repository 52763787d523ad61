"""Rights of a dataset file: the most specific statement counts, and no run begins with a clip that has none."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import yaml

from facefoundry import codec
from facefoundry.cli.main import main
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.rights import ClipRights, Rights, end_warning
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput
from facefoundry.planning.objects import lister
from facefoundry.planning.rights import load_record, rights_of
from facefoundry.planning.running import plan_of, run
from facefoundry.settings import StoreSettings
from tests.facefoundry.dataset.fakes import FakeServices

TODAY = date(2027, 1, 15)
CONSENT = {"basis": "consent", "evidence": "form 7", "subject": "P-7"}
LICENCE = {"basis": "licence", "licence": "CC-BY-4.0"}
RECIPE = {"name": "preview", "set": {"extraction.identity": False}}
PERSONS = ("ann", "ann", "ben", "cem", "dea", "eve", "fay", "gus", "hal", "ida", "jon", "kim", "lea", "mia", "nil")


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes a dataset file with the given rights, of clips of several subjects in a list."""

    def write(count: int, stated: dict[str, object], **fields: object):
        rows = ["clip,subject,rights"]
        for number in range(count):
            (tmp_path / f"c{number}.mp4").write_bytes(b"clip %d" % number)
            rows.append(f"c{number}.mp4,{PERSONS[number]},{'row.yaml' if number == 2 else ''}")
        (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
        (tmp_path / "row.yaml").write_text(yaml.safe_dump({"basis": "no-person"}))
        values = {"name": "r", "sources": [{"kind": "list", "path": "clips.csv", **fields}], "rights": stated}
        path = tmp_path / "dataset.yaml"
        values |= {"splits": {"kind": "none"}, "recipe": RECIPE}
        path.write_text(yaml.safe_dump(values))
        return path

    return write


def planned(path):
    return plan_of(path, lister(StoreSettings()))[0]


def test_the_most_specific_statement_counts(write, tmp_path):
    (tmp_path / "consent.yaml").write_text(yaml.safe_dump(CONSENT))
    rights = {"default": "unstated", "subjects": {"ann": "consent.yaml", "ben": LICENCE}, "clips": {"c1": LICENCE}}
    made = planned(write(4, rights)).rights
    consent, licence = Rights.model_validate(CONSENT).digest, Rights.model_validate(LICENCE).digest
    nobody = Rights(basis="no-person").digest
    assert made.clips == {"c0": consent, "c1": licence, "c2": nobody, "c3": "unstated"}
    assert set(made.records) == {consent, licence, nobody}
    of_source = planned(write(4, rights, rights=CONSENT)).rights
    assert of_source.clips["c3"] == consent, "the source stands above the default"


def test_no_statement_hides_a_record_that_was_revoked_and_unstated_hides_none_that_has_ended(write):
    revoked, expired = {**CONSENT, "revoked": "2026-01-01"}, {**CONSENT, "expires": "2026-01-01"}
    for stated, words in (
        ({"default": LICENCE, "subjects": {"ann": revoked}, "clips": {"c0": "unstated", "c1": LICENCE}}, "revoked on"),
        ({"default": expired, "subjects": {"ben": LICENCE}, "clips": {"c0": "unstated"}}, "c0 has rights that expired"),
    ):
        with pytest.raises(InvalidInput, match=words) as caught:
            planned(write(4, stated))
        assert {wrong.field for wrong in caught.value.violations} >= {"rights.clips.c0", "rights.clips.c1"}
    renewed = {"default": LICENCE, "subjects": {"ann": expired}, "clips": {"c0": LICENCE, "c1": LICENCE}}
    assert planned(write(4, renewed)).rights.summary() == "licence for 3 clips, no-person for 1"


def test_plan_takes_a_record_from_where_it_is_called_and_says_in_a_sentence_that_none_is_stated(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in ("clips", "sub", "rights"):
        (tmp_path / name).mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"a")
    (tmp_path / "clips" / "b.mp4").write_bytes(b"b")
    (tmp_path / "rights" / "studio.yaml").write_text(yaml.safe_dump(LICENCE))
    for arguments in (["-o", "sub/d.yaml", "--rights", "rights/studio.yaml"], ["-o", "sub/e.yaml"]):
        with pytest.raises(SystemExit) as ended:
            main(["plan", "clips", *arguments])
        assert not ended.value.code
    assert yaml.safe_load((tmp_path / "sub" / "d.yaml").read_text())["rights"]["default"] == "../rights/studio.yaml"
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("rights.default before you run it") == 1
    assert "Expected rights to every clip" not in printed.out + printed.err


def test_a_dataset_of_twelve_pairs_is_refused_before_any_upload_and_names_each_clip(write, tmp_path, capsys):
    kinds = {"ann": CONSENT, "cem": LICENCE, "dea": "unstated", "eve": {**CONSENT, "expires": "2020-02-29"}}
    others = dict.fromkeys(PERSONS[6:15], "unstated")
    path = write(15, {"subjects": {**kinds, **others, "fay": {**CONSENT, "revoked": "2021-03-01"}}})
    text = yaml.safe_load(path.read_text())
    del text["rights"]["subjects"]["gus"]
    path.write_text(yaml.safe_dump(text | {"pairs": {"strategy": "round-robin", "partners": 2}}))
    with pytest.raises(SystemExit) as caught:
        main(["run", str(path), "-o", str(tmp_path / "out"), "--json"])
    printed = capsys.readouterr()
    assert caught.value.code == 2 and not (tmp_path / "out").exists()
    with pytest.raises(InvalidInput) as refused:
        planned(path)
    assert refused.value.reason == "RIGHTS"
    assert {wrong.field: wrong.description for wrong in refused.value.violations} == {
        "rights.clips.c5": "has rights that expired on 2020-02-29",
        "rights.clips.c6": "has rights that were revoked on 2021-03-01",
        "rights.clips.c7": "has no statement",
    }
    assert "exclude.clips" in refused.value.message and "3 of 15 clips" in refused.value.message
    assert "RIGHTS" in printed.out + printed.err


def test_the_digest_is_in_records_and_requests_and_unstated_is_said(write, tmp_path, store):
    path = write(4, {"default": CONSENT, "subjects": {"cem": "unstated"}})
    services = FakeServices(store, ["raw", "c23", "c40"])
    assert [pair.state for pair in run(path, tmp_path / "out", services)] == ["done"] * 2  # type: ignore[arg-type]  # stands in for a client
    layout = FfppLayout(tmp_path / "out")
    written = codec.from_json(ClipRights, (tmp_path / "out" / "misc" / "rights.json").read_bytes())
    assert written == planned(path).rights and written.records[written.clips["c0"]].subject == "P-7"
    folder = RunFolder(layout.run_folder())
    record = folder.load_run()
    assert record.rights == "consent for 2 clips, no-person for 1, unstated for 1" and record.rights_end == ""
    assert {clip: sequence.rights for clip, sequence in record.sequences.items()} == dict(written.clips)
    assert {clip: digest for pair in folder.load_pairs() for clip, digest in pair.rights.items()} == dict(written.clips)


def test_a_record_without_evidence_or_of_no_clip_is_refused(write, tmp_path):
    (tmp_path / "bad.yaml").write_text("basis: consent\nname: Ann\n")
    for wrong in ("bad.yaml", "none.yaml", "row.csv"):
        path = tmp_path / wrong
        if wrong == "row.csv":
            path.write_text("basis: [")
        with pytest.raises(InvalidInput, match=str(path)) as caught:
            load_record(path)
        assert caught.value.reason == "RIGHTS"
    with pytest.raises(InvalidInput, match=r"expected unstated, a path that ends in \.yaml, or a record of rights"):
        planned(write(4, {"default": "studio"}))
    for field, named in (("clips", "c9"), ("subjects", "zoe")):
        with pytest.raises(InvalidInput, match=f"rights.{field} names {named}") as caught:
            planned(write(4, {"default": "unstated", field: {named: CONSENT}}))
        assert caught.value.reason == "UNKNOWN_CLIP"


def test_rights_end_on_their_last_day_and_warn_a_month_before():
    record = Rights(basis="consent", evidence="form", expires=TODAY)
    assert rights_of({"a": record}, TODAY).end == "2027-01-15"
    with pytest.raises(InvalidInput, match=r"a has rights that expired on 2027-01-15"):
        rights_of({"a": record}, TODAY + timedelta(days=1))
    assert end_warning("2027-01-15", TODAY - timedelta(days=31)) == ""
    assert "expire on 2027-01-15" in end_warning("2027-01-15", TODAY - timedelta(days=30))
    assert "expired on 2027-01-15" in end_warning("2027-01-15", TODAY + timedelta(days=1))
    announced = record.model_copy(update={"revoked": TODAY})
    assert ClipRights.of({"a": announced}).end == "2027-01-14", "a withdrawal that is announced ends them too"
    assert ClipRights.of({"a": record, "b": None}).warnings(TODAY)[1:] == [end_warning("2027-01-15", TODAY)]


def test_the_digest_is_that_of_what_was_granted_and_not_of_its_withdrawal():
    record = Rights(basis="consent", evidence="form")
    assert record.model_copy(update={"revoked": TODAY}).digest == record.digest
    assert record.model_copy(update={"expires": TODAY}).digest != record.digest
    assert record.digest == "0a6d9fd628297c558c4913b71502f55a27b7ea753248d032e6825b7c971f8b79"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sign", "-o", "s3://facefoundry/datasets/r/"], "--sign is for a folder"),
        (["--tsa", "http://127.0.0.1:9"], "are for --sign"),
        (["--sign", "--sign-command", "cat"], "--chain goes together with --key or --sign-command"),
        (["--sign", "--key", "dataset.yaml", "--chain", "dataset.yaml"], "is not a PEM file"),
    ],
)
def test_run_checks_what_signs_before_anything_is_started(write, tmp_path, monkeypatch, capsys, options, words):
    path = write(4, {"default": "unstated"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["run", str(path), "--local", "--json", *options])
    printed = capsys.readouterr()
    assert caught.value.code == 2 and words in printed.out + printed.err
    assert not (tmp_path / "output").exists()
