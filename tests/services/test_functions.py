"""The servers name their functions and load none of what these need."""

from __future__ import annotations

import subprocess
import sys
from typing import get_type_hints

import pytest

from facefoundry.work.function import SandboxFunction
from facefoundry.work.workspace import Workspace
from services.converter import functions as converter
from services.extractor import functions as extractor
from services.trainer import functions as trainer

FUNCTIONS = [
    value
    for module in (converter, extractor, trainer)
    for value in vars(module).values()
    if isinstance(value, SandboxFunction)
]


def test_the_services_declare_their_functions():
    names = {function.path.partition(":")[2] for function in FUNCTIONS}
    assert names == {"convert", "transcode", "extract", "inspect", "unpack", "read_model"}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.path)
def test_a_sandbox_function_takes_its_arguments_and_a_workspace(function):
    hints = get_type_hints(function.load())
    assert (hints["arguments"], hints["workspace"]) == (function.arguments, Workspace)
    assert function.info.__name__ in str(hints["return"])


@pytest.mark.parametrize("service", ["extractor", "converter"])
def test_a_server_process_loads_no_media_and_no_training_library(service):
    heavy = "{'av', 'cv2', 'dlib', 'face_alignment', 'keras', 'tensorflow', 'torch'}"
    code = f"import sys; import services.{service}.__main__; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
