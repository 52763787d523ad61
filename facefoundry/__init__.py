"""The DeepFakes method of FaceForensics++ as microservices: the API (`v1`), the client, the storage and the command.

The public names below are imported on first use, so `import facefoundry` alone loads no library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facefoundry import errors
    from facefoundry.client import Client
    from facefoundry.cluster.runs import submit
    from facefoundry.cluster.status import status
    from facefoundry.dataset.models import upload_model
    from facefoundry.dataset.sources import upload
    from facefoundry.planning.checking import check
    from facefoundry.planning.diffing import diff
    from facefoundry.planning.draft import plan
    from facefoundry.planning.fetching import fetch
    from facefoundry.planning.looking import look
    from facefoundry.planning.running import run
    from facefoundry.v1.common_pb2 import SIDE_A, SIDE_B
    from facefoundry.v1.converter_pb2 import ConvertRequest
    from facefoundry.v1.recipe_pb2 import Recipe
    from facefoundry.v1.trainer_pb2 import StartTrainingRequest

__all__ = [
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
]

# The one place of the version; `make generate` copies it to the chart, the citation and the examples.
__version__ = "0.1.0"

_MODULES = {
    "SIDE_A": "facefoundry.v1.common_pb2",
    "SIDE_B": "facefoundry.v1.common_pb2",
    "Client": "facefoundry.client",
    "ConvertRequest": "facefoundry.v1.converter_pb2",
    "Recipe": "facefoundry.v1.recipe_pb2",
    "StartTrainingRequest": "facefoundry.v1.trainer_pb2",
    "check": "facefoundry.planning.checking",
    "diff": "facefoundry.planning.diffing",
    "fetch": "facefoundry.planning.fetching",
    "look": "facefoundry.planning.looking",
    "plan": "facefoundry.planning.draft",
    "run": "facefoundry.planning.running",
    "status": "facefoundry.cluster.status",
    "submit": "facefoundry.cluster.runs",
    "upload": "facefoundry.dataset.sources",
    "upload_model": "facefoundry.dataset.models",
}


if not TYPE_CHECKING:  # a type checker would accept every name as an attribute of this module

    def __getattr__(name: str) -> object:
        if name == "errors":
            return import_module("facefoundry.errors")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
