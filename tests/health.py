"""The health of a service."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def health_of(channel: grpc.Channel, name: str = "") -> int:
    """Return the health status of a server, or of one of its services."""
    request = health_pb2.HealthCheckRequest(service=name)
    status: int = health_pb2_grpc.HealthStub(channel).Check(request, timeout=30).status
    return status
