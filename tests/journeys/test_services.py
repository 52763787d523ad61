"""The three services as processes of their own, over TLS, as a cluster runs them."""

from __future__ import annotations

import subprocess
import sys

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from facefoundry import recipes
from tests.processes import environment_of, serving_port

SERVICES = {"extractor": "ExtractorService", "trainer": "TrainerService", "converter": "ConverterService"}

CLIENT = """
import sys, grpc
from facefoundry.v1 import info_pb2, info_pb2_grpc
address, authority = sys.argv[1:]
credentials = grpc.ssl_channel_credentials(open(authority, "rb").read())
with grpc.secure_channel(address, credentials, [("grpc.enable_http_proxy", 0)]) as channel:
    info = info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest(), timeout=20)
print(info.service, info.store.reachable, [recipe.name for recipe in info.recipes])
"""


@pytest.fixture(params=SERVICES)
def service(request, store, authority, tmp_path):
    """Name, address and credentials of a running service."""
    cert_file, key_file = authority.issue(request.param)
    files = {"tls_cert_file": cert_file, "tls_key_file": key_file, "scratch_dir": tmp_path / "scratch"}
    environment = environment_of(store.settings, listen="127.0.0.1:0", **files)
    log = tmp_path / "log"
    with log.open("w") as sink:
        process = subprocess.Popen([sys.executable, "-m", f"services.{request.param}"], env=environment, stderr=sink)
    try:
        yield request.param, f"127.0.0.1:{serving_port(process, log)}", authority
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()


def test_a_service_answers_health_reflection_and_a_generated_client_over_tls(service):
    name, address, authority = service
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with grpc.secure_channel(address, credentials, [("grpc.enable_http_proxy", 0)]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        full_name = f"facefoundry.v1.{SERVICES[name]}"
        answer = health.Check(health_pb2.HealthCheckRequest(service=full_name), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflected = ProtoReflectionDescriptorDatabase(channel)
        assert {full_name, "facefoundry.v1.InfoService", "grpc.health.v1.Health"} <= set(reflected.get_services())
        described = DescriptorPool(reflected).FindServiceByName(full_name)
        assert described.methods_by_name

    done = subprocess.run(
        [sys.executable, "-c", CLIENT, address, str(authority.file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == f"{name} True {recipes.names()}"


def test_a_client_that_does_not_know_the_authority_gets_nowhere(service):
    _, address, _ = service
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(), [("grpc.enable_http_proxy", 0)]) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
