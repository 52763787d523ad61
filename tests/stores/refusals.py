"""`python -m tests.stores.refusals`: how long a refusal of the store takes to be told, and by how many requests.

A proxy in front of a real store answers every request with one of S3's refusals; then a server of TLS stands there,
whose certificate must not be trusted. `bucket probe`, a training worker, a service, `status` and a run each meet them,
and `status` meets the certificates at the services too: the table has their exit codes, seconds from the first request
on, and requests or connections. Where the answer to HEAD does not say why, the command and the service ask once more,
and `status` asks three services. All that ask the store must say the same sentence.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from facefoundry.client import SERVICES, Client
from facefoundry.local.store import ObjectStore
from facefoundry.settings import StoreSettings
from tests import tiny
from tests.certificates import REFUSED, Authority
from tests.clips import write_pair
from tests.faults.processes import client_of
from tests.faults.proxy import Fault, Proxy, Request
from tests.listener import Listener, cutting, presenting
from tests.processes import Service, environment_of

SECONDS = 2.0
"""Within which a refusal is told."""

CLOCK = "Mon, 06 Jul 2020 10:00:00 GMT"
REFUSALS = (
    Fault(status=403, code="RequestTimeTooSkewed"),
    Fault(status=403, code="AccessDenied", date=CLOCK),
    Fault(status=400, code="AuthorizationHeaderMalformed"),
    Fault(status=301, code="PermanentRedirect"),
    Fault(status=307, code="TemporaryRedirect"),
    Fault(status=400, code="IllegalLocationConstraintException"),
    Fault(status=400, code="ExpiredToken"),
    Fault(status=400, code="InvalidToken"),
    Fault(status=403, code="SignatureDoesNotMatch"),
    Fault(status=405, code="MethodNotAllowed"),
    Fault(status=501, code="NotImplemented"),
    Fault(status=400, code="EntityTooLarge"),
    Fault(status=418, code="Unheard"),
)
_SENTENCE = re.compile(r"The (?:store|service) at \S+ (?:refused|denied|has no certificate) .*")
_VARYING = re.compile(r"'[^']*'|\b[0-9]+(?= s from)|_ssl\.c:[0-9]+|ssl_transport_security\S+")
_END = re.compile(r" \[[A-Z_]+\]")
_PROBE = ["facefoundry", "bucket", "probe"]
_WORKER = "services.trainer.worker"
_COLUMNS = "".join(f"{name:<20}" for name in ("bucket probe", "worker", "service", "status", "run")).rstrip()

Use = Callable[[], tuple[int, str]]


@dataclass(frozen=True)
class Told:
    """How a refusal was told: exit code, seconds, requests, and the sentence without key and seconds."""

    code: int
    seconds: float
    requests: int
    sentence: str

    def __str__(self) -> str:
        return f"exit {self.code:>2} {self.seconds:>4.1f} s {self.requests}"


def main() -> None:
    """Print a row for each refusal; end with 1 if one takes longer than two seconds, or is told in two ways."""
    with tempfile.TemporaryDirectory(prefix="refusals-") as name, ObjectStore(Path(name) / "store") as settings:
        (Path(name) / "clips").mkdir()
        write_pair(Path(name) / "clips")
        rows = [*_refusals(settings, Path(name)), *_certificates(settings, Path(name))]
    sys.exit(any(rows))


def _refusals(settings: StoreSettings, folder: Path) -> list[bool]:
    """Print a row for each refusal of S3; return which are wrong."""
    with Proxy(settings.endpoint) as proxy:
        through = settings.model_copy(update={"endpoint": proxy.endpoint})
        environment = environment_of(through, scratch_dir=folder)
        service = Service("extractor", environment, folder)
        service.ready().close()
        wrong = []
        print(f"{'refusal':<42}{_COLUMNS}")
        with client_of(5.0, extractor=service) as client:
            for refusal in REFUSALS:
                times: list[float] = []

                def rule(_: Request, refusal: Fault = refusal, times: list[float] = times) -> Fault:
                    times.append(time.monotonic())
                    return refusal

                proxy.rule = rule
                ends = [_met(times, use) for use in _uses(through, environment, client, service.address, folder)]
                wrong.append(_print(f"{refusal.status} {refusal.code}", ends))
        service.kill()
    return wrong


def _certificates(settings: StoreSettings, folder: Path) -> list[bool]:
    """Print a row for each certificate that must not be trusted; return which are wrong."""
    authority = Authority(folder, "authority")
    with Listener(cutting) as listener:
        through = settings.model_copy(update={"endpoint": listener.endpoint, "secure": True})
        environment = environment_of(through, scratch_dir=folder, store_secure=True, store_ca_file=authority.file)
        service = Service("extractor", environment, folder)
        service.ready().close()
        addresses = {f"{each}_address": listener.endpoint for each in ("extractor", "trainer", "converter")}
        calling = environment_of(settings, ca_file=authority.file, **addresses)
        wrong = []
        print(f"{'certificate':<42}{_COLUMNS:<100}status at services")
        with client_of(5.0, extractor=service) as client:
            for kind in REFUSED:
                listener.handle = presenting(authority.refused(kind))
                ends = [
                    _met(listener.times, use) for use in _uses(through, environment, client, service.address, folder)
                ]
                called = _met(listener.times, lambda: _run(["facefoundry", "status"], calling))
                wrong.append(_print(kind, ends, called))
        service.kill()
    return wrong


def _uses(
    store: StoreSettings, environment: Mapping[str, str], client: Client, service: str, folder: Path
) -> list[Use]:
    """Return what asks the store, in the order of `_COLUMNS`. One service stands for all three: a trainer also asks
    by itself, which would be counted.
    """
    attempt = f"s3://{store.bucket}/trainings/{'0' * 40}/attempt.json"
    addresses = [item for name in SERVICES for item in (f"--{name}", service)]
    making = ["generate-models", "-i", str(folder / "clips"), "-o", str(folder / "out"), *tiny.flags()]
    return [
        lambda: _run(_PROBE, environment),
        lambda: _run([_WORKER, attempt], environment),
        lambda: (0, client.info("extractor").store.detail),
        lambda: _run(["facefoundry", "status", *addresses], environment),
        lambda: _run(["facefoundry", *making, *addresses], environment),
    ]


def _met(times: list[float], use: Use) -> Told:
    """Return how what asks told the refusal; `times` are those of its requests."""
    times.clear()
    code, printed = use()
    seconds = time.monotonic() - times[0]
    match = _SENTENCE.search(printed)
    sentence = _VARYING.sub("...", _END.split(match[0])[0].rstrip('"} ')) if match else printed
    return Told(code, seconds, len(times), sentence)


def _print(name: str, ends: list[Told], *more: Told) -> bool:
    """Print a row and its sentences; return whether it is wrong. Those of `ends` must say the same."""
    sentences = {each.sentence for each in ends}
    print(f"{name:<42}" + "   ".join(map(str, [*ends, *more])))
    print(
        *(f"    {sentence}" for sentence in sorted(sentences | {each.sentence for each in more})), sep="\n", flush=True
    )
    return len(sentences) > 1 or any(each.seconds > SECONDS for each in [*ends, *more])


def _run(module: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a module of ours; return its exit code and what it printed."""
    variables = {**environment, "FACEFOUNDRY_WORKER_TERMINATION_LOG": os.devnull}
    done = subprocess.run(
        [sys.executable, "-m", *module], env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    main()
