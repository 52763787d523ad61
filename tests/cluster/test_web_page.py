"""The web page through the chart, with an account that only reads. Part of make test-cluster-full."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefoundry.codec import to_standard_json
from facefoundry.dataset.record import RunRecord
from facefoundry.storage.store import Store
from tests.cluster.stores import installed, running_server
from tests.facefoundry.webpage.serving import ask

pytestmark = [pytest.mark.usefixtures("full"), pytest.mark.timeout(1800)]


def test_the_page_lists_a_run_to_callers_of_its_service_and_answers_to_its_names_only(tmp_path: Path) -> None:
    """VersityGW gives the page an account of its own. The cluster admits its pod in a restricted namespace."""
    page = {"enabled": True, "hosts": ["fakes.example.org"], "storeSecret": "store-web-page"}
    with (
        running_server("versitygw", tmp_path / "server") as server,
        installed(server, tmp_path, webPage=page) as release,
    ):
        record = RunRecord("faces", "facefoundry run", {}, pairs=["a_b"])
        Store(server.accounts["client"]).put_bytes("runs/faces/run.json", to_standard_json(record))
        (pod,) = release.pods("web-page")
        assert pod.status.container_statuses[0].ready and pod.status.container_statuses[0].restart_count == 0
        with release.forward("web-page", 8080) as port:
            address = f"http://127.0.0.1:{port}"
            assert 'href="runs/faces/"' in ask(address).text
            assert "1 waiting" in ask(address, "/runs/faces/").text
            assert ask(address, Host="fakes.example.org").status == 200
            assert ask(address, Host="elsewhere.example").status == 400
        service = f"http://{release.of('web-page')}.{release.namespace}.svc:8080/"
        script = f"import urllib.request; print(urllib.request.urlopen({service!r}, timeout=60).read().decode())"
        release.run_in_pod("viewer", "python3", "-c", script)
        release.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/viewer", "--timeout=120s")
        assert 'href="runs/faces/"' in release.kubectl("logs", "viewer")
