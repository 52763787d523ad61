"""Opens the client's connections: with or without TLS, and to all replicas of a service in turn."""

from __future__ import annotations

import json
import re
from pathlib import Path

import grpc

from facefoundry.errors import InvalidInput
from facefoundry.settings import ChannelSettings

__all__ = ["open_channel"]

_LOOPBACK = ("127.", "localhost:", "[::1]:")
_PORTS = {"http": 80, "https": 443}
_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


def open_channel(address: str, settings: ChannelSettings) -> grpc.Channel:
    """Open a gRPC channel to a service. Successive calls go to its addresses in turn.

    Args:
        address: `host:port`, several `IPv4:port` separated by commas, `http(s)://host[:port]`, or a gRPC target.
        settings: TLS files. Without `ca_file` only `https` addresses are encrypted, and gRPC's own authorities trusted.

    Raises:
        InvalidInput: a TLS file cannot be read, or an `http` address contradicts `ca_file`.
    """
    scheme, _, host = address.partition("://")
    if scheme == "http" and settings.ca_file is not None:
        raise InvalidInput(
            f"Expected an https address, because FACEFOUNDRY_CA_FILE enables TLS. Received {address}. Use https, or "
            "remove FACEFOUNDRY_CA_FILE.",
            reason="TLS",
        )
    target = _target(_with_port(host, _PORTS[scheme]) if scheme in _PORTS else address)
    options = [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.enable_http_proxy", 0 if target.rpartition("/")[2].startswith(_LOOPBACK) else 1),
    ]
    if settings.ca_file is None and scheme != "https":
        return grpc.insecure_channel(target, options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read(settings.ca_file),
        private_key=_read(settings.client_key_file),
        certificate_chain=_read(settings.client_cert_file),
    )
    return grpc.secure_channel(target, credentials, options)


def _target(address: str) -> str:
    if "://" in address or address.startswith("unix:"):
        return address
    return f"ipv4:///{address}" if "," in address else f"dns:///{address}"


def _with_port(host: str, port: int) -> str:
    return host if re.search(r":\d+$", host) else f"{host}:{port}"


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"Cannot read the TLS file {path}: {error.strerror}. Check its path and permissions.", reason="TLS"
        ) from error
