"""A cluster with one release, and a dataset file of clips in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.facefoundry.cluster.api_server import NAMESPACE, ApiServer, serve

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """The ConfigMap of a release: that of the rendered chart, in the namespace of the tests."""
    documents = yaml.safe_load_all((ROOT / "k8s/facefoundry.yaml").read_text())
    (found,) = (item for item in documents if item and "dataset-job.yaml" in (item.get("data") or {}))
    found["metadata"]["namespace"] = NAMESPACE
    found["data"]["dataset-job.yaml"] = found["data"]["dataset-job.yaml"].replace(
        "namespace: facefoundry\n", f"namespace: {NAMESPACE}\n"
    )
    return dict(found)


@pytest.fixture
def api(tmp_path: Path, template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """An API server that the kubeconfig of the environment names."""
    with serve(tmp_path) as (made, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        made.add("configmaps", yaml.safe_load(yaml.safe_dump(template)))
        yield made


@pytest.fixture
def dataset_file(tmp_path: Path) -> Path:
    """Four clips of a bucket, of which two show one subject, with splits and a picture of a subject."""
    rows = ["clip,id,subject,rights,split"]
    rows += [
        f"s3://clips/2026/{name}.mp4,{name},{who},cc0.yaml,train" for name, who in zip("abcd", "1223", strict=True)
    ]
    (tmp_path / "cc0.yaml").write_text("{basis: licence, licence: CC0-1.0, terms: 'asked, and agreed'}")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    (tmp_path / "who.png").write_bytes(b"\x89PNG\xff")
    text = {
        "name": "Faces_1",
        "sources": [{"kind": "list", "path": "clips.csv"}],
        "splits": {"kind": "given"},
        "subjects": {"a": "who.png", "b": "largest"},
        "recipe": {"name": "preview", "set": {"training.iterations": 30}},
    }
    path = tmp_path / "dataset.yaml"
    path.write_text(yaml.safe_dump(text))
    return path
