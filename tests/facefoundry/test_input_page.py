"""docs/input.md names the reasons that the code has, and all of those that refuse a clip."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFUSING = (
    "facefoundry/media/*.py",
    "facefoundry/dataset/sources.py",
    "facefoundry/dataset/contents.py",
    "facefoundry/dataset/plan.py",
    "facefoundry/process/sandbox/*.py",
)
# Reasons of defects of ours and of options, which no clip can cause.
NOT_OF_CLIPS = {
    *("SANDBOX_FUNCTION", "SANDBOX_BUSY", "ISOLATION"),
    *("FRAMES_LOST", "COMPRESSION_LEVEL", "FRAME_SHAPE", "MASK_VALUES"),
}


def reasons(*patterns):
    """Every reason that the files raise."""
    text = "".join(path.read_text() for pattern in patterns for path in ROOT.glob(pattern))
    raised = r'reason="([A-Z_]+)"|_unusable\(\s*"([A-Z_]+)"|_invalid\(\s*"([A-Z_]+)"'
    with_advice = r'= \(\s*"([A-Z_]+)",\s*"[A-Z][a-z]'
    return set(re.findall(f"{raised}|{with_advice}", text))


def flat(found):
    return {word for groups in found for word in groups if word}


def named():
    page = (ROOT / "docs" / "input.md").read_text()
    return {word for word in re.findall(r"`([A-Z_]+)`", page) if not word.startswith("FACEFOUNDRY_")}


def test_every_reason_on_the_page_is_in_the_code():
    assert named() - flat(reasons("facefoundry/**/*.py", "services/**/*.py")) == set()


def test_every_reason_that_refuses_a_clip_is_on_the_page():
    found = flat(reasons(*REFUSING))
    assert len(found) > 20
    assert found - named() - NOT_OF_CLIPS == set()


def test_every_setting_on_the_page_is_one():
    settings = (ROOT / "docs" / "settings.md").read_text()
    for name in re.findall(r"FACEFOUNDRY_[A-Z_]+", (ROOT / "docs" / "input.md").read_text()):
        assert f"`{name}`" in settings


BEFORE = (
    "facefoundry/bases/*.py",
    "facefoundry/cli/*.py",
    "facefoundry/dataset/plan.py",
    "facefoundry/dataset/subjects.py",
    "facefoundry/planning/exclusions.py",
    "facefoundry/planning/recipe.py",
    "facefoundry/recipes/*.py",
    "facefoundry/settings.py",
    "facefoundry/storage/keys.py",
)
DURING = (
    "facefoundry/connections.py",
    "facefoundry/dataset/sources.py",
    "facefoundry/dataset/contents.py",
    "facefoundry/dataset/urls.py",
    "facefoundry/dataset/run.py",
    "facefoundry/media/*.py",
    "facefoundry/formats.py",
    "facefoundry/process/**/*.py",
    "facefoundry/rpc/*.py",
    "facefoundry/storage/*.py",
    "services/**/*.py",
)


def under(exit_code):
    """Reasons in the tables below headings with an exit code."""
    page = (ROOT / "docs" / "input.md").read_text()
    sections = re.findall(rf"^## [^\n]*\(exit code {exit_code}\)\n(.*?)(?=^## |^`)", page, re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| (`[^|]*) \|", "".join(sections), re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`([A-Z_]+)`", cell)}


def invalid_input(*patterns):
    """Reasons of the `InvalidInput` that the files raise, which ends a command with 2 where no pair is under way."""
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "InvalidInput":
                    values = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
                    yield from (value.value for value in values if isinstance(value, ast.Constant))
                elif isinstance(node, ast.Call) and ast.unparse(node.func) == "_invalid" and node.args:
                    yield from (value.value for value in node.args[:1] if isinstance(value, ast.Constant))


def test_reasons_stand_under_the_exit_code_that_they_end_a_run_with():
    assert len(under(2)) > 8 and len(under(3)) > 20
    assert under(2) - set(invalid_input(*BEFORE)) == set()
    assert under(3) - flat(reasons(*DURING)) == set()
