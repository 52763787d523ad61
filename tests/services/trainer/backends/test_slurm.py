"""The example `examples/slurm` beyond the contract of backends, with a stand-in for Slurm's commands."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facefoundry.errors import Busy, InvalidInput, Unavailable
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store
from services.trainer import backends, worker_protocol
from services.trainer.backends.base import Job, JobState, TrainingBackend
from services.trainer.settings import TrainerSettings
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import Attempt
from tests.cluster import workers
from tests.services.trainer.backends.slurm import FakeSlurm
from tests.waiting import wait_until

URI = "s3://bucket/trainings/job/attempt.json"


def job_of(backend: TrainingBackend) -> Job:
    job = backend.get("job")
    assert job is not None
    return job


def test_it_is_chosen_by_its_name_and_submits_what_its_settings_say(
    fake_slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "worker env"
    secrets.write_text("FACEFOUNDRY_STORE_BUCKET=faces\n")
    for name, value in {
        "PARTITION": "gpu",
        "ACCOUNT": "lab",
        "GRES": "gpu:1",
        "TIME": "2:00:00",
        "OPTIONS": "--mem=32G --cpus-per-task=8",
        "PYTHON": "/opt/facefoundry/bin/python",
        "ENV_FILE": str(secrets),
    }.items():
        monkeypatch.setenv(f"FACEFOUNDRY_SLURM_{name}", value)
    (fake_slurm.folder / "hold").touch()
    backend = backends.load(TrainerSettings(backend="slurm"))
    backend.start("job", URI)
    assert {"--partition=gpu", "--account=lab", "--gres=gpu:1", "--time=2:00:00", "--mem=32G", "--requeue"} <= set(
        fake_slurm.options("1")
    )
    assert "--export=NONE" in fake_slurm.options("1")
    _, variables, command = fake_slurm.script("1").splitlines()
    assert variables == f"set -a; . '{secrets}' || exit 1; set +a"
    python = "/opt/facefoundry/bin/python -m"
    assert command.startswith(f"exec {python} facefoundry_slurm_node {tmp_path / 'shared'} job 20 {python} services.")
    assert command.endswith(f"services.trainer.worker {URI}")


def test_a_missing_folder_is_named(fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEFOUNDRY_SLURM_FOLDER")
    with pytest.raises(InvalidInput, match="FACEFOUNDRY_SLURM_FOLDER"):
        backends.load(TrainerSettings(backend="slurm"))


def test_a_waiting_job_says_why_and_a_cancelled_one_never_runs(fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    (fake_slurm.folder / "hold").touch()
    backend = fake_slurm.backend("done")
    backend.start("job", URI)
    job = job_of(backend)
    assert job.state is JobState.QUEUED
    assert job.diagnosis is not None and "Resources" in job.diagnosis.message
    backend.cancel("job")
    assert backend.get("job") is None
    wait_until(lambda: not fake_slurm.known(), seconds=10)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("mode", ["hang", "stubborn"])
def test_a_preempted_worker_runs_again_in_the_same_job(fake_slurm: FakeSlurm, mode: str, tmp_path: Path) -> None:
    backend = fake_slurm.backend(mode, grace_seconds=0.3)
    backend.start("job", URI)
    workers.wait_for(backend, "job", JobState.RUNNING)
    wait_until((tmp_path / "runs").exists, seconds=10)
    fake_slurm.ask("1", "preempt")
    job = wait_until(lambda: (job := job_of(backend)).restarts == 1 and job, seconds=20)
    workers.wait_for(backend, "job", JobState.RUNNING)
    assert fake_slurm.known() == ["1"]
    assert job.exit_code is None or job.exit_code < 0


def test_a_job_that_slurm_loses_is_submitted_again_until_its_restarts_are_used_up(fake_slurm: FakeSlurm) -> None:
    backend = fake_slurm.backend("hang", restarts=1)
    backend.start("job", URI)
    for number, restarts in (("1", 0), ("2", 1)):
        assert workers.wait_for(backend, "job", JobState.RUNNING).restarts == restarts
        fake_slurm.ask(number, "lose")
        wait_until(lambda: number not in fake_slurm.known(), seconds=10)  # noqa: B023  # called in this round only
        assert job_of(backend).state is JobState.QUEUED
    job = workers.wait_for(backend, "job", JobState.FAILED)
    assert (job.restarts, job.exit_code) == (1, -9)
    assert job.diagnosis is not None and job.diagnosis.reason == "SLURM_JOB_LOST"
    backend.start("job", URI)
    assert job_of(backend).state is JobState.FAILED


def test_another_trainer_finds_the_jobs(fake_slurm: FakeSlurm) -> None:
    first, second = (fake_slurm.backend("hang") for _ in range(2))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda backend: backend.start("job", URI), [first, second] * 2))
    assert fake_slurm.known() == ["1"]
    workers.wait_for(second, "job", JobState.RUNNING)
    first.close()
    second.cancel("job")
    assert first.get("job") is None


def test_a_job_without_a_submission_starts_no_worker(fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    (fake_slurm.folder / "hold").touch()
    backend = fake_slurm.backend("done")
    backend.start("job", URI)
    (tmp_path / "shared" / "job.json").unlink()  # as if the trainer had died between sbatch and the file
    backend.start("job", URI)
    assert fake_slurm.known() == ["1", "2"]
    (fake_slurm.folder / "hold").unlink()
    workers.wait_for(backend, "job", JobState.SUCCEEDED)
    assert (tmp_path / "runs").read_text().count(URI) == 1


@pytest.mark.full
def test_a_preempted_training_resumes_and_gives_its_model(
    fake_slurm: FakeSlurm,
    store: Store,
    store_settings: StoreSettings,
    put_attempt: Callable[..., Attempt],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The real worker, with the settings of the example alone."""
    variables = {
        "FACEFOUNDRY_STORE_ENDPOINT": store_settings.endpoint,
        "FACEFOUNDRY_STORE_ACCESS_KEY": store_settings.access_key.get_secret_value(),
        "FACEFOUNDRY_STORE_SECRET_KEY": store_settings.secret_key.get_secret_value(),
        "FACEFOUNDRY_STORE_BUCKET": store_settings.bucket,
        "FACEFOUNDRY_WORKER_CALL_SECONDS": "0.2",
        "FACEFOUNDRY_WORKER_STATUS_SECONDS": "0.2",
    }
    file = tmp_path / "worker.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    monkeypatch.setenv("FACEFOUNDRY_SLURM_ENV_FILE", str(file))
    monkeypatch.setenv("FACEFOUNDRY_SLURM_POLL_SECONDS", "0.1")
    monkeypatch.setenv("FAKE_SLURM_KILL_WAIT", "60")
    backend = backends.load(TrainerSettings(backend="slurm"))
    attempt = put_attempt(iterations=120)
    backend.start("job", store.uri(worker_protocol.attempt_key(attempt.prefix)))
    documents = TrainingStore(store)
    wait_until(lambda: (status := documents.find_status(attempt)) and status.iteration > 0)
    fake_slurm.ask("1", "preempt")
    job = workers.wait_for(backend, "job", JobState.SUCCEEDED, JobState.FAILED, seconds=120)
    assert (job.state, job.restarts) == (JobState.SUCCEEDED, 1)
    assert job.exit_report is not None and job.exit_report.reason == "DONE"
    assert documents.has_model(attempt)


def test_one_listing_serves_all_trainings(fake_slurm: FakeSlurm) -> None:
    backend = fake_slurm.backend("hang", poll_seconds=60.0)
    (fake_slurm.folder / "hold").touch()
    for number in range(3):
        backend.start(f"job-{number}", URI)
    for _ in range(5):
        states = [job.state for number in range(3) if (job := backend.get(f"job-{number}"))]
        assert states == [JobState.QUEUED] * 3
    assert fake_slurm.calls() == 1


def refused(call: Callable[[], object], expected: type[Exception]) -> None:
    with pytest.raises(expected):
        call()


def test_a_full_queue_is_busy_and_a_silent_controller_is_unavailable(fake_slurm: FakeSlurm) -> None:
    backend = fake_slurm.backend("hang")
    (fake_slurm.folder / "full").write_text("QOSMaxSubmitJobPerUserLimit")
    refused(lambda: backend.start("job", URI), Busy)
    assert backend.get("job") is None
    (fake_slurm.folder / "full").unlink()
    backend.start("job", URI)
    (fake_slurm.folder / "down").touch()
    refused(lambda: backend.get("job"), Unavailable)
    (fake_slurm.folder / "down").unlink()
    workers.wait_for(backend, "job", JobState.RUNNING)
