"""Each template: the objects it renders, and the values that leave them out."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from facefoundry import __version__
from services.trainer.backends.kubernetes import template as job_template
from services.trainer.worker_protocol import ExitCode
from tests.helm.chart import CHART, SCENARIOS, Helm, environment, invalid, named, pods, training_job, unrestricted

BASE: dict[str, Any] = {"store": {"endpoint": "s3.example.org", "existingSecret": "facefoundry-store"}}
MINIO: dict[str, Any] = {"minio": {"enabled": True}}
EXTERNAL = {"monitoring.coreos.com/v1"}
SERVICES = ("extractor", "trainer", "converter")


def _and(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(base)
    node = made
    *parents, last = path.split(".")
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return made


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_renders_valid_restricted_objects(helm: Helm, scenario):
    objects = helm.objects(scenario)
    assert [wrong for item in objects if item["apiVersion"] not in EXTERNAL for wrong in invalid(item)] == []
    job = training_job(objects)
    assert invalid(job_template.training_job(job, "a-name", "s3://facefoundry/trainings/x/attempt.json")) == []
    found = list(pods(objects))
    assert {name for name, _ in found} >= {"training-job"}
    assert len(found) >= 5
    assert [wrong for name, pod in found for wrong in unrestricted(name, pod)] == []


def test_the_schemas_reject_an_unknown_field(helm: Helm):
    deployment = named(helm.objects(BASE), "Deployment", "ff-facefoundry-extractor")
    deployment["spec"]["template"]["spec"]["contaners"] = []
    assert "contaners" in str(invalid(deployment))


def test_names_are_unique_and_every_object_has_a_namespace(helm: Helm):
    objects = helm.objects(CHART / "ci/everything-values.yaml")
    cluster_wide = {"Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    places = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    assert len(places) == len(set(places))
    assert all(namespace for kind, namespace, _ in places if kind not in cluster_wide)


def test_rendering_twice_gives_equal_output(helm: Helm):
    assert helm.template(MINIO).stdout == helm.template(MINIO, options=("--debug",)).stdout


TABLE = [
    # kind, name, values with it, values without it
    ("Deployment", "extractor", BASE, None),
    ("Service", "converter", BASE, None),
    ("ServiceAccount", "trainer", BASE, None),
    ("ConfigMap", "training-job", BASE, None),
    ("ConfigMap", "dataset-job", BASE, None),
    ("Role", "submitter", _and(BASE, "dataset.submitters", [{"kind": "User", "name": "ann"}]), BASE),
    ("RoleBinding", "submitter", _and(BASE, "dataset.submitters", [{"kind": "User", "name": "ann"}]), BASE),
    ("Role", "trainer", BASE, None),
    ("RoleBinding", "trainer", BASE, None),
    ("PodDisruptionBudget", "extractor", BASE, _and(BASE, "extractor.disruptionBudget", False)),
    ("PodDisruptionBudget", "trainer", BASE, _and(BASE, "trainer.disruptionBudget", False)),
    ("HorizontalPodAutoscaler", "extractor", _and(BASE, "extractor.autoscaling.enabled", True), BASE),
    ("HorizontalPodAutoscaler", "converter", _and(BASE, "converter.autoscaling.enabled", True), BASE),
    ("Namespace", "jobs", BASE, _and(BASE, "jobs.createNamespace", False)),
    ("ResourceClaimTemplate", "gpu-b12de863", _and(BASE, "worker.gpu.claim.deviceClass", "gpu.nvidia.com"), BASE),
    ("ResourceQuota", "jobs", _and(BASE, "jobs.quota", {"requests.nvidia.com/gpu": 4}), BASE),
    ("ValidatingAdmissionPolicy", "trainer", BASE, _and(BASE, "jobs.policy.enabled", False)),
    ("ValidatingAdmissionPolicyBinding", "trainer", BASE, _and(BASE, "jobs.policy.enabled", False)),
    ("NetworkPolicy", "default", _and(BASE, "networkPolicy.enabled", True), BASE),
    ("NetworkPolicy", "minio", _and(MINIO, "networkPolicy.enabled", True), _and(BASE, "networkPolicy.enabled", True)),
    ("PodMonitor", "services", _and(BASE, "metrics.podMonitor.enabled", True), BASE),
    ("PrometheusRule", "alerts", _and(BASE, "metrics.rules.enabled", True), BASE),
    ("ConfigMap", "dashboard", _and(BASE, "metrics.dashboard.enabled", True), BASE),
    ("StatefulSet", "minio", MINIO, BASE),
    ("Secret", "minio", MINIO, BASE),
    ("Service", "minio", MINIO, BASE),
    ("Job", "bucket", MINIO, BASE),
    ("Pod", "test", BASE, "--skip-tests"),
]


@pytest.mark.parametrize(
    "kind, name, present, absent", TABLE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_object_is_rendered_exactly_when_its_value_is_set(helm: Helm, kind, name, present, absent):
    def rendered(objects):
        return [item for item in objects if item["kind"] == kind and item["metadata"]["name"].endswith(f"-{name}")]

    assert rendered(helm.objects(present))
    if isinstance(absent, str):
        assert not rendered(helm.objects(present, options=(absent,)))
    elif absent is not None:
        assert not rendered(helm.objects(absent))


def test_every_template_is_in_the_table(helm: Helm):
    made = set()
    for line in helm.template(CHART / "ci/everything-values.yaml").stdout.splitlines():
        if line.startswith("# Source:"):
            made.add(line.rpartition("templates/")[2])
    for line in helm.template(MINIO).stdout.splitlines():
        if line.startswith("# Source:"):
            made.add(line.rpartition("templates/")[2])
    folder = CHART / "templates"
    assert made == {str(path.relative_to(folder)) for path in folder.rglob("*.yaml")}


def test_without_a_store_the_error_names_both_choices(helm: Helm):
    message = helm.refusal({})
    assert "store.existingSecret" in message
    assert "minio.enabled=true" in message


@pytest.mark.parametrize(
    "values, words",
    [
        ({"store": BASE["store"], **MINIO}, "Use either the development MinIO"),
        ({"store": {"existingSecret": "a"}}, "host and port"),
        (_and(BASE, "jobs.namespace", "facefoundry"), "jobs.createNamespace=false"),
        (_and(BASE, "worker.gpu.count", 2), "jobs.policy.maxGPUs"),
        (_and(BASE, "worker.gpu.claim", {"deviceClass": "a", "template": "b"}), "Use one of them"),
        (_and(BASE, "worker.gpu", {"count": 0, "claim": {"deviceClass": "a"}}), "worker.gpu.count is 0"),
        (
            _and(BASE, "extractor.resources", {"limits": {"memory": "600Mi"}, "requests": {"cpu": 4}}),
            "extractor.settings.slots",
        ),
    ],
)
def test_contradicting_values_are_refused(helm: Helm, values, words):
    assert words in helm.refusal(values)


@pytest.mark.parametrize(
    "cpu, memory, slots, child",
    [
        ("2", "8Gi", "2", 4026531840),
        ("200m", "2Gi", "1", 1610612736),
        (3.5, "7G", "3", 2154376362),
        ("8000m", "16Gi", "8", 2080374784),
    ],
)
def test_slots_are_whole_cores_and_sandboxes_share_memory_and_scratch(helm: Helm, cpu, memory, slots, child):
    values = _and(BASE, "converter.resources", {"requests": {"cpu": cpu}, "limits": {"memory": memory}})
    pod = named(helm.objects(values), "Deployment", "ff-facefoundry-converter")["spec"]["template"]["spec"]
    variables = environment(pod["containers"][0])
    assert variables["FACEFOUNDRY_SLOTS"] == slots
    assert variables["FACEFOUNDRY_SANDBOX_THREADS"] == "1"
    assert int(variables["FACEFOUNDRY_SANDBOX_MEMORY_BYTES"]) == child
    assert int(variables["FACEFOUNDRY_SANDBOX_DISK_BYTES"]) == (20 << 30) * 9 // (10 * int(slots))


def test_a_trainer_imports_one_model_at_a_time_beside_its_server(helm: Helm):
    pod = named(helm.objects(BASE), "Deployment", "ff-facefoundry-trainer")["spec"]["template"]["spec"]
    variables = environment(pod["containers"][0])
    assert variables["FACEFOUNDRY_SLOTS"] == "1"
    assert int(variables["FACEFOUNDRY_SANDBOX_MEMORY_BYTES"]) == 3 << 29


def test_the_number_of_pods_is_rendered_only_where_the_values_give_it(helm: Helm):
    """On a cluster it is rendered as it is found there: tests/cluster/test_upgrade.py."""

    def replicas(values):
        specs = [named(helm.objects(values), "Deployment", f"ff-facefoundry-{name}")["spec"] for name in SERVICES]
        return [spec.get("replicas") for spec in specs]

    assert replicas(BASE) == [None, 2, None]
    assert replicas(_and(BASE, "extractor.replicas", 3)) == [3, 2, None]
    assert replicas(_and(_and(BASE, "extractor.replicas", 0), "trainer.replicas", 1)) == [0, 1, None]
    autoscaled = _and(_and(BASE, "extractor.replicas", 3), "extractor.autoscaling.enabled", True)
    assert replicas(autoscaled) == [None, 2, None]


def test_the_jobs_namespace_has_the_pod_security_level_of_the_values(helm: Helm):
    def level(values):
        labels = named(helm.objects(values), "Namespace", "ff-facefoundry-jobs")["metadata"]["labels"]
        return labels["pod-security.kubernetes.io/enforce"]

    assert (level(BASE), level(_and(BASE, "jobs.podSecurity", "baseline"))) == ("restricted", "baseline")


def test_the_grace_period_is_longer_than_the_drain(helm: Helm):
    values = _and(BASE, "converter.settings", {"drainSeconds": 90.5})
    pod = named(helm.objects(values), "Deployment", "ff-facefoundry-converter")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 101


@pytest.mark.parametrize("service", SERVICES)
def test_probes_use_the_plaintext_health_port(helm: Helm, service):
    pod = named(helm.objects(BASE), "Deployment", f"ff-facefoundry-{service}")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    port = int(environment(container)["FACEFOUNDRY_HEALTH_LISTEN"].rpartition(":")[2])
    assert {container[probe]["grpc"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {port}
    assert port in {item["containerPort"] for item in container["ports"]}


def test_services_are_headless_and_select_their_pods(helm: Helm):
    for service in SERVICES:
        spec = named(helm.objects(BASE), "Service", f"ff-facefoundry-{service}")["spec"]
        pod = named(helm.objects(BASE), "Deployment", f"ff-facefoundry-{service}")["spec"]["template"]
        assert spec["clusterIP"] == "None"
        assert spec["selector"].items() <= pod["metadata"]["labels"].items()


def test_a_secret_turns_on_tls_and_mutual_turns_on_client_certificates(helm: Helm):
    def variables(values):
        pod = named(helm.objects(values), "Deployment", "ff-facefoundry-trainer")["spec"]["template"]["spec"]
        assert all(
            mount["name"] in {volume["name"] for volume in pod["volumes"]}
            for mount in pod["containers"][0]["volumeMounts"]
        )
        return environment(pod["containers"][0])

    tls = _and(BASE, "tls.existingSecret", "certificate")
    assert "FACEFOUNDRY_TLS_CERT_FILE" not in variables(BASE)
    assert "FACEFOUNDRY_TLS_CERT_FILE" in variables(tls)
    assert "FACEFOUNDRY_TLS_CLIENT_CA_FILE" not in variables(tls)
    assert "FACEFOUNDRY_TLS_CLIENT_CA_FILE" in variables(_and(tls, "tls.mutual", True))


def test_each_component_uses_its_own_store_account(helm: Helm):
    objects = helm.objects(CHART / "ci/external-store-values.yaml")
    found = {}
    for name, pod in pods(objects):
        variables = environment(pod["containers"][0])
        if "FACEFOUNDRY_STORE_ACCESS_KEY" in variables:
            found[name.removeprefix("ff-facefoundry-")] = variables["FACEFOUNDRY_STORE_ACCESS_KEY"]["secretKeyRef"][
                "name"
            ]
    assert found == {
        "extractor": "extractor-store",
        "trainer": "trainer-store",
        "converter": "converter-store",
        "training-job": "worker-store",
        "web-page": "web-page-store",
    }


@pytest.mark.parametrize("service", ["extractor", "trainer"])
def test_services_import_from_the_buckets_in_the_values(helm: Helm, service):
    def variable(values):
        pod = named(helm.objects(values), "Deployment", f"ff-facefoundry-{service}")["spec"]["template"]["spec"]
        return environment(pod["containers"][0]).get("FACEFOUNDRY_IMPORT_BUCKETS")

    assert variable(BASE) is None
    assert variable(_and(BASE, f"{service}.importBuckets", ["clips", "more-clips"])) == "clips,more-clips"
    assert "importBuckets" in helm.refusal(_and(BASE, f"{service}.importBuckets", ["No bucket"]))


@pytest.mark.parametrize("service", SERVICES)
def test_services_sign_urls_for_the_address_and_as_the_account_in_the_values(helm: Helm, service):
    def variables(values):
        pod = named(helm.objects(values), "Deployment", f"ff-facefoundry-{service}")["spec"]["template"]["spec"]
        found = environment(pod["containers"][0])
        return {
            name.removeprefix("FACEFOUNDRY_STORE_"): value
            for name, value in found.items()
            if "PUBLIC" in name or "SIGNER" in name
        }

    public = _and(BASE, "store.publicEndpoint", "https://store.example.org")
    signed = _and(public, "store.signerSecret", "signer-store")
    assert variables(BASE) == {}
    assert variables(public) == {"PUBLIC_ENDPOINT": "https://store.example.org"}
    assert variables(signed) == {
        "PUBLIC_ENDPOINT": "https://store.example.org",
        "SIGNER_ACCESS_KEY": {"secretKeyRef": {"name": "signer-store", "key": "access-key"}},
        "SIGNER_SECRET_KEY": {"secretKeyRef": {"name": "signer-store", "key": "secret-key"}},
    }
    assert variables(_and(MINIO, "store.signerSecret", "signer-store")) == {}, "its store has one account"
    assert not [name for name in environment(_worker(helm, signed)) if "SIGNER" in name]


def _worker(helm: Helm, values):
    return training_job(helm.objects(values))["spec"]["template"]["spec"]["containers"][0]


def test_only_the_trainer_has_a_token_and_it_may_only_manage_jobs(helm: Helm):
    objects = helm.objects(BASE)
    mounted = {name for name, pod in pods(objects) if pod.get("automountServiceAccountToken")}
    assert mounted == {"ff-facefoundry-trainer"}
    (role,) = (item for item in objects if item["kind"] == "Role")
    assert role["metadata"]["namespace"] == "ff-facefoundry-jobs"
    rights = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert rights == {("jobs", verb) for verb in ("create", "get", "list", "watch", "delete")} | {
        (resource, verb) for resource in ("pods", "events") for verb in ("get", "list", "watch")
    }
    assert not [item for item in objects if item["kind"] in ("ClusterRole", "ClusterRoleBinding")]


def test_uninstall_keeps_what_running_jobs_need(helm: Helm):
    kept = {
        (item["kind"], item["metadata"]["name"])
        for item in helm.objects(MINIO)
        if item["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {
        ("Namespace", "ff-facefoundry-jobs"),
        ("ServiceAccount", "ff-facefoundry-worker"),
        ("Secret", "ff-facefoundry-minio"),
    }


@pytest.mark.parametrize(
    ("values", "required"),
    [
        ({}, "true"),
        ({"worker.gpu.count": 0}, None),
        ({"worker.settings": {"requireGpu": False}}, "false"),
    ],
)
def test_a_worker_with_a_gpu_requires_it(helm: Helm, values, required):
    changed = BASE
    for path, value in values.items():
        changed = _and(changed, path, value)
    container = training_job(helm.objects(changed))["spec"]["template"]["spec"]["containers"][0]
    assert environment(container).get("FACEFOUNDRY_WORKER_REQUIRE_GPU") == required


def test_the_job_is_the_file_with_the_values_of_the_installation(helm: Helm):
    shipped = yaml.safe_load((CHART / "files/training-job.yaml").read_text())
    job = training_job(helm.objects(_and(BASE, "worker.queueName", "trainings")))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "trainings"
    assert {key: value for key, value in job["spec"].items() if key != "template"} == {
        key: value for key, value in shipped["spec"].items() if key != "template"
    }
    assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [
        ExitCode.BAD_SETTINGS,
        ExitCode.BAD_INPUT,
    ]
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "ff-facefoundry-worker"
    assert pod["automountServiceAccountToken"] is False
    container = pod["containers"][0]
    assert container["image"] == f"localhost/facefoundry/worker:{__version__}"
    variables = environment(container)
    assert variables["FACEFOUNDRY_STORE_ENDPOINT"] == "s3.example.org"
    assert int(variables["FACEFOUNDRY_WORKER_SCRATCH_BYTES"]) == 10 * 2**30 * 19 // 20
    assert not [name for name, value in variables.items() if "KEY" in name and isinstance(value, str)]


def test_a_changed_job_template_restarts_only_the_trainer(helm: Helm):
    changed = _and(BASE, "worker.resources", {"limits": {"memory": "32Gi"}})
    for service in SERVICES:
        before, after = (
            named(helm.objects(values), "Deployment", f"ff-facefoundry-{service}")["spec"]["template"]
            for values in (BASE, changed)
        )
        assert (before != after) == (service == "trainer")


def test_the_trainer_gets_the_resource_name_and_number_of_gpus(helm: Helm):
    values = _and(_and(BASE, "worker.gpu.resource", "nvidia.com/mig-1g.18gb"), "worker.gpu.count", 0)
    pod = named(helm.objects(values), "Deployment", "ff-facefoundry-trainer")["spec"]["template"]["spec"]
    variables = environment(pod["containers"][0])
    assert variables["FACEFOUNDRY_GPU_RESOURCE"] == "nvidia.com/mig-1g.18gb"
    assert variables["FACEFOUNDRY_GPUS"] == "0"


def test_network_policies_allow_the_store(helm: Helm):
    def defaults(values):
        return [
            item
            for item in helm.objects(_and(values, "networkPolicy.enabled", True))
            if item["metadata"]["name"] == "ff-facefoundry-default"
        ]

    assert [item["spec"]["egress"][1]["ports"] for item in defaults(BASE)] == [[{"protocol": "TCP", "port": 443}]] * 2
    inside = defaults(MINIO)
    assert {item["metadata"]["namespace"] for item in inside} == {"facefoundry", "ff-facefoundry-jobs"}
    store = inside[0]["spec"]["egress"][1]["to"][0]["podSelector"]["matchLabels"]
    pod = named(helm.objects(_and(MINIO, "networkPolicy.enabled", True)), "StatefulSet", "ff-facefoundry-minio")
    assert store.items() <= pod["spec"]["template"]["metadata"]["labels"].items()


def test_the_development_store_uses_a_claim_unless_persistence_is_off(helm: Helm):
    kept = named(helm.objects(MINIO), "StatefulSet", "ff-facefoundry-minio")["spec"]
    assert kept["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "20Gi"
    lost = named(
        helm.objects(_and(MINIO, "minio.persistence", {"enabled": False})), "StatefulSet", "ff-facefoundry-minio"
    )["spec"]
    assert "volumeClaimTemplates" not in lost
    assert "data" in {volume["name"] for volume in lost["template"]["spec"]["volumes"]}


def test_helm_lint_passes(helm: Helm):
    result = helm.run("lint", "--strict", str(CHART), "--values", str(CHART / "ci/everything-values.yaml"))
    assert result.returncode == 0, result.stdout
