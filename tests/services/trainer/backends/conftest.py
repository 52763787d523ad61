"""Backends of other packages, the example for Slurm with a stand-in for Slurm, and an API server of Kubernetes."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facefoundry.settings import read
from services.trainer.backends import GROUP
from services.trainer.backends.base import TrainingBackend
from tests.services.trainer.backends.kubernetes_api import ApiServer
from tests.services.trainer.backends.slurm import FakeSlurm
from tests.waiting import wait_until


@pytest.fixture
def install_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution `other-backend` with a module of the given text and functions of it as backends."""
    site = tmp_path / "site"
    facts = site / "other_backend-1.0.dist-info"

    def install(module: str, **functions: str) -> None:
        facts.mkdir(parents=True)
        (site / "other_backend.py").write_text(module)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: other-backend\nVersion: 1.0\n")
        lines = [f"{name} = other_backend:{function}" for name, function in functions.items()]
        (facts / "entry_points.txt").write_text("\n".join([f"[{GROUP.name}]", *lines, ""]))
        monkeypatch.syspath_prepend(site)

    yield install
    sys.modules.pop("other_backend", None)


EXAMPLE = Path(__file__).resolve().parents[4] / "examples" / "slurm"


@pytest.fixture
def fake_slurm(
    tmp_path: Path, worker_command: Callable[[str], tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeSlurm]:
    """Installs the example `examples/slurm`, and Slurm's commands, whose jobs are processes of this machine."""
    programs, cluster, site = (tmp_path / name for name in ("programs", "cluster", "example-site"))
    for folder in (programs, cluster, site / "facefoundry_slurm-0.1.dist-info"):
        folder.mkdir(parents=True)
    fake = Path(__file__).with_name("fake_slurm.py")
    for name in ("sbatch", "squeue", "scancel", "scontrol"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -I {fake} {name} "$@"\n')
        program.chmod(0o755)
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    (site / "facefoundry_slurm-0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: facefoundry-slurm\n"
    )
    ((name, target),) = project["entry-points"][GROUP.name].items()
    (site / "facefoundry_slurm-0.1.dist-info" / "entry_points.txt").write_text(f"[{GROUP.name}]\n{name} = {target}\n")
    for folder in (site, EXAMPLE):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, [EXAMPLE, *sys.path])))
    monkeypatch.setenv("FAKE_SLURM", str(cluster))
    monkeypatch.setenv("FACEFOUNDRY_SLURM_FOLDER", str(tmp_path / "shared"))

    def make(mode: str, restarts: int = 2, grace_seconds: float = 2.0, **settings: object) -> TrainingBackend:
        from facefoundry_slurm import SlurmBackend, SlurmSettings

        monkeypatch.setenv("FAKE_SLURM_KILL_WAIT", str(grace_seconds))
        chosen = {"poll_seconds": 0.02, "lost_seconds": 0.3, "restarts": restarts, **settings}
        return SlurmBackend(
            read(SlurmSettings, **{f"slurm_{name}": value for name, value in chosen.items()}), worker_command(mode)
        )

    slurm = FakeSlurm(cluster, make)
    yield slurm
    (cluster / "hold").unlink(missing_ok=True)
    (cluster / "end").touch()
    wait_until(lambda: not slurm.known(), seconds=10)
    for module in ("facefoundry_slurm", "facefoundry_slurm_node"):
        sys.modules.pop(module, None)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """An API server of Kubernetes."""
    made = ApiServer()
    yield made
    made.stop()
