"""The public names. Whoever adds, renames or removes one edits the lists here and the changelog."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import facefoundry
from facefoundry import errors

ROOT = Path(__file__).parents[2]

PACKAGE = {
    "SIDE_A",
    "SIDE_B",
    "Client",
    "ConvertRequest",
    "Recipe",
    "StartTrainingRequest",
    "__version__",
    "check",
    "diff",
    "errors",
    "fetch",
    "look",
    "plan",
    "run",
    "status",
    "submit",
    "upload",
    "upload_model",
}
ERRORS = {
    "Busy",
    "Cancelled",
    "Conflict",
    "DataLoss",
    "Denied",
    "ErrorRecord",
    "FaceFoundryError",
    "FieldViolation",
    "Internal",
    "Interrupted",
    "InvalidInput",
    "NotFound",
    "Unavailable",
    "Unusable",
    "from_record",
    "to_record",
}
CLIENT = {
    "cancel_training": "training_uri",
    "close": "",
    "convert": "request on_progress",
    "create_upload": "service request",
    "extract": "source_uri sequence_id recipe on_progress subject excluded_frames",
    "get_training": "training_uri",
    "import_model": "request on_progress",
    "import_source": "request on_progress",
    "info": "service timeout_seconds",
    "inspect": "source_uri sample_frames engine",
    "list_files": "uri",
    "list_trainings": "dataset",
    "raise_if_stopped": "",
    "start_training": "request",
    "stop": "",
    "transcode": "source_uri sequence_id recipe on_progress",
    "wait": "seconds",
    "watch_training": "training_uri",
    "watch_trainings": "dataset",
}


def test_the_package_has_these_names():
    assert set(facefoundry.__all__) == PACKAGE
    assert set(dir(facefoundry)) >= PACKAGE
    for name in PACKAGE:
        assert getattr(facefoundry, name) is not None


def test_the_errors_have_these_names():
    assert set(errors.__all__) == ERRORS
    defined = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert {name for name in defined if not name.startswith("_")} <= ERRORS


def test_the_client_has_these_methods_and_arguments():
    methods = {
        name: " ".join(list(inspect.signature(method).parameters)[1:])
        for name, method in inspect.getmembers(facefoundry.Client, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods == CLIENT
    assert list(inspect.signature(facefoundry.Client).parameters) == ["settings", "retry_seconds"]


def test_calls_return_their_final_message_and_progress_is_optional():
    methods = {name: getattr(facefoundry.Client, name) for name in CLIENT}
    generators = {name for name, method in methods.items() if inspect.isgeneratorfunction(method)}
    assert generators == {"list_files", "list_trainings", "watch_training", "watch_trainings"}
    for name in (name for name, arguments in CLIENT.items() if "on_progress" in arguments):
        signature = inspect.signature(methods[name])
        assert signature.parameters["on_progress"].default is not inspect.Parameter.empty, name
        assert re.fullmatch(r"\w+_pb2\.[A-Z]\w+", signature.return_annotation), name


def test_the_api_page_lists_the_names_of_the_package():
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert PACKAGE - {"__version__"} <= set(re.findall(r"`(\w+)`", " ".join(rows)))


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Clint'"):
        getattr(facefoundry, "Cl" + "int")


def _loaded(code: str) -> set[str]:
    """Packages outside the standard library that a fresh interpreter has after the code."""
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}\nprint(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    top = {name.partition(".")[0] for name in done.stdout.split()}
    return {name for name in top if name not in sys.stdlib_module_names and not name.startswith("_")}


def test_importing_the_package_loads_nothing_else():
    assert _loaded("import facefoundry") == {"facefoundry"}
    assert _loaded("import facefoundry; facefoundry.errors.Busy") == {"facefoundry"}


def test_the_client_loads_no_heavy_library():
    heavy = {"numpy", "minio", "cv2", "av", "tensorflow", "keras", "torch", "dlib", "h5py", "jinja2", "rich"}
    assert _loaded("import facefoundry; facefoundry.Client").isdisjoint(heavy)


def test_the_page_says_which_commands_are_functions() -> None:
    page = (ROOT / "docs" / "first-dataset.md").read_text(encoding="utf-8")
    functions, commands = page.split("## The same from Python")[1].split("```")[0].split(";")
    used = set(re.findall(r"^facefoundry ([a-z-]+)", page, re.MULTILINE))
    assert used & PACKAGE <= set(re.findall(r"`(\w+)`", functions)) <= PACKAGE
    assert set(re.findall(r"`([a-z-]+)`", commands)) == used - PACKAGE
