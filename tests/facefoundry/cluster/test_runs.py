"""Runs are submitted, found, stopped and started again through the Kubernetes API, by commands and in Python."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import facefoundry
from facefoundry.cli.main import cli
from facefoundry.cluster.manifests import COMPONENT, JobOptions, job_name, template_in
from facefoundry.cluster.runs import Place, objects_of, prepare
from facefoundry.codec import to_standard_json
from facefoundry.dataset.progress import Event
from facefoundry.dataset.record import Failure, RunRecord
from facefoundry.dataset.run_log import RunLog
from facefoundry.dataset.statements import ChangedPlace, Statement, save_statement
from facefoundry.errors import Conflict, Denied, InvalidInput, NotFound, Unavailable, Unusable
from facefoundry.planning.running import plan_of
from facefoundry.storage import document
from facefoundry.storage.store import Store
from tests.facefoundry.cluster.api_server import ApiServer

ROOT = Path(__file__).parents[3]


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=True)


def _use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the commands the keys of a store."""
    settings = store.settings
    monkeypatch.setenv("FACEFOUNDRY_STORE_ENDPOINT", settings.endpoint)
    monkeypatch.setenv("FACEFOUNDRY_STORE_BUCKET", settings.bucket)
    monkeypatch.setenv("FACEFOUNDRY_STORE_ACCESS_KEY", settings.access_key.get_secret_value())
    monkeypatch.setenv("FACEFOUNDRY_STORE_SECRET_KEY", settings.secret_key.get_secret_value())


def _only_job(api: ApiServer) -> dict[str, Any]:
    (job,) = api.objects["jobs"].values()
    return job


def _config_maps(api: ApiServer) -> list[dict[str, Any]]:
    return [item for item in api.objects["configmaps"].values() if "dataset.yaml" in item["data"]]


def test_a_submitted_run_is_a_job_with_the_dataset_in_a_config_map(
    api: ApiServer, dataset_file: Path, tmp_path: Path
) -> None:
    state = facefoundry.submit(dataset_file)
    assert (state.state, state.run, state.output) == ("running", "Faces_1", "s3://facefoundry/datasets/Faces_1/")
    assert state.pod in api.objects["pods"]
    (made,) = _config_maps(api)
    folder = tmp_path / "in-the-pod"
    folder.mkdir()
    for name, text in made["data"].items():
        (folder / name).write_text(text)
    (folder / "subject-a.png").write_bytes(b"\x89PNG\xff")
    assert "subject-a.png" in made["binaryData"]
    plan, _ = plan_of(folder / "dataset.yaml", lambda prefix: [])
    assert plan.pairs == plan_of(dataset_file, lambda prefix: [])[0].pairs


def test_the_output_is_that_of_the_option_or_of_the_file_or_in_the_bucket_of_the_release(
    api: ApiServer, dataset_file: Path
) -> None:
    def output(*arguments: str) -> str:
        printed = _run("submit", dataset_file, "--dry-run", *arguments)
        return str(list(yaml.safe_load_all(printed.stdout))[1]["metadata"]["annotations"]["facefoundry/output"])

    assert output() == "s3://facefoundry/datasets/Faces_1/"
    dataset_file.write_text(dataset_file.read_text() + "output: s3://elsewhere/datasets/x\n")
    assert output() == "s3://elsewhere/datasets/x/"
    assert output("-o", "y") == "s3://facefoundry/datasets/y/"
    refused = _run("submit", dataset_file, "--dry-run", "-o", "s3://facefoundry/sources/").exception
    assert isinstance(refused, InvalidInput) and refused.reason == "OUTPUT"


def test_what_dry_run_prints_is_what_submit_creates_and_creates_nothing(api: ApiServer, dataset_file: Path) -> None:
    printed = _run("submit", dataset_file, "--dry-run", "--cpu", "1")
    assert printed.exit_code == 0, printed.output
    assert not api.objects["jobs"] and not _config_maps(api)
    assert _run("submit", dataset_file, "--cpu", "1").exit_code == 0
    config_map, job = yaml.safe_load_all(printed.stdout)
    assert _only_job(api)["spec"] == job["spec"]
    assert _config_maps(api)[0]["data"] == config_map["data"]
    assert _config_maps(api)[0]["metadata"]["name"] == config_map["metadata"]["name"]


