"""The servers name their targets and load none of what these need."""

from __future__ import annotations

import subprocess
import sys
from typing import get_type_hints

import pytest

from facefoundry.work.target import Target
from facefoundry.work.workspace import Workspace
from services.converter import targets as converter
from services.extractor import targets as extractor

TARGETS = [value for module in (converter, extractor) for value in vars(module).values() if isinstance(value, Target)]


def test_both_services_declare_their_targets():
    assert {target.function.partition(":")[2] for target in TARGETS} == {"convert", "transcode", "extract", "inspect"}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.function)
def test_a_target_is_a_function_of_its_arguments_and_a_workspace(target):
    hints = get_type_hints(target.load())
    assert (hints["arguments"], hints["workspace"]) == (target.arguments, Workspace)
    assert target.info.__name__ in str(hints["return"])


@pytest.mark.parametrize("service", ["extractor", "converter"])
def test_a_server_process_loads_no_media_and_no_training_library(service):
    heavy = "{'av', 'cv2', 'dlib', 'face_alignment', 'keras', 'tensorflow', 'torch'}"
    code = f"import sys; import services.{service}.__main__; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
