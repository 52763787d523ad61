"""Starts S3 servers of several kinds on this machine, each with accounts of the components where it has accounts."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from facefoundry.errors import FaceFoundryError
from facefoundry.local.process import LOOPBACK, LocalProcess, free_ports
from facefoundry.local.store import Account, ObjectStore, loopback_settings
from facefoundry.settings import StoreSettings
from facefoundry.storage.rights import ACCOUNTS
from facefoundry.storage.store import Store
from tests.waiting import wait_until

TOOLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facefoundry" / "bin"
ROOT = ("facefoundry-root", secrets.token_hex(16))
_SECRETS = {name: secrets.token_hex(16) for name in ACCOUNTS}
_NO_RIGHTS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::none/none"]}],
    }
)


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Attributes:
        settings: Address and the owner's keys; the bucket may not exist.
        accounts: The same with the keys of each account; empty if the server has none.
    """

    settings: StoreSettings
    accounts: dict[str, StoreSettings]


@dataclass(frozen=True)
class Kind:
    """A kind of server.

    Attributes:
        name: Its name.
        title: What is run, for people.
        program: The file that runs it; it may be missing.
        start: Starts it in a folder and at an address of this machine, while the context is open.
    """

    name: str
    title: str
    program: Path
    start: Callable[[Path, Path, str], Iterator[Running]]

    @contextmanager
    def running(self, folder: Path, host: str = LOOPBACK) -> Iterator[Running]:
        """Run it in a folder and at an address of this machine, while the context is open."""
        folder.mkdir(parents=True)
        yield from self.start(self.program, folder, host)


def _of_accounts(settings: StoreSettings) -> dict[str, StoreSettings]:
    return {
        name: settings.model_copy(update={"access_key": SecretStr(name), "secret_key": SecretStr(secret)})
        for name, secret in _SECRETS.items()
    }


def _seaweedfs(_: Path, folder: Path, host: str) -> Iterator[Running]:
    assert host == LOOPBACK, "the local stack's store listens nowhere else"
    accounts = [Account(name, secret, _NO_RIGHTS) for name, secret in _SECRETS.items()]
    with ObjectStore(folder, accounts=accounts, credentials=ROOT) as settings:
        yield Running(settings, _of_accounts(settings))


def _minio(program: Path, folder: Path, host: str) -> Iterator[Running]:
    ports = free_ports(2)
    command = ["server", str(folder / "data"), "--address", f"{host}:{ports[0]}"]
    command += ["--console-address", f"{host}:{ports[1]}"]
    environment = {"MINIO_ROOT_USER": ROOT[0], "MINIO_ROOT_PASSWORD": ROOT[1], "MINIO_BROWSER": "off"}
    with _process("minio", [str(program), *command], folder, environment):
        settings = _ready(host, ports[0])
        yield Running(settings, _of_accounts(settings))


def _versitygw(program: Path, folder: Path, host: str) -> Iterator[Running]:
    data, accounts, versions = (folder / name for name in ("data", "accounts", "versions"))
    for path in (data, accounts, versions):
        path.mkdir()
    (port,) = free_ports(1)
    command = ["--port", f"{host}:{port}", "--quiet", "--iam-dir", str(accounts)]
    command += ["posix", "--versioning-dir", str(versions), str(data)]
    environment = {"ROOT_ACCESS_KEY": ROOT[0], "ROOT_SECRET_KEY": ROOT[1]}
    with _process("versitygw", [str(program), *command], folder, environment):
        settings = _ready(host, port)
        admin = [str(program), "admin", "--access", ROOT[0], "--secret", ROOT[1]]
        admin += ["--endpoint-url", f"http://{settings.endpoint}", "create-user", "--role", "user"]
        for name, secret in _SECRETS.items():
            subprocess.run([*admin, "--access", name, "--secret", secret], check=True, capture_output=True)
        yield Running(settings, _of_accounts(settings))


def _garage(program: Path, folder: Path, host: str) -> Iterator[Running]:
    s3, rpc, admin = free_ports(3)
    configuration = folder / "garage.toml"
    configuration.write_text(
        f'metadata_dir = "{folder}/meta"\ndata_dir = "{folder}/data"\ndb_engine = "sqlite"\nreplication_factor = 1\n'
        f'rpc_bind_addr = "{host}:{rpc}"\nrpc_public_addr = "{host}:{rpc}"\n'
        f'rpc_secret = "{secrets.token_hex(32)}"\n[s3_api]\ns3_region = "garage"\n'
        f'api_bind_addr = "{host}:{s3}"\n[admin]\napi_bind_addr = "{host}:{admin}"\n'
    )
    garage = [str(program), "-c", str(configuration)]

    def do(*arguments: str) -> str:
        done = subprocess.run([*garage, *arguments], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    with _process("garage", [*garage, "server"], folder, {}):
        node = wait_until(lambda: do("node", "id", "-q").partition("@")[0])
        wait_until(lambda: do("layout", "assign", "-z", "z", "-c", "10G", node), every=0.2)
        do("layout", "apply", "--version", "1")
        access_key, secret_key = f"GK{secrets.token_hex(12)}", secrets.token_hex(32)
        wait_until(lambda: do("key", "import", "--yes", "-n", "owner", access_key, secret_key), every=0.2)
        do("key", "allow", "--create-bucket", access_key)
        settings = loopback_settings(f"{host}:{s3}", access_key, secret_key, "facefoundry")
        yield Running(settings.model_copy(update={"region": "garage"}), {})


@contextmanager
def _process(name: str, command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[LocalProcess]:
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    process = LocalProcess(name, command, folder=folder, environment=variables, log=folder / f"{name}.log")
    try:
        yield process
    finally:
        process.terminate()
        process.stop(10.0)


def _ready(host: str, port: int) -> StoreSettings:
    """Return the settings of a server once it answers."""
    settings = loopback_settings(f"{host}:{port}", *ROOT, "facefoundry")

    def answers() -> bool:
        try:
            Store(settings.model_copy(update={"attempts": 1})).make_bucket()
        except FaceFoundryError:
            return False
        return True

    wait_until(answers, 60.0, every=0.1)
    return settings


KINDS = {
    kind.name: kind
    for kind in (
        Kind("seaweedfs", "SeaweedFS 4.48", Path(os.sep), _seaweedfs),
        Kind("minio", "MinIO 2026-02-12", TOOLS / "minio-20260212", _minio),
        Kind("versitygw", "VersityGW 1.8.0", TOOLS / "versitygw-1.8.0", _versitygw),
        Kind("garage", "Garage 2.5.0", TOOLS / "garage-2.5.0", _garage),
    )
}
"""The servers by the name that `facefoundry bucket setup --server` knows."""
