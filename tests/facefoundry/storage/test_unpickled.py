"""No code of the product unpickles anything, so nothing in the bucket can run code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def unpickles(code: str) -> list[str]:
    """The calls in code that unpickle."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            name, options = ast.unparse(node.func), {key.arg: ast.unparse(key.value) for key in node.keywords}
            module, _, function = name.rpartition(".")
            if (
                (module in LOADERS and not function.endswith("Error"))
                or options.get("allow_pickle", "False") != "False"
                or (name == "torch.load" and options.get("weights_only") != "True")
            ):
                found.append(name)
        elif isinstance(node, ast.ImportFrom) and node.module in LOADERS:
            found.append(f"from {node.module}")
    return found


def test_nothing_is_unpickled():
    files = [path for folder in ("facefoundry", "services") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert {path: found for path in files if (found := unpickles(path.read_text()))} == {}


@pytest.mark.parametrize(
    "code",
    ["pickle.loads(data)", "numpy.load(path, allow_pickle=True)", "torch.load(path)", "from pickle import loads"],
)
def test_what_unpickles_is_found(code):
    assert unpickles(code)