def test_a_dry_run_with_a_template_needs_no_cluster(dataset_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/no/such/file")
    printed = _run("submit", dataset_file, "--dry-run", "--template", ROOT / "k8s/facefoundry.yaml")
    assert [item["kind"] for item in yaml.safe_load_all(printed.stdout)] == ["ConfigMap", "Job"]
    assert _run("submit", dataset_file, "--template", ROOT / "k8s/facefoundry.yaml").exit_code != 0


def test_a_run_with_revoked_clips_is_neither_submitted_nor_started_again(
    api: ApiServer, dataset_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    facefoundry.submit(dataset_file)
    api.end_job(_only_job(api)["metadata"]["name"], "Failed", 3)
    release = store.in_bucket("facefoundry")
    release.make_bucket()
    statement = Statement.about("subject 2").with_found({}, (), [ChangedPlace("runs/Faces_1", ("b", "z"), ())])
    save_statement(release, statement)
    _use(store, monkeypatch)
    try:
        for arguments in (("retry", "--dataset", "Faces_1"), ("submit", dataset_file)):
            refused = _run(*arguments).exception
            assert isinstance(refused, Unusable) and (refused.reason, refused.resource) == ("REVOKED", "Faces_1")
            assert "has b, which" in refused.message
    finally:
        release.delete([statement.key])
    assert _run("retry", "--dataset", "Faces_1").exit_code == 0


def test_a_name_that_is_taken_is_refused_until_the_job_has_ended(api: ApiServer, dataset_file: Path) -> None:
    facefoundry.submit(dataset_file)
    first = _only_job(api)["metadata"]
    with pytest.raises(Conflict, match="cancel --dataset") as taken:
        facefoundry.submit(dataset_file)
    assert taken.value.reason == "NAME_TAKEN"
    api.end_job(first["name"], "Failed", 3)
    dataset_file.write_text(dataset_file.read_text() + "keep_faces: true\n")
    assert facefoundry.submit(dataset_file).state == "running"
    assert _only_job(api)["metadata"]["uid"] != first["uid"]
    assert len(_config_maps(api)) == 1, "the old dataset is deleted"


@pytest.mark.parametrize(
    "foreign",
    [
        {"labels": {}, "annotations": {}},
        {"labels": COMPONENT, "annotations": {"facefoundry/run": "another"}},
        {"labels": {"app": "x"}, "annotations": {"facefoundry/run": "Faces_1"}},
    ],
)
def test_a_job_that_is_not_of_the_run_is_never_touched(
    api: ApiServer, dataset_file: Path, foreign: dict[str, Any]
) -> None:
    name = job_name("Faces_1")
    facefoundry.submit(dataset_file)
    with Place().open() as runs:
        runs.stop("Faces_1")
        api.add("jobs", {"metadata": {"name": name, **foreign}, "spec": {}})
        assert runs.find_if_any("Faces_1") is None
        assert not runs.stop("Faces_1")
        with pytest.raises(NotFound) as none:
            runs.find("Faces_1")
    assert none.value.reason == "NO_JOB"
    assert facefoundry.status("Faces_1").job is None
    for refused in (_run("submit", dataset_file).exception, _run("retry", "--dataset", "Faces_1").exception):
        assert isinstance(refused, Conflict) and refused.reason == "NAME_TAKEN"
        assert "not of the run Faces_1" in refused.message
    assert list(api.objects["jobs"]) == [name]


def test_of_two_submissions_at_once_the_one_that_lost_leaves_no_dataset(
    api: ApiServer, dataset_file: Path, template: dict[str, Any]
) -> None:
    known = template_in([template], "here")
    lost = prepare(dataset_file, known, None, JobOptions())[0]
    won = replace(lost, output="s3://facefoundry/datasets/other/")
    with Place().open() as runs:
        runs.start(objects_of(known, won))
        (kept,) = _config_maps(api)
        job = api.objects["jobs"].pop(job_name("Faces_1"))
        api.on_config_map = lambda _: api.objects["jobs"].update({job["metadata"]["name"]: job})
        with pytest.raises(Conflict) as taken:
            runs.start(objects_of(known, lost))
        assert taken.value.reason == "NAME_TAKEN"
        assert _config_maps(api) == [kept] and runs.submission("Faces_1").output == won.output
        api.objects["jobs"].clear()
        api.objects["configmaps"].clear()
        with pytest.raises(Conflict):
            runs.start(objects_of(known, won))
        assert len(_config_maps(api)) == 1, "the Job mounts it"


def test_a_job_that_kubernetes_rejects_leaves_no_dataset(api: ApiServer, dataset_file: Path) -> None:
    _refuse(api, 422, 'memory: "x" is wrong')
    with pytest.raises(InvalidInput):
        facefoundry.submit(dataset_file, options=JobOptions(memory="x"))
    assert not _config_maps(api)


def test_failed_pairs_are_tried_again_with_what_was_submitted(api: ApiServer, dataset_file: Path) -> None:
    facefoundry.submit(dataset_file, output="s3://facefoundry/datasets/other/")
    name, made = _only_job(api)["metadata"]["name"], _config_maps(api)
    api.end_job(name, "Complete", 0)
    assert _run("retry", "--dataset", "Faces_1", "--failed").exception.reason == "NOTHING_FAILED"
    api.end_job(name, "Failed", 3)
    dataset_file.unlink()
    again = _run("retry", "--dataset", "Faces_1", "--failed", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["output"] == "s3://facefoundry/datasets/other/"
    assert _config_maps(api) == made
    with Place().open() as runs, pytest.raises(NotFound) as unknown:
        runs.submission("another")
    assert unknown.value.reason == "NOT_SUBMITTED"


def test_a_cancelled_run_leaves_what_starts_it_again(api: ApiServer, dataset_file: Path) -> None:
    facefoundry.submit(dataset_file)
    with Place().open() as runs:
        assert runs.stop("Faces_1") and not runs.stop("Faces_1")
    assert not api.objects["jobs"] and not api.objects["pods"]
    refused = _run("retry", "--dataset", "Faces_1", "--failed").exception
    assert refused.reason == "NO_JOB" and "retry` without --failed" in refused.message
    assert _run("retry", "--dataset", "Faces_1").exit_code == 0
    assert _only_job(api)["metadata"]["annotations"]["facefoundry/run"] == "Faces_1"


def test_the_log_is_that_of_the_newest_pod(api: ApiServer, dataset_file: Path) -> None:
    facefoundry.submit(dataset_file)
    api.objects["logs"]["old"] = {"text": "old\n"}
    pod = api.run_pod(_only_job(api))["metadata"]["name"]
    api.objects["logs"][pod] = {"text": '{"event": "message"}\nlast, without an end'}
    assert _run("logs", "--dataset", "Faces_1").output.splitlines() == ['{"event": "message"}', "last, without an end"]


def test_without_a_pod_the_log_is_what_the_run_saved_in_the_bucket(
    api: ApiServer, dataset_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    facefoundry.submit(dataset_file)
    log = RunLog()
    log.add(Event("a_b", "pair", "failed", message="NO_FACES: a has no \x1b face."))
    document.put(store, "runs/Faces_1/log.json", document.encode(log.record()))
    api.objects["jobs"].clear()
    without_keys = _run("logs", "--dataset", "Faces_1")
    assert isinstance(without_keys.exception, NotFound) and without_keys.exception.reason == "NO_JOB"
    assert "set FACEFOUNDRY_STORE_ENDPOINT" in without_keys.stderr
    _use(store, monkeypatch)
    printed = _run("logs", "--dataset", "Faces_1")
    assert printed.exit_code == 0 and "[NO_JOB] The run has saved these events" in printed.stderr
    (event,) = map(json.loads, printed.stdout.splitlines())
    assert (event["item"], event["stage"], event["state"]) == ("a_b", "pair", "failed")
    assert event["message"] == "NO_FACES: a has no \x1b face." and "\x1b" not in printed.stdout
    assert _run("logs", "--dataset", "another").exception.reason == "NO_JOB"


def test_an_error_of_the_cluster_is_no_reason_to_print_what_the_run_saved(
    api: ApiServer, dataset_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    facefoundry.submit(dataset_file)
    log = RunLog()
    log.add(Event("a_b", "pair", "done"))
    document.put(store, "runs/Faces_1/log.json", document.encode(log.record()))
    _use(store, monkeypatch)
    api.log_cut = True
    cut = _run("logs", "--dataset", "Faces_1", "--follow")
    assert isinstance(cut.exception, Unavailable) and cut.exception.reason == "API_SERVER"
    api.refusals["GET", "jobs"] = (403, "jobs.batch is forbidden")
    denied = _run("logs", "--dataset", "Faces_1")
    assert isinstance(denied.exception, Denied) and denied.exception.reason == "FORBIDDEN"
    assert "a_b" not in cut.stdout + denied.stdout


def test_a_pod_that_is_deleted_while_its_log_is_requested_has_none(api: ApiServer, dataset_file: Path) -> None:
    facefoundry.submit(dataset_file)
    api.log_missing = True
    refused = _run("logs", "--dataset", "Faces_1").exception
    assert isinstance(refused, NotFound) and refused.reason == "NO_LOG"


def test_status_shows_the_job_of_a_run(api: ApiServer, dataset_file: Path) -> None:
    assert facefoundry.status("Faces_1").job is None
    facefoundry.submit(dataset_file)
    known = facefoundry.status("Faces_1")
    assert known.job is not None and known.job.state == "running" and known.record is None


def _refuse(api: ApiServer, status: int, message: str) -> None:
    api.refusals["POST", "jobs"] = (status, message)


def test_an_image_that_cannot_be_pulled_ends_the_command_with_the_way_out(api: ApiServer, dataset_file: Path) -> None:
    state = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "dataset", "state": state}]}
    api.on_job = lambda job: api.run_pod(job, **status)
    with pytest.raises(Unavailable, match=r"image registry/none:1: manifest unknown.*--image") as caught:
        facefoundry.submit(dataset_file, options=JobOptions(image="registry/none:1"))
    assert caught.value.reason == "IMAGE_MISSING"


def _refuse_pod(api: ApiServer, job: dict[str, Any]) -> None:
    about = {"kind": "Job", "name": job["metadata"]["name"]}
    event = {"metadata": {"name": "refused"}, "type": "Warning", "involvedObject": about}
    api.add("events", event | {"message": "denied the request: Job not found"})


def test_a_pod_that_is_refused_once_and_then_made_is_waited_for(api: ApiServer, dataset_file: Path) -> None:
    api.on_job = lambda job: _refuse_pod(api, job)

    def make(kind: str) -> None:
        if kind == "events":
            (job,) = api.objects["jobs"].values()
            api.run_pod(job)

    api.on_list = make
    assert facefoundry.submit(dataset_file).state == "running"


def test_a_pod_that_is_refused_until_the_end_is_told(api: ApiServer, dataset_file: Path) -> None:
    api.on_job = lambda job: _refuse_pod(api, job)
    with pytest.raises(Unavailable, match="Job not found") as caught:
        facefoundry.submit(dataset_file, wait_seconds=0)
    assert caught.value.reason == "POD_REFUSED"


@pytest.mark.parametrize(
    ("status", "message", "kind", "reason", "words"),
    [
        (403, "jobs.batch is forbidden", Denied, "FORBIDDEN", "dataset.submitters"),
        (401, "Unauthorized", Denied, "UNAUTHENTICATED", "Log in"),
        (422, 'memory: "x" is wrong', InvalidInput, "JOB", 'memory: "x" is wrong'),
        (500, "etcd", Unavailable, "API_SERVER", "etcd"),
    ],
)
def test_what_the_api_server_refuses_is_told_with_the_way_out(
    api: ApiServer, dataset_file: Path, status: int, message: str, kind: type[Exception], reason: str, words: str
) -> None:
    _refuse(api, status, message)
    with pytest.raises(kind, match=words) as caught:
        facefoundry.submit(dataset_file)
    assert caught.value.reason == reason  # type: ignore[attr-defined]  # all kinds are errors of this project


def test_a_namespace_without_a_release_or_that_does_not_exist_is_told(api: ApiServer, dataset_file: Path) -> None:
    with pytest.raises(NotFound) as missing:
        facefoundry.submit(dataset_file, namespace="nowhere")
    assert missing.value.reason == "NAMESPACE_MISSING"
    with pytest.raises(NotFound) as none:
        facefoundry.submit(dataset_file, release="another")
    assert none.value.reason == "NO_RELEASE"


def test_without_a_kubeconfig_the_options_are_named(
    dataset_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match=r"--kubeconfig .*--context") as caught:
        facefoundry.submit(dataset_file)
    assert caught.value.reason == "NO_KUBECONFIG"


def test_a_context_that_does_not_exist_is_told(api: ApiServer, dataset_file: Path) -> None:
    with pytest.raises(InvalidInput, match="with the context other") as caught:
        facefoundry.submit(dataset_file, context="other")
    assert caught.value.reason == "NO_KUBECONFIG"


def test_an_api_server_that_does_not_answer_is_told(api: ApiServer, dataset_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong"
    values = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    values["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(Unavailable) as caught:
        facefoundry.submit(dataset_file, kubeconfig=str(path))
    assert caught.value.reason == "API_SERVER"


def test_the_status_command_shows_job_and_record_of_a_run_where_no_service_answers(
    api: ApiServer, dataset_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(store, monkeypatch)
    nowhere = [f"--{name}=127.0.0.1:1" for name in ("extractor", "trainer", "converter")]
    facefoundry.submit(dataset_file)
    failure = Failure("extract", "NO_FACES", "No face was found.")
    record = RunRecord("Faces_1", "facefoundry run", {}, pairs=["a_b", "c_d", "e_f"], done=1, failures={"c_d": failure})
    store.put_bytes("runs/Faces_1/run.json", to_standard_json(record))
    shown = _run("status", "--dataset", "Faces_1", *nowhere)
    assert shown.exit_code == 0, shown.output
    assert "running. Its pod runs. Output: s3://facefoundry/datasets/Faces_1/" in shown.stdout
    assert "1 of 3 pairs are done, 1 failed" in shown.stdout
    assert shown.stdout.splitlines()[-2:] == [
        "c_d failed: No face was found. [NO_FACES]",
        "The services do not answer from here, so its trainings are not shown.",
    ]
    known = facefoundry.status("Faces_1", in_cluster=False).record
    assert known is not None and (known.pairs, known.done, known.failures) == (3, 1, {"c_d": failure})


def test_a_cluster_that_was_not_named_and_does_not_answer_is_a_remark(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    nowhere = [f"--{name}=127.0.0.1:1" for name in ("extractor", "trainer", "converter")]
    shown = _run("status", "--dataset", "faces", "--json", *nowhere)
    assert "A Job of the run was not looked for." in shown.stderr and "[NO_KUBECONFIG]" in shown.stderr
    assert shown.exit_code == 1 and json.loads(shown.stdout)["run"] == {"name": "faces", "job": None, "record": None}
    named = _run("status", "--dataset", "faces", "--json", "--namespace", "faces", *nowhere)
    assert isinstance(named.exception, InvalidInput) and named.exception.reason == "NO_KUBECONFIG"
