"""Settings shared by every process: flag > environment variable > default, each default in this one place.

Every field is read from `FACEFOUNDRY_<PREFIX><FIELD>`. Services add their own in `services/<name>/settings.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from facefoundry.errors import FieldViolation, InvalidInput

__all__ = ["ChannelSettings", "Settings", "ServerSettings", "StoreSettings", "read"]


S = TypeVar("S", bound="Settings")


class Settings(BaseSettings):
    """Base of all settings classes; immutable once read."""

    model_config = SettingsConfigDict(env_prefix="FACEFOUNDRY_", frozen=True, extra="ignore")


class StoreSettings(Settings):
    """Where the object store is and how to enter it."""

    model_config = SettingsConfigDict(env_prefix="FACEFOUNDRY_STORE_", frozen=True, extra="ignore")

    endpoint: str = Field("127.0.0.1:9000", description="Host and port of the S3 server, without a scheme.")
    access_key: SecretStr = Field(SecretStr(""), description="S3 access key.")
    secret_key: SecretStr = Field(SecretStr(""), description="S3 secret key.")
    secure: bool = Field(False, description="Use TLS to the store.")
    ca_file: Path | None = Field(None, description="CA certificates for the store, PEM; default is the system's.")
    region: str = Field("us-east-1", description="S3 region.")
    bucket: str = Field("facefoundry", description="Bucket that everything is written to.")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest silence of the store within one request.")
    attempts: int = Field(5, ge=1, description="Tries of one request before the store counts as unavailable.")
    max_source_bytes: int = Field(
        8 << 30, ge=1, description="Largest clip that is sent to the store; services have limits of their own."
    )
    retry_seconds: float = Field(
        300.0,
        ge=0,
        description="How long a dataset run or a training worker repeats a request while the store does not answer.",
    )


class ServerSettings(Settings):
    """What every gRPC service has in common."""

    listen: str = Field("0.0.0.0:50051", description="Address of the gRPC server.")
    health_listen: str = Field("", description="Extra plaintext address with health only, for probes; empty for none.")
    metrics_listen: str = Field("", description="Address of the Prometheus metrics page; empty for none.")
    reflection: bool = Field(True, description="Serve gRPC reflection.")
    tls_cert_file: Path | None = Field(None, description="Server certificate chain, PEM; with the key it turns TLS on.")
    tls_key_file: Path | None = Field(None, description="Server key, PEM.")
    tls_client_ca_file: Path | None = Field(None, description="CA that callers' certificates must be signed by (mTLS).")
    max_message_bytes: int = Field(1 << 20, ge=1 << 10, description="Largest message either way.")
    max_connection_age_seconds: float = Field(
        60.0,
        gt=0,
        description="Connections are renewed after this time, so that clients see new replicas; calls go on.",
    )
    threads: int = Field(256, ge=4, description="Calls served at once, waiting ones included.")
    slots: int = Field(1, ge=1, description="Heavy calls worked on at once; further ones are refused with RetryInfo.")
    drain_seconds: float = Field(25.0, gt=0, description="Time running calls get to end after SIGTERM.")
    scratch_dir: Path | None = Field(None, description="Folder for temporary files; default is the system's.")
    child_seconds: float = Field(900.0, gt=0, description="Longest time without progress of a media child process.")
    child_memory_bytes: int = Field(4 << 30, ge=64 << 20, description="Most memory of a media child process.")
    child_threads: int = Field(0, ge=0, description="Threads of a media child process; 0 shares the cores by slots.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @property
    def threads_per_child(self) -> int:
        """Threads of a media child process: more than cores would wait for each other."""
        return self.child_threads or max(1, (os.cpu_count() or 1) // self.slots)


class ChannelSettings(Settings):
    """How a client reaches the services. An address is a name with a port, or IPv4 addresses with ports and commas."""

    extractor_address: str = Field("127.0.0.1:50051", description="Address of the extractor.")
    trainer_address: str = Field("127.0.0.1:50052", description="Address of the trainer.")
    converter_address: str = Field("127.0.0.1:50053", description="Address of the converter.")
    ca_file: Path | None = Field(None, description="CA of the services' certificates, PEM; turns TLS on.")
    client_cert_file: Path | None = Field(None, description="The client's certificate, PEM (mTLS).")
    client_key_file: Path | None = Field(None, description="The client's key, PEM (mTLS).")


def read(kind: type[S], **overrides: object) -> S:
    """Read settings from the environment; `overrides` (flags) win.

    Raises:
        InvalidInput: a value is wrong; every wrong variable is named.
    """
    try:
        return kind(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        violations = [
            FieldViolation(prefix + "_".join(str(part) for part in problem["loc"]).upper(), problem["msg"])
            for problem in error.errors()
        ]
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidInput(f"Settings are wrong: {listed}", reason="SETTINGS", violations=violations) from error
