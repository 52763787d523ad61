"""docs/input.md names the reasons that the code has, and all of those that refuse a clip."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFUSING = (
    "facefoundry/media/*.py",
    "facefoundry/dataset/sources.py",
    "facefoundry/dataset/plan.py",
    "facefoundry/process/sandbox/*.py",
)
# Reasons of defects of ours and of options, which no clip can cause.
NOT_OF_CLIPS = {"SANDBOX_TARGET", "SANDBOX_BUSY", "FRAMES_LOST", "COMPRESSION_LEVEL", "FRAME_SHAPE", "MASK_VALUES"}


def reasons(*patterns):
    """Every reason that the files raise."""
    text = "".join(path.read_text() for pattern in patterns for path in ROOT.glob(pattern))
    return set(re.findall(r'reason="([A-Z_]+)"|_unusable\(\s*"([A-Z_]+)"|_invalid\(\s*"([A-Z_]+)"', text))


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
