"""The chart on the cluster that KUBECONFIG names: what the trainer may create, and what an uninstall leaves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client

from tests.cluster.installation import SERVICES, Installation, Job, installation
from tests.helm.chart import find_helm
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    with installation(find_helm()) as made:
        _until_the_policy_holds(made)
        yield made


def _until_the_policy_holds(installation: Installation, seconds: float = 120.0) -> None:
    """A new policy takes the API server a moment."""
    job = installation.job()
    job["spec"]["template"]["spec"]["hostNetwork"] = True
    wait_until(
        lambda: "no access to the host" in installation.create(job),
        seconds,
        every=0.2,
        failure=lambda: "the policy does not work",
    )


def _pod(job: Job) -> Job:
    return job["spec"]["template"]["spec"]


def _container(job: Job) -> Job:
    return _pod(job)["containers"][0]


def _volume(job: Job, **source: Any) -> None:
    _pod(job)["volumes"].append({"name": "another", **source})


def _environment(job: Job, **source: Any) -> None:
    _container(job)["env"][-1] = {"name": _container(job)["env"][-1]["name"], "valueFrom": source}


def _variable(job: Job, name: str, **value: Any) -> None:
    """Give a variable of the worker's another value, or another source of it."""
    source = value if "value" in value else {"valueFrom": value}
    _container(job)["env"] = [
        {"name": name, **source} if variable["name"] == name else variable for variable in _container(job)["env"]
    ]


FENCED: dict[str, tuple[Callable[[Job], Any], str]] = {
    "a foreign image": (lambda job: _container(job).update(image="docker.io/library/busybox"), "image"),
    "an image beside ours": (lambda job: _container(job).update(image="localhost/facefoundry/worker2:1"), "image"),
    "a foreign init container": (
        lambda job: _pod(job).update(
            initContainers=[copy.deepcopy(_container(job)) | {"name": "init", "image": "busybox"}]
        ),
        "image",
    ),
    "another account": (lambda job: _pod(job).update(serviceAccountName="default"), "service account"),
    "a token": (lambda job: _pod(job).update(automountServiceAccountToken=True), "without its token"),
    "a host path": (lambda job: _volume(job, hostPath={"path": "/"}), "mount"),
    "the host's network": (lambda job: _pod(job).update(hostNetwork=True), "host"),
    "a device": (
        lambda job: _pod(job).update(resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "another"}]),
        "no devices",
    ),
    "a foreign claim as a volume": (lambda job: _volume(job, persistentVolumeClaim={"claimName": "data"}), "mount"),
    "a chosen node": (lambda job: _pod(job).update(nodeName="node1"), "host"),
    "privileged": (
        lambda job: _container(job)["securityContext"].update(privileged=True, allowPrivilegeEscalation=True),
        "privileges",
    ),
    "a capability": (
        lambda job: _container(job)["securityContext"].update(
            capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
        ),
        "privileges",
    ),
    "a foreign secret as a variable": (
        lambda job: _environment(job, secretKeyRef={"name": "another", "key": "key"}),
        "Secrets of the installation",
    ),
    "its own key where it would be printed": (
        lambda job: _variable(job, "FACEFOUNDRY_WORKER_ID", secretKeyRef={"name": "store", "key": "secret-key"}),
        "Secrets of the installation",
    ),
    "the key of another entry": (
        lambda job: _variable(job, "FACEFOUNDRY_STORE_ACCESS_KEY", secretKeyRef={"name": "store", "key": "password"}),
        "Secrets of the installation",
    ),
    "all of a foreign secret": (
        lambda job: _container(job).update(envFrom=[{"secretRef": {"name": "another"}}]),
        "nothing else",
    ),
    "all of a config map": (
        lambda job: _container(job).update(envFrom=[{"configMapRef": {"name": "another"}}]),
        "nothing else",
    ),
    "another store": (
        lambda job: _variable(job, "FACEFOUNDRY_STORE_ENDPOINT", value="elsewhere.example.org"),
        "nothing else",
    ),
    "its own secret as a file": (lambda job: _volume(job, secret={"secretName": "store"}), "mount"),
    "root": (
        lambda job: (
            _pod(job)["securityContext"].update(runAsUser=0),
            _container(job)["securityContext"].update(runAsNonRoot=False),
        ),
        "privileges",
    ),
    "too many CPUs as a limit": (lambda job: _container(job)["resources"]["limits"].update(cpu="64"), "ceiling"),
    "resources of the pod": (lambda job: _pod(job).update(resources={"requests": {"cpu": "64"}}), "ceiling"),
    "other labels": (
        lambda job: job["spec"]["template"]["metadata"]["labels"].update({"app.kubernetes.io/instance": "another"}),
        "labels",
    ),
    "no labels": (lambda job: job["spec"]["template"]["metadata"].pop("labels"), "labels"),
    "another runtime class": (lambda job: _pod(job).update(runtimeClassName="another"), "runtimeClassName"),
    "names of the host's": (
        lambda job: _pod(job).update(hostAliases=[{"ip": "127.0.0.1", "hostnames": ["s3.example.org"]}]),
        "host",
    ),
    "a foreign secret as a file": (lambda job: _volume(job, secret={"secretName": "another"}), "mount"),
    "a foreign secret among others": (
        lambda job: _volume(job, projected={"sources": [{"secret": {"name": "another"}}]}),
        "mount",
    ),
    "a foreign pull secret": (lambda job: _pod(job).update(imagePullSecrets=[{"name": "another"}]), "Secrets"),
    "too much memory": (lambda job: _container(job)["resources"]["limits"].update(memory="1Ti"), "ceiling"),
    "memory without a limit": (lambda job: _container(job)["resources"]["limits"].pop("memory"), "ceiling"),
    "too many CPUs": (lambda job: _container(job)["resources"]["requests"].update(cpu="64"), "ceiling"),
    "too many GPUs": (lambda job: _container(job)["resources"]["limits"].update({"nvidia.com/gpu": "8"}), "ceiling"),
    "many pods": (lambda job: job["spec"].update(parallelism=5), "ceiling"),
    "another command": (lambda job: _container(job).update(command=["python", "-c", "pass"]), "nothing else"),
    "a request elsewhere": (lambda job: _container(job).update(args=["s3://another/attempt.json"]), "nothing else"),
    "a second argument": (lambda job: _container(job)["args"].append("--pdb"), "nothing else"),
    "a hook": (
        lambda job: _container(job).update(lifecycle={"postStart": {"exec": {"command": ["sh"]}}}),
        "nothing else",
    ),
    "a probe that runs something": (
        lambda job: _container(job).update(livenessProbe={"exec": {"command": ["sh"]}}),
        "nothing else",
    ),
    "another variable": (
        lambda job: _container(job)["env"].append({"name": "PYTHONPATH", "value": "/tmp"}),
        "nothing else",
    ),
    "a foreign priority": (lambda job: _pod(job).update(priorityClassName="system-node-critical"), "priority"),
}


