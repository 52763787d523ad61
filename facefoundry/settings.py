"""The settings that services and commands share, read from environment variables.

The variable of a field is `FACEFOUNDRY_<FIELD>`, or `FACEFOUNDRY_STORE_<FIELD>` for the object store. A command-line
option overrides the variable. An empty variable counts as not set. Each service adds settings in
`services/<name>/settings.py`.

A field's type says which values it takes. `read` refuses all others, and names the variable and the expected form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from facefoundry.errors import FieldViolation, InvalidInput

__all__ = [
    "MAX_SECONDS",
    "ChannelSettings",
    "File",
    "Folder",
    "ImportSettings",
    "LogLevel",
    "Settings",
    "ServerSettings",
    "StoreSettings",
    "TransferSettings",
    "matching",
    "read",
]

_BUCKET = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_HOST = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?)"
_PORT = r":(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]?\d{1,4})"
_GRPC_TARGET = r"(dns|ipv4|ipv6|unix|unix-abstract|xds|vsock):\S+"
_SHOWN_CHARACTERS = 200

MAX_SECONDS = 366 * 24 * 3600
"""Upper limit of durations, seconds: much longer ones overflow in timers."""

S = TypeVar("S", bound="Settings")


def matching(pattern: str, form: str) -> AfterValidator:
    """Return the validator of a text that must match a pattern as a whole.

    Args:
        pattern: Regular expression.
        form: The form that an error states, such as `host:port`.
    """

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must have the form {form}")
        return text

    return AfterValidator(check)


def _existing(is_kind: Callable[[Path], bool], kind: str) -> AfterValidator:
    def check(path: Path) -> Path:
        if "\0" in str(path) or not is_kind(path):
            raise ValueError(f"must be the path of {kind}")
        return path

    return AfterValidator(check)


def _can_be_made(path: Path) -> bool:
    return not path.exists() and next(parent for parent in path.absolute().parents if parent.exists()).is_dir()


File: TypeAlias = Annotated[Path, _existing(Path.is_file, "a file that exists")]
"""A file that is read."""

Folder: TypeAlias = Annotated[
    Path, _existing(lambda path: path.is_dir() or _can_be_made(path), "a folder, or a path at which to make one")
]
"""A folder for files that are written. It is made if it does not exist."""

LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_Bucket: TypeAlias = Annotated[str, matching(_BUCKET, "of a bucket's name: 3 to 63 of a-z, 0-9, . and -")]
_Endpoint: TypeAlias = Annotated[
    str,
    matching(f"{_HOST}({_PORT})?", "host[:port] or http(s)://host[:port], and not contradict FACEFOUNDRY_STORE_SECURE"),
]
_PublicEndpoint: TypeAlias = Annotated[str, matching(f"(https?://{_HOST}({_PORT})?)?", "http(s)://host[:port]")]
_Listen: TypeAlias = Annotated[str, matching(f"{_HOST}{_PORT}|unix:\\S+", "host:port")]
_ListenOrNone: TypeAlias = Annotated[str, matching(f"({_HOST}{_PORT})?", "host:port")]
_Address: TypeAlias = Annotated[
    str,
    matching(
        rf"{_HOST}{_PORT}(,{_HOST}{_PORT})*|https?://{_HOST}({_PORT})?|{_GRPC_TARGET}",
        "host:port, several IPv4:port separated by commas, http(s)://host[:port], or of a gRPC target",
    ),
]
_AccessKey: TypeAlias = Annotated[
    SecretStr, AfterValidator(lambda key: _without_spaces(key))  # it is sent in a header of one line
]
_SecretKey: TypeAlias = Annotated[SecretStr, AfterValidator(lambda key: _of_one_line(key))]


def _without_spaces(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]*", key.get_secret_value()):
        raise ValueError("must be printable ASCII characters without spaces")
    return key


def _of_one_line(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if text != text.strip() or not all(character.isprintable() for character in text):
        raise ValueError("must be printable characters, with no space at the beginning or the end")
    return key


class Settings(BaseSettings):
    """Base class of all settings. Settings cannot be changed once read."""

    model_config = SettingsConfigDict(
        env_prefix="FACEFOUNDRY_", frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False
    )


class TransferSettings(Settings):
    """What a client needs to send and fetch files by URLs of the object store. It needs no keys."""

    model_config = SettingsConfigDict(env_prefix="FACEFOUNDRY_STORE_")

    ca_file: File | None = Field(None, description="CA certificates for the store, PEM; the system's by default.")
    timeout_seconds: float = Field(
        60.0, gt=0, le=MAX_SECONDS, description="How long to wait for a response, or for its next block."
    )
    retry_seconds: float = Field(
        300.0,
        ge=0,
        le=MAX_SECONDS,
        description="How long commands, transfers and training workers repeat a request while the store, or a service, "
        "does not answer.",
    )
    max_source_bytes: int = Field(
        8 << 30, ge=1, le=1 << 62, description="Largest clip that a client uploads; services have their own limits."
    )


class StoreSettings(TransferSettings):
    """Address, credentials and limits of the object store."""

    endpoint: _Endpoint = Field(
        "127.0.0.1:9000",
        description="Address of the S3 server, `host[:port]`. With `http://` or `https://` before it, the scheme also "
        "determines FACEFOUNDRY_STORE_SECURE.",
    )
    access_key: _AccessKey = Field(SecretStr(""), description="S3 access key.")
    secret_key: _SecretKey = Field(SecretStr(""), description="S3 secret key.")
    secure: bool = Field(False, description="Use TLS to the store.")
    region: Annotated[str, matching("[A-Za-z0-9_-]{1,64}", "of a region's name: a-z, 0-9, - and _")] = Field(
        "us-east-1", description="S3 region."
    )
    bucket: _Bucket = Field("facefoundry", description="Bucket for all objects.")
    attempts: int = Field(
        5, ge=1, le=1000, description="How often a request is sent before the store counts as unavailable."
    )
    public_endpoint: _PublicEndpoint = Field(
        "",
        description="Address of the S3 server in URLs for clients, `http(s)://host[:port]`; FACEFOUNDRY_STORE_ENDPOINT "
        "by default.",
    )
    signer_access_key: _AccessKey = Field(
        SecretStr(""),
        description="S3 access key of the account that signs these URLs; FACEFOUNDRY_STORE_ACCESS_KEY by default.",
    )
    signer_secret_key: _SecretKey = Field(SecretStr(""), description="S3 secret key of the account that signs URLs.")
    url_seconds: int = Field(3600, ge=1, le=604_800, description="How long URLs for clients are valid.")

    @property
    def has_keys(self) -> bool:
        """Whether keys of the store are set."""
        return bool(self.access_key.get_secret_value())

    @model_validator(mode="before")
    @classmethod
    def _take_scheme(cls, values: dict[str, object]) -> dict[str, object]:
        """Move the scheme of the endpoint to `secure`; one that contradicts `secure` stays, and is refused there."""
        scheme, separator, address = str(values.get("endpoint", "")).partition("://")
        if not separator or scheme not in ("http", "https"):
            return values
        secure = scheme == "https"
        try:
            given = TypeAdapter(bool).validate_python(values.get("secure", secure))
        except ValidationError:
            given = secure  # the field's own validation refuses it
        if given != secure:
            return values
        return {"secure": secure, **values, "endpoint": address.removesuffix("/")}

    @field_validator("signer_secret_key")
    @classmethod
    def _both_keys_or_none(cls, secret_key: SecretStr, info: ValidationInfo) -> SecretStr:
        access_key = info.data.get("signer_access_key", SecretStr(""))
        if bool(secret_key.get_secret_value()) != bool(access_key.get_secret_value()):
            raise ValueError("needs FACEFOUNDRY_STORE_SIGNER_ACCESS_KEY, and the other way round")
        return secret_key


class ServerSettings(Settings):
    """Settings that all gRPC services share."""

    listen: _Listen = Field("0.0.0.0:50051", description="Address of the gRPC server.")
    health_listen: _ListenOrNone = Field(
        "", description="Additional plaintext address that serves only health, for probes; empty for none."
    )
    metrics_listen: _ListenOrNone = Field("", description="Address of the Prometheus metrics; empty for none.")
    reflection: bool = Field(True, description="Serve gRPC reflection.")
    tls_cert_file: File | None = Field(None, description="Server certificate chain, PEM; enables TLS, with the key.")
    tls_key_file: File | None = Field(None, description="Server key, PEM.")
    tls_client_ca_file: File | None = Field(
        None, description="CA that must have signed client certificates, PEM (mTLS)."
    )
    max_message_bytes: int = Field(1 << 20, ge=1 << 10, le=(1 << 31) - 1, description="Largest request or response.")
    max_connection_age_seconds: float = Field(
        60.0,
        gt=0,
        le=24 * 24 * 3600,
        description="Connections are closed after this time, so that clients find new replicas; calls continue.",
    )
    threads: int = Field(
        256,
        ge=4,
        le=1 << 16,
        description="How many calls are served at once. A trainer also serves twice as many watches, this many of one "
        "host. GetInfo, GetTraining and CancelTraining have places of their own.",
    )
    slots: int = Field(
        1, ge=1, le=1 << 16, description="How many heavy calls run at once; more are refused with RetryInfo."
    )
    drain_seconds: float = Field(
        25.0, gt=0, le=MAX_SECONDS, description="How long running calls may take to end after SIGTERM."
    )
    scratch_dir: Folder | None = Field(None, description="Folder for temporary files; the system's by default.")
    sandbox_seconds: float = Field(
        900.0, gt=0, le=MAX_SECONDS, description="A sandbox without progress is killed after this time."
    )
    sandbox_memory_bytes: int = Field(4 << 30, ge=64 << 20, le=1 << 62, description="Memory limit of a sandbox.")
    sandbox_disk_bytes: int = Field(
        32 << 30,
        ge=1 << 20,
        le=1 << 62,
        description="Limit of the files of a sandbox: each file that it writes, and all files in its folder together.",
    )
    sandbox_processes: int = Field(
        16384,
        ge=0,
        le=1 << 22,
        description="A sandbox can start no thread while the service's user has this many processes and threads on the "
        "machine, in all containers together (RLIMIT_NPROC); 0 for no limit. The kernel does not apply it to root.",
    )
    sandbox_isolation: Literal["off", "available", "required"] = Field(
        "available",
        description="Isolate sandboxes with Landlock and seccomp: `available` uses what the kernel has, `required` "
        "refuses to start without both, `off` uses neither.",
    )
    sandbox_threads: int = Field(
        0, ge=0, le=1 << 16, description="Threads of a sandbox; 0 divides the cores by the slots."
    )
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @property
    def threads_per_sandbox(self) -> int:
        """Threads of a sandbox: `sandbox_threads`, or an equal share of the cores for each slot."""
        return self.sandbox_threads or max(1, (os.cpu_count() or 1) // self.slots)


class ImportSettings(ServerSettings):
    """Settings that the services which import files share, in addition to those of every service."""

    import_buckets: Annotated[
        str, matching(rf"({_BUCKET}(,{_BUCKET})*)?", "of buckets' names, separated by commas")
    ] = Field(
        "",
        description="Further buckets of the store from which files are imported, separated by commas.",
    )

    @property
    def further_buckets(self) -> list[str]:
        """The names in `import_buckets`."""
        return [name for name in self.import_buckets.split(",") if name]


class ChannelSettings(Settings):
    """Addresses of the services, and TLS files.

    An address is `host:port`, several `IPv4:port` separated by commas, or a gRPC target. It may also be a URL:
    `https://host[:port]` is a connection by TLS, `http://host[:port]` one without.
    """

    extractor_address: _Address = Field("127.0.0.1:50051", description="Address of the extractor.")
    trainer_address: _Address = Field("127.0.0.1:50052", description="Address of the trainer.")
    converter_address: _Address = Field("127.0.0.1:50053", description="Address of the converter.")
    ca_file: File | None = Field(None, description="CA of the services' certificates, PEM; enables TLS.")
    client_cert_file: File | None = Field(None, description="The client's certificate, PEM (mTLS).")
    client_key_file: File | None = Field(None, description="The client's key, PEM (mTLS).")


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
        violations = [_violation(kind, problem) for problem in error.errors()]
        listed = "; ".join(f"{violation.field} {violation.description}" for violation in violations)
        raise InvalidInput(
            f"Wrong settings: {listed}. Correct these variables, or the options that override them.",
            reason="SETTINGS",
            violations=violations,
        ) from error


def _violation(kind: type[Settings], problem: ErrorDetails) -> FieldViolation:
    """Describe what a variable must be, and what it is unless that may be secret."""
    name = str(problem["loc"][0])
    description = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    received = str(problem["input"])
    if "@" not in received and not isinstance(kind.model_fields[name].default, SecretStr):
        description += f"; got {received[:_SHOWN_CHARACTERS]!r}"
    return FieldViolation(f"{kind.model_config['env_prefix']}{name.upper()}", description)
