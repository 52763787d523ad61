"""The settings that services and commands share, read from environment variables.

The variable of a field is `FACEFOUNDRY_<FIELD>`, or `FACEFOUNDRY_STORE_<FIELD>` for the object store. A command-line
option overrides the variable. Each service adds settings in `services/<name>/settings.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from facefoundry.errors import FieldViolation, InvalidInput

__all__ = [
    "ChannelSettings",
    "ImportSettings",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "TransferSettings",
    "read",
]

_BUCKET = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"

S = TypeVar("S", bound="Settings")


class Settings(BaseSettings):
    """Base class of all settings. Settings cannot be changed once read."""

    model_config = SettingsConfigDict(env_prefix="FACEFOUNDRY_", frozen=True, extra="ignore")


class TransferSettings(Settings):
    """What a client needs to send and fetch files by URLs of the object store. It needs no keys."""

    model_config = SettingsConfigDict(env_prefix="FACEFOUNDRY_STORE_", frozen=True, extra="ignore")

    ca_file: Path | None = Field(None, description="CA certificates for the store, PEM; the system's by default.")
    timeout_seconds: float = Field(60.0, gt=0, description="How long to wait for a response, or for its next block.")
    retry_seconds: float = Field(
        300.0,
        ge=0,
        description="How long commands, transfers and training workers repeat a request while the store, or a service, "
        "does not answer.",
    )
    max_source_bytes: int = Field(
        8 << 30, ge=1, description="Largest clip that a client uploads; services have their own limits."
    )


class StoreSettings(TransferSettings):
    """Address, credentials and limits of the object store."""

    endpoint: str = Field("127.0.0.1:9000", description="Host and port of the S3 server, without a scheme.")
    access_key: SecretStr = Field(SecretStr(""), description="S3 access key.")
    secret_key: SecretStr = Field(SecretStr(""), description="S3 secret key.")
    secure: bool = Field(False, description="Use TLS to the store.")
    region: str = Field("us-east-1", description="S3 region.")
    bucket: str = Field("facefoundry", description="Bucket for all objects.")
    attempts: int = Field(5, ge=1, description="How often a request is sent before the store counts as unavailable.")
    public_endpoint: str = Field(
        "",
        pattern=r"^(https?://(\[[0-9a-fA-F:]+\]|[^/:@?#\s\[\]]+)(:[0-9]{1,5})?)?$",
        description="Address of the S3 server in URLs for clients, `http(s)://host[:port]`; FACEFOUNDRY_STORE_ENDPOINT "
        "by default.",
    )
    signer_access_key: SecretStr = Field(
        SecretStr(""),
        description="S3 access key of the account that signs these URLs; FACEFOUNDRY_STORE_ACCESS_KEY by default.",
    )
    signer_secret_key: SecretStr = Field(SecretStr(""), description="S3 secret key of the account that signs URLs.")
    url_seconds: int = Field(3600, ge=1, le=604_800, description="How long URLs for clients are valid.")

    @property
    def has_keys(self) -> bool:
        """Whether keys of the store are set."""
        return bool(self.access_key.get_secret_value())

    @field_validator("signer_secret_key")
    @classmethod
    def _both_keys_or_none(cls, secret_key: SecretStr, info: ValidationInfo) -> SecretStr:
        access_key = info.data.get("signer_access_key", SecretStr(""))
        if bool(secret_key.get_secret_value()) != bool(access_key.get_secret_value()):
            raise ValueError("needs FACEFOUNDRY_STORE_SIGNER_ACCESS_KEY, and the other way round")
        return secret_key


class ServerSettings(Settings):
    """Settings that all gRPC services share."""

    listen: str = Field("0.0.0.0:50051", description="Address of the gRPC server.")
    health_listen: str = Field(
        "", description="Additional plaintext address that serves only health, for probes; empty for none."
    )
    metrics_listen: str = Field("", description="Address of the Prometheus metrics; empty for none.")
    reflection: bool = Field(True, description="Serve gRPC reflection.")
    tls_cert_file: Path | None = Field(None, description="Server certificate chain, PEM; enables TLS, with the key.")
    tls_key_file: Path | None = Field(None, description="Server key, PEM.")
    tls_client_ca_file: Path | None = Field(
        None, description="CA that must have signed client certificates, PEM (mTLS)."
    )
    max_message_bytes: int = Field(1 << 20, ge=1 << 10, description="Largest request or response.")
    max_connection_age_seconds: float = Field(
        60.0,
        gt=0,
        description="Connections are closed after this time, so that clients find new replicas; calls continue.",
    )
    threads: int = Field(256, ge=4, description="How many calls are served at once, including calls that wait.")
    slots: int = Field(1, ge=1, description="How many heavy calls run at once; more are refused with RetryInfo.")
    drain_seconds: float = Field(25.0, gt=0, description="How long running calls may take to end after SIGTERM.")
    scratch_dir: Path | None = Field(None, description="Folder for temporary files; the system's by default.")
    sandbox_seconds: float = Field(900.0, gt=0, description="A sandbox without progress is killed after this time.")
    sandbox_memory_bytes: int = Field(4 << 30, ge=64 << 20, description="Memory limit of a sandbox.")
    sandbox_threads: int = Field(0, ge=0, description="Threads of a sandbox; 0 divides the cores by the slots.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @property
    def threads_per_sandbox(self) -> int:
        """Threads of a sandbox: `sandbox_threads`, or an equal share of the cores for each slot."""
        return self.sandbox_threads or max(1, (os.cpu_count() or 1) // self.slots)


class ImportSettings(ServerSettings):
    """Settings that the services which import files share, in addition to those of every service."""

    import_buckets: str = Field(
        "",
        pattern=rf"^({_BUCKET}(,{_BUCKET})*)?$",
        description="Further buckets of the store from which files are imported, separated by commas.",
    )

    @property
    def further_buckets(self) -> list[str]:
        """The names in `import_buckets`."""
        return [name for name in self.import_buckets.split(",") if name]


class ChannelSettings(Settings):
    """Addresses of the services, `host:port` or several `IPv4:port` separated by commas, and TLS files."""

    extractor_address: str = Field("127.0.0.1:50051", description="Address of the extractor.")
    trainer_address: str = Field("127.0.0.1:50052", description="Address of the trainer.")
    converter_address: str = Field("127.0.0.1:50053", description="Address of the converter.")
    ca_file: Path | None = Field(None, description="CA of the services' certificates, PEM; enables TLS.")
    client_cert_file: Path | None = Field(None, description="The client's certificate, PEM (mTLS).")
    client_key_file: Path | None = Field(None, description="The client's key, PEM (mTLS).")


def read(kind: type[S], **overrides: object) -> S:
    """Read settings from the environment.

    Args:
        kind: The class of the settings.
        overrides: Values to use instead of environment variables; None leaves the variable in effect.

    Raises:
        InvalidInput: values are wrong; the error names every wrong variable (SETTINGS).
    """
    try:
        given = {name: value for name, value in overrides.items() if value is not None}
        return kind(**given)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        violations = [
            FieldViolation(prefix + "_".join(str(part) for part in problem["loc"]).upper(), problem["msg"])
            for problem in error.errors()
        ]
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidInput(
            f"Wrong settings: {listed}. Correct these variables, or the options that override them.",
            reason="SETTINGS",
            violations=violations,
        ) from error