def test_the_trainer_may_create_its_own_job(installed: Installation) -> None:
    assert installed.create(installed.job()) == ""


@pytest.mark.parametrize("what", FENCED)
def test_the_trainer_is_refused(installed: Installation, what: str) -> None:
    change, words = FENCED[what]
    job = installed.job()
    change(job)
    refusal = installed.create(job)
    assert "ValidatingAdmissionPolicy" in refusal
    assert words in refusal.rpartition("denied request")[2]


def test_the_trainers_rights_end_with_jobs_in_the_jobs_namespace(installed: Installation) -> None:
    for verb in ("create", "get", "list", "watch", "delete"):
        assert installed.may(verb, "jobs", installed.jobs, "batch"), verb
        assert not installed.may(verb, "jobs", installed.namespace, "batch"), verb
    for verb in ("get", "list", "watch"):
        assert installed.may(verb, "pods", installed.jobs), verb
        assert installed.may(verb, "events", installed.jobs), verb
    for verb, resource, group in (
        ("get", "secrets", ""),
        ("list", "secrets", ""),
        ("create", "pods", ""),
        ("create", "pods/exec", ""),
        ("update", "jobs", "batch"),
        ("patch", "jobs", "batch"),
        ("deletecollection", "jobs", "batch"),
        ("create", "serviceaccounts/token", ""),
        ("create", "rolebindings", "rbac.authorization.k8s.io"),
    ):
        assert not installed.may(verb, resource, installed.jobs, group), (verb, resource)


def test_the_worker_has_no_rights(installed: Installation) -> None:
    account = f"system:serviceaccount:{installed.jobs}:ff-facefoundry-worker"
    for resource, group in (("jobs", "batch"), ("pods", ""), ("secrets", ""), ("configmaps", "")):
        assert not installed.may("get", resource, installed.jobs, group, account)


def test_an_upgrade_keeps_the_number_of_pods_that_a_person_set(installed: Installation) -> None:
    assert {service: installed.replicas(service) for service in SERVICES} == {
        "extractor": 1,
        "trainer": 2,
        "converter": 1,
    }
    installed.scale("converter", 3)
    installed.scale("trainer", 0)
    assert installed.upgrade() == ""
    assert (installed.replicas("converter"), installed.replicas("trainer")) == (3, 0)


def test_uninstalling_leaves_the_jobs_namespace_with_its_account_and_its_jobs(installed: Installation) -> None:
    """The last test of this module: the installation ends here."""
    batch, core = client.BatchV1Api(), client.CoreV1Api()
    job = installed.job()
    job["spec"]["suspend"] = True
    batch.create_namespaced_job(installed.jobs, job)
    ended = installed.helm.run("uninstall", "ff", "--namespace", installed.namespace, "--wait")
    assert ended.returncode == 0, ended.stderr
    assert [job.metadata.name for job in batch.list_namespaced_job(installed.jobs).items] == ["a-job"]
    accounts = {account.metadata.name for account in core.list_namespaced_service_account(installed.jobs).items}
    assert accounts == {"default", "ff-facefoundry-worker"}
    assert core.read_namespace(installed.jobs).metadata.deletion_timestamp is None
    assert not client.RbacAuthorizationV1Api().list_namespaced_role(installed.jobs).items
    assert not client.AppsV1Api().list_namespaced_deployment(installed.namespace).items
    policies = client.AdmissionregistrationV1Api().list_validating_admission_policy().items
    assert not [policy for policy in policies if policy.metadata.name.startswith(installed.namespace)]
