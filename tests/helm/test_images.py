"""The Dockerfile, the locks and the Makefile agree."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.helm.chart import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
TARGETS = ("cli", "trainer", "extractor", "worker", "converter")


def variable(name: str) -> str:
    """A variable of the Makefile."""
    (value,) = re.findall(rf"^{name} \??= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return value


def test_every_image_is_a_target_and_runs_as_a_numeric_user():
    parents = {name: parent for parent, name in re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)}
    for target in TARGETS:
        for device in ("cpu", "cuda"):
            parent = parents[target].replace("${DEVICE}", device)
            assert parent == "runtime" or parents[parent] == "runtime", target
    runtime = DOCKERFILE.partition("AS runtime")[2]
    assert re.findall(r"^USER (.*)$", runtime, re.MULTILINE) == ["10001:10001"]
    assert set(variable("IMAGES").split()) == set(TARGETS)


def test_the_worker_has_cuda_by_default_and_only_it_has_tensorflow():
    assert re.findall(r"^ARG DEVICE=(\S+)$", DOCKERFILE, re.MULTILINE)[0] == "cuda"
    assert re.findall(r"^FROM tensorflow-\S+ AS (\S+)$", DOCKERFILE, re.MULTILINE) == ["worker"]
    assert "COPY --from=tensorflow" not in DOCKERFILE.partition(" AS worker")[2]
    for name in ("cli", "trainer", "extractor", "converter"):
        assert not re.search(r"^(tensorflow|keras)", (ROOT / f"locks/{name}.txt").read_text(), re.MULTILINE), name


def test_every_lock_has_hashes_and_installs_require_them():
    for name in (*TARGETS, "worker-cuda", "dlib-models", "centerface", "demo", "uv"):
        lock = (ROOT / f"locks/{name}.txt").read_text()
        pinned = re.findall(r"^\S+==\S+", lock, re.MULTILINE)
        assert pinned
        assert len(re.findall(r"^\S+==\S+ \\\n +--hash=sha256:", lock, re.MULTILINE)) == len(pinned), name
        assert "://" not in lock
    assert "install --require-hashes --no-deps" in DOCKERFILE


def packages(name: str) -> dict[str, str]:
    """The versions of a lock, by package."""
    return dict(re.findall(r"^(\S+?)==(\S+)", (ROOT / f"locks/{name}.txt").read_text(), re.MULTILINE))


def test_the_demo_has_the_versions_of_development_and_none_of_its_tools():
    demo, dev = packages("demo"), packages("dev")
    assert demo.items() <= dev.items()
    assert packages("uv")["setuptools"] == dev["setuptools"]
    assert not {"pytest", "mypy", "ruff", "tf-keras", "kubernetes", "grpcio-tools", "selenium", "torch"} & set(demo)


def test_the_locks_of_both_workers_differ_only_in_the_cuda_libraries():
    cpu, cuda = packages("worker"), packages("worker-cuda")
    assert cpu.pop("tensorflow-cpu") == cuda.pop("tensorflow")
    assert all(name.startswith("nvidia-") for name in set(cuda) - set(cpu))
    assert {name: cuda.get(name) for name in cpu} == cpu


def test_the_trainer_imports_nothing_that_its_lock_leaves_out():
    names = variable("NOT_IN_TRAINER").split()
    lock = (ROOT / "locks/trainer.txt").read_text()
    assert not [name for name in names if f"\n{name}==" in lock]
    modules = [{"markdown-it-py": "markdown_it"}.get(name, name) for name in names]
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({[*modules, 'kubernetes.aio']!r}))\n"
        "import services.trainer.__main__, services.trainer.backends.local.backend\n"
        "import services.trainer.backends.kubernetes.backend"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=120, check=True)
