"""`python -m tests.stores.refusals`: how long a refusal of the store takes to be told, and by how many requests.

A proxy in front of a real store answers every request with one of S3's refusals. The command, a training worker and a
service each meet it: the table has their exit codes, seconds from the first request on, and requests. The command and
the service ask twice, because the answer to HEAD does not say why. All three must say the same sentence.
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

from facefoundry.client import Client
from facefoundry.local.store import ObjectStore
from facefoundry.storage.store import Store
from tests.faults.processes import client_of
from tests.faults.proxy import Fault, Proxy, Request
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
_SENTENCE = re.compile(r"The store at \S+ (?:refused|denied) .*")
_VARYING = re.compile(r"'[^']*'|\b[0-9]+(?= s from)")


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
    wrong = False
    with (
        tempfile.TemporaryDirectory(prefix="refusals-") as name,
        ObjectStore(Path(name) / "store") as settings,
        Proxy(settings.endpoint) as proxy,
    ):
        through = settings.model_copy(update={"endpoint": proxy.endpoint})
        environment = environment_of(through, scratch_dir=Path(name))
        service = Service("extractor", environment, Path(name))
        service.ready().close()
        print(f"{'refusal':<42}{'command':<20}{'worker':<20}service")
        with client_of(5.0, extractor=service) as client:
            for refusal in REFUSALS:
                ends = [
                    _met(proxy, refusal, use)
                    for use in (
                        lambda: _run(["facefoundry", "bucket", "probe"], environment),
                        lambda: _run(["services.trainer.worker", _attempt(Store(through))], environment),
                        lambda: _ask(client),
                    )
                ]
                print(f"{refusal.status} {refusal.code:<36}" + "   ".join(map(str, ends)))
                sentences = {each.sentence for each in ends}
                wrong |= any(each.seconds > SECONDS for each in ends) or len(sentences) > 1
                print(*(f"    {sentence}" for sentence in sorted(sentences)), sep="\n", flush=True)
        service.kill()
    sys.exit(wrong)


def _attempt(store: Store) -> str:
    return f"{store.uri('trainings')}/{'0' * 40}/attempt.json"


def _met(proxy: Proxy, refusal: Fault, use: Callable[[], tuple[int, str]]) -> Told:
    times: list[float] = []

    def rule(_: Request) -> Fault:
        times.append(time.monotonic())
        return refusal

    proxy.rule = rule
    code, printed = use()
    seconds = time.monotonic() - times[0]
    match = _SENTENCE.search(printed)
    return Told(
        code, seconds, len(times), _VARYING.sub("...", match[0].split(" [")[0].rstrip('"}')) if match else printed
    )


def _run(module: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a module of ours; return its exit code and what it printed."""
    variables = {**environment, "FACEFOUNDRY_WORKER_TERMINATION_LOG": os.devnull}
    done = subprocess.run(
        [sys.executable, "-m", *module], env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def _ask(client: Client) -> tuple[int, str]:
    return 0, client.info("extractor").store.detail


if __name__ == "__main__":
    main()
