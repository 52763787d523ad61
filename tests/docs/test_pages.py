"""Everything that the pages name exists: links, files, tests, settings, make targets, commands, modules."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from facefoundry.cli.main import cli
from tests.house import files

ROOT = files.ROOT
PAGES = [path for path in files.tracked(".md") if not files.name_of(path).startswith("CHANGELOG")]
MADE = {"out", "build", "dist"}  # by commands of this repository; pages name files in them
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - MADE
CODE = re.compile(r"`([^`\n]+)`")
NOT_OURS = {"pip", "pytest", "venv"}
NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*(?:\(\))?")


@pytest.fixture(params=PAGES, ids=files.name_of)
def page(request) -> Path:
    return request.param


@cache
def text_below(folder: str) -> str:
    kinds = {".py", ".sh", ".proto", ".yaml", ".tpl", ".json", ".go", ".ts", ".java", ".rs"}
    return "\n".join(path.read_text() for path in sorted((ROOT / folder).rglob("*")) if path.suffix in kinds)


@cache
def words_of_code() -> frozenset[str]:
    ours = ("facefoundry", "services", "tests", "benchmarks", "examples")
    folders = (*ours, "docs", "findings", "helm", "protos", "k8s")
    texts = [
        *map(text_below, folders),
        *((ROOT / name).read_text() for name in ("Makefile", "Dockerfile", "pyproject.toml")),
    ]
    return frozenset(re.findall(r"\w+", " ".join(texts)))


def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target


def test_files_are_where_the_page_says(page):
    for code in CODE.findall(page.read_text()):
        first, _, rest = code.partition("/")
        if first in FOLDERS and rest and re.fullmatch(r"[\w./*-]+", rest):
            assert list(ROOT.glob(code.rstrip("/"))), code


def test_names_are_in_the_file_that_the_page_names(page):
    for name, path in re.findall(r"`(\w+)`\s+(?:in|of|\()\s*`?([\w/]+\.(?:py|proto|toml))`", page.read_text()):
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{name} in {path}"


def test_tests_and_settings_have_the_names_that_the_page_uses(page):
    text = page.read_text()
    for name in set(re.findall(r"\btest_\w+\b(?!\.py|:)", text)):
        assert f"def {name}(" in text_below("tests"), name
    settings = (ROOT / "docs" / "settings.md").read_text()
    code = text_below("facefoundry") + text_below("services") + text_below("tests")
    for name in set(re.findall(r"\bFACEFOUNDRY_[A-Z_]+[A-Z]\b", text)):
        field = name.removeprefix("FACEFOUNDRY_").lower()
        assert f"`{name}`" in settings or name in code or f"    {field}: " in text_below("examples"), name


def test_names_of_code_are_those_of_the_code(page):
    named = [text for text in CODE.findall(page.read_text()) if NAME.fullmatch(text)]
    for name in {text.removesuffix("()").rpartition(".")[2] for text in named}:
        is_code = "_" in name or re.search(r"[a-z][A-Z]", name)
        if is_code and not name.startswith("FACEFOUNDRY_"):
            assert name in words_of_code(), name


def test_commands_exist(page):
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for names in re.findall(r"(?:^|`)make ((?:[a-z]+[a-z-]*\s?)+)", text, re.MULTILINE):
        assert set(names.split()) <= targets, names
    known = set(cli.list_commands(None))  # type: ignore[arg-type]  # the group needs no context to list them
    for name in re.findall(r"(?:^|[`/])facefoundry ([a-z][a-z-]+)", text, re.MULTILINE):
        assert name in known, name
    for module in re.findall(r"\bpython -m ([a-z][\w.]+)", text):
        assert module in NOT_OURS or find_spec(module.rstrip(".")), module


def test_the_readme_and_the_glossary_stay_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110
    terms = re.findall(r"^\| (?!term )([^|-][^|]*) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert 30 < len(terms) <= 40
    assert len(set(terms)) == len(terms)
