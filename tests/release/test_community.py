"""The files for contributors: commands, paths and tools that they name exist, and they hold no invented address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import ROOT

PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "THIRD_PARTY.md", "helm/facefoundry/README.md")


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_commands_and_paths_that_exist(page: str):
    text = (ROOT / page).read_text()
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)\b(?=`| [A-Z_]+=|  )", text)) <= _targets()
    for link in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
    for path in re.findall(r"`((?:docs|locks|facefoundry|helm|k8s|tests|\.ci)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", [*PAGES, "CITATION.cff", "pyproject.toml", "helm/facefoundry/Chart.yaml"])
def test_no_page_has_an_email_address(page: str):
    assert not re.search(r"[\w.+-]+@[\w-]+\.[a-z]{2,}", (ROOT / page).read_text())


def test_every_target_of_the_makefile_is_explained():
    text = (ROOT / "Makefile").read_text()
    phony = re.sub(r"\\\n", "", text).partition(".PHONY:")[2].partition("\n")[0].split()
    assert set(phony) == set(re.findall(r"^([a-z-]+):.*  ## ", text, re.MULTILINE))


def test_the_workflow_runs_what_every_change_must_pass():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    assert all(step["uses"].startswith("actions/") for step in job["steps"] if "uses" in step)


def test_hooks_are_local_and_run_installed_tools():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        assert (ROOT / Path(hook["entry"].split()[0])).exists(), hook["id"]


def test_the_citation_has_what_its_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "version"} <= set(citation)
    assert citation["authors"] == [{"name": "The FaceFoundry authors"}]
