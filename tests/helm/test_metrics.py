"""Dashboard and alerts query only metrics, labels and reasons that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from prometheus_client import Counter, Gauge, Histogram

from facefoundry import telemetry
from tests.helm.chart import CHART, ROOT, Helm, named

# Of kube-state-metrics, which the operations page names as needed for three alerts.
FOREIGN = {"kube_job_status_failed", "kube_pod_deletion_timestamp", "kube_pod_status_phase"}
DASHBOARD = json.loads((CHART / "files/dashboard.json").read_text())
ALERTS = yaml.safe_load((CHART / "files/alerts.yaml").read_text())["groups"][0]["rules"]


def _table() -> dict[str, set[str]]:
    """Names as Prometheus stores them, with their labels."""
    series = {}
    for metric in vars(telemetry).values():
        if isinstance(metric, (Counter, Gauge, Histogram)):
            (described,) = metric.describe()
            suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}[
                described.type
            ]
            for suffix in suffixes:
                series[described.name + suffix] = {*metric._labelnames, *({"le"} if suffix == "_bucket" else ())}
    return series


TABLE = _table()


def _queries() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return panels + [alert["expr"] for alert in ALERTS]


def _metrics(query: str) -> list[str]:
    return re.findall(r"\b(?:facefoundry|kube)_[a-z_]+", query)


def test_every_queried_metric_exists():
    assert len(_queries()) > 10
    for query in _queries():
        assert _metrics(query), query
        assert set(_metrics(query)) <= set(TABLE) | FOREIGN, query


def test_the_dashboard_shows_every_metric():
    shown = {name for panel in DASHBOARD["panels"] for target in panel["targets"] for name in _metrics(target["expr"])}
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in TABLE}
    assert {re.sub(r"_(bucket|total)$", "", name) for name in shown} == families


def test_every_queried_label_exists():
    for query in _queries():
        for name, selector in re.findall(r"(facefoundry_[a-z_]+)\{([^}]*)\}", query):
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert asked <= TABLE[name] | {"namespace"}, query
        for grouped in re.findall(r"by \(([^)]*)\)", query):
            labels = set(re.split(r",\s*", grouped))
            assert all(labels <= TABLE[name] for name in _metrics(query)), query


def test_every_queried_reason_is_a_reason_of_an_error():
    source = "".join(
        path.read_text() for part in ("facefoundry", "services") for path in Path(ROOT / part).rglob("*.py")
    )
    words = set(re.findall(r'"([A-Z_]+)"', source))
    asked = {
        reason
        for alert in ALERTS
        for found in re.findall(r'reason=~?"([^"]+)"', alert["expr"])
        for reason in found.split("|")
    }
    assert len(asked) > 2
    assert all(any(re.fullmatch(reason, word) for word in words) for reason in asked)


def test_every_fault_of_the_store_fires_its_alert():
    """A missing object is no fault of the store."""
    failures, connections = (
        (ROOT / "facefoundry" / name).read_text() for name in ("storage/failures.py", "connections.py")
    )
    reasons = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', failures)) - {"NO_SUCH_OBJECT"}
    reasons |= set(re.findall(r'reason="(\w+)"', connections))
    assert {"STORE_UNAVAILABLE", "STORE_CLOCK", "STORE_TLS"} <= reasons
    (alert,) = (alert for alert in ALERTS if alert["alert"] == "FaceFoundryStoreUnreachable")
    (asked,) = re.findall(r'reason=~"([^"]+)"', alert["expr"])
    assert sorted(reason for reason in reasons if not re.fullmatch(asked, reason)) == []


def test_every_alert_is_explained_and_has_a_severity():
    page = (ROOT / "docs/operations.md").read_text()
    for alert in ALERTS:
        assert f"`{alert['alert']}`" in page, alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        assert alert["annotations"]["summary"].endswith(".")


def test_alerts_query_only_the_installation(helm: Helm):
    rule = named(helm.objects(CHART / "ci/everything-values.yaml"), "PrometheusRule", "foundry-alerts")
    rules = rule["spec"]["groups"][0]["rules"]
    assert [item["alert"] for item in rules] == [item["alert"] for item in ALERTS]
    text = json.dumps(rules)
    assert "NAMESPACE" not in text
    assert 'namespace=\\"facefoundry\\"' in text
    assert 'namespace=\\"foundry-trainings\\"' in text


def test_the_dashboard_is_rendered_unchanged(helm: Helm):
    made = named(helm.objects(CHART / "ci/everything-values.yaml"), "ConfigMap", "foundry-dashboard")
    assert json.loads(made["data"]["facefoundry.json"]) == DASHBOARD
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_pod_monitor_selects_the_pods_that_serve_metrics(helm: Helm):
    objects = helm.objects(CHART / "ci/everything-values.yaml")
    monitor = named(objects, "PodMonitor", "foundry-services")["spec"]
    for service in ("extractor", "trainer", "converter"):
        pod = named(objects, "Deployment", f"foundry-{service}")["spec"]["template"]
        assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert (
            pod["metadata"]["labels"]["app.kubernetes.io/component"]
            in monitor["selector"]["matchExpressions"][0]["values"]
        )
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports
