"""Slurm's commands without Slurm: `fake_slurm.py sbatch|squeue|scancel|scontrol ...`. Jobs are processes here.

Files in the folder FAKE_SLURM are the cluster: `<id>.state` for each job that Slurm knows, and what tests put there:
`hold` (no job starts), `full` and `down` (what sbatch and squeue fail with), `<id>.preempt`, `<id>.lose` and `end`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(os.environ["FAKE_SLURM"])
KILL_WAIT = float(os.environ.get("FAKE_SLURM_KILL_WAIT", "2"))


def fail(message: str) -> None:
    sys.exit(f"error: {message}")


def sbatch(*options: str) -> None:
    if (ROOT / "full").exists():
        fail("Batch job submission failed: " + (ROOT / "full").read_text())
    job = next(str(number) for number in range(1, 1000) if claim(str(number)))
    (ROOT / f"{job}.options").write_text("\n".join(options))
    (ROOT / f"{job}.sh").write_text(sys.stdin.read())
    if not os.fork():
        os.setsid()
        output = os.open(
            next(o.partition("=")[2] for o in options if o.startswith("--output=")), os.O_CREAT | os.O_WRONLY
        )
        for stream in (0, 1, 2):
            os.dup2(output, stream)
        slurmd(job)
        os._exit(0)
    print(f"{job};cluster")


def claim(job: str) -> bool:
    try:
        (ROOT / f"{job}.options").touch(exist_ok=False)
    except FileExistsError:
        return False
    put_state(job, "PENDING|Resources")
    return True


def put_state(job: str, state: str) -> None:
    """Write what squeue reads at any time, so whole."""
    whole = ROOT / f"{job}.new"
    whole.write_text(state)
    whole.replace(ROOT / f"{job}.state")


def slurmd(job: str) -> None:
    """Run a job, again after each requeue. A job that has ended is unknown to Slurm at once."""
    runs = 0
    while (ROOT / "hold").exists() and not asked(job, "cancel"):
        time.sleep(0.01)
    while not asked(job, "cancel") and not (ROOT / "end").exists():
        variables = {"SLURM_JOB_ID": job, **({"SLURM_RESTART_COUNT": str(runs)} if runs else {})}
        passed = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "FAKE_SLURM")}
        process = subprocess.Popen(["/bin/sh", ROOT / f"{job}.sh"], env={**passed, **variables}, start_new_session=True)
        put_state(job, "RUNNING|None")
        kill_at = None
        while process.poll() is None:
            if asked(job, "lose") or (ROOT / "end").exists() or (kill_at and time.monotonic() > kill_at):
                os.killpg(process.pid, signal.SIGKILL)
            elif kill_at is None and (asked(job, "cancel") or asked(job, "preempt")):
                kill_at = time.monotonic() + KILL_WAIT
                os.killpg(process.pid, signal.SIGTERM)
            time.sleep(0.01)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if not (asked(job, "requeue") or asked(job, "preempt")):
            break
        for what in ("requeue", "preempt"):
            (ROOT / f"{job}.{what}").unlink(missing_ok=True)
        put_state(job, "PENDING|BeginTime")
        runs += 1
    (ROOT / f"{job}.state").unlink()


def asked(job: str, what: str) -> bool:
    return (ROOT / f"{job}.{what}").exists()


def squeue(*options: str) -> None:
    with (ROOT / "calls").open("a") as calls:
        calls.write("squeue\n")
    if (ROOT / "down").exists():
        fail("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    assert "--format=%i|%T|%r" in options
    for path in ROOT.glob("*.state"):
        with suppress(FileNotFoundError):
            print(f"{path.stem}|{path.read_text()}")


def scancel(job: str) -> None:
    if not asked(job, "state"):
        fail("Kill job error on job id: Invalid job id specified")
    (ROOT / f"{job}.cancel").touch()


def scontrol(action: str, job: str) -> None:
    assert action == "requeue"
    (ROOT / f"{job}.requeue").touch()


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {
        "sbatch": sbatch,
        "squeue": squeue,
        "scancel": scancel,
        "scontrol": scontrol,
    }
    commands[sys.argv[1]](*sys.argv[2:])
