"""The server over TLS: authorities, client certificates, renewal, and addresses that cannot be used."""

import os
import socket
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from facefoundry.client import Client
from facefoundry.errors import Denied, InvalidInput
from facefoundry.local.process import free_ports
from facefoundry.rpc.channel import open_channel
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc
from tests.certificates import REFUSED, Authority
from tests.health import health_of
from tests.tiny import inspect_request

SERVING = health_pb2.HealthCheckResponse.SERVING


def inspect(address: str, **settings: Path) -> extractor_pb2.InspectResponse:
    with open_channel(address, read(ChannelSettings, **settings)) as channel:
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        return stub.Inspect(inspect_request(), timeout=5)


def test_over_tls_a_client_with_the_authority_is_served_and_others_are_not(serve, authority):
    cert_file, key_file = authority.issue("server")
    running = serve(tls_cert_file=cert_file, tls_key_file=key_file)
    running.servicer.answer = extractor_pb2.InspectResponse(width=7)
    assert inspect(running.address, ca_file=authority.file).width == 7
    stranger = Authority(authority.file.parent, "stranger")
    for settings in ({}, {"ca_file": stranger.file}):
        with pytest.raises(grpc.RpcError) as caught:
            inspect(running.address, **settings)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("kind", REFUSED)
def test_a_client_says_at_once_that_a_certificate_is_not_trusted(serve, authority, kind):
    cert_file, key_file = authority.refused(kind)
    running = serve(tls_cert_file=cert_file, tls_key_file=key_file)
    waits: list[float] = []  # with 0.0 it looks whether it was stopped

    class Noting(Client):
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return super().wait(0.0)

    settings = read(ChannelSettings, extractor_address=running.address, ca_file=authority.file)
    request = inspect_request()
    with (
        Noting(settings, retry_seconds=60.0) as client,
        pytest.raises(Denied, match="FACEFOUNDRY_CA_FILE") as caught,
    ):
        client.inspect(request.source_uri)
    assert (caught.value.reason, caught.value.resource, waits) == ("SERVICE_CERTIFICATE", running.address, [0.0])


def test_a_generated_client_in_another_process_is_served_over_tls(serve, authority):
    cert_file, key_file = authority.issue("server")
    running = serve(tls_cert_file=cert_file, tls_key_file=key_file)
    running.servicer.answer = extractor_pb2.InspectResponse(codec="from the other side")
    script = textwrap.dedent(
        """
        import sys, grpc
        from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc
        credentials = grpc.ssl_channel_credentials(open(sys.argv[2], "rb").read())
        stub = extractor_pb2_grpc.ExtractorServiceStub(grpc.secure_channel(sys.argv[1], credentials))
        request = extractor_pb2.InspectRequest(source_uri="s3://facefoundry/sources/" + "0" * 40)
        print(stub.Inspect(request, timeout=20).codec)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, str(Path.cwd())]))}
    command = [sys.executable, "-c", script, running.address, str(authority.file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (done.stdout, done.returncode) == ("from the other side\n", 0), done.stderr


def test_with_a_client_authority_only_its_clients_are_served_and_health_alone_is_plaintext(serve, authority):
    cert_file, key_file = authority.issue("server")
    (probes,) = free_ports(1)
    running = serve(
        tls_cert_file=cert_file,
        tls_key_file=key_file,
        tls_client_ca_file=authority.file,
        health_listen=f"127.0.0.1:{probes}",
    )
    client_cert, client_key = authority.issue("client")
    settings = {"ca_file": authority.file, "client_cert_file": client_cert, "client_key_file": client_key}
    assert inspect(running.address, **settings) == running.servicer.answer
    stranger_cert, stranger_key = Authority(authority.file.parent, "stranger").issue("strange-client")
    for refused in (
        {"ca_file": authority.file},
        {"ca_file": authority.file, "client_cert_file": stranger_cert, "client_key_file": stranger_key},
    ):
        with pytest.raises(grpc.RpcError) as caught:
            inspect(running.address, **refused)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with grpc.insecure_channel(f"127.0.0.1:{probes}") as channel:
        assert health_of(channel) == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            running.stub(channel).Inspect(inspect_request())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_renewed_certificate_is_used_by_the_next_connection_and_a_broken_one_is_not(serve, authority):
    cert_file, key_file = authority.issue("first", "server")
    running = serve(tls_cert_file=cert_file, tls_key_file=key_file)
    host, _, port = running.address.partition(":")
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2"])

    def name_presented() -> str:
        with socket.create_connection((host, int(port))) as raw, context.wrap_socket(raw, server_hostname=host) as tls:
            presented: Any = tls.getpeercert()
            return dict(pair for part in presented["subject"] for pair in part)["commonName"]

    assert name_presented() == "first"
    authority.issue("second", "server")
    assert name_presented() == "second"
    key_file.unlink()
    assert name_presented() == "second"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["tls_cert_file"], "FACEFOUNDRY_TLS_KEY_FILE"),
        (["tls_key_file"], "FACEFOUNDRY_TLS_CERT_FILE"),
        (["tls_client_ca_file"], "FACEFOUNDRY_TLS_CLIENT_CA_FILE"),
    ],
)
def test_tls_settings_that_cannot_work_stop_the_start_and_name_what_is_wrong(serve, tmp_path, given, named):
    file = tmp_path / "file.pem"
    file.write_text("")
    with pytest.raises(InvalidInput, match=named) as caught:
        serve(**dict.fromkeys(given, file))
    assert caught.value.reason == "TLS"


def test_a_taken_port_stops_the_start_and_is_named(serve, running):
    with pytest.raises(InvalidInput, match=running.address) as caught:
        serve(listen=running.address)
    assert caught.value.reason == "LISTEN"


def test_a_client_whose_tls_file_is_missing_is_told_so(tmp_path):
    with pytest.raises(InvalidInput, match=r"not-there\.pem"):
        open_channel("127.0.0.1:1", read(ChannelSettings, ca_file=tmp_path / "not-there.pem"))
