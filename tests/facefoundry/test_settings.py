"""Every setting of every process takes what it is for, and refuses all else in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from facefoundry.errors import InvalidInput
from facefoundry.rpc.channel import open_channel
from facefoundry.settings import ChannelSettings, ServerSettings, Settings, StoreSettings, read

for module in ("extractor", "trainer", "converter", "trainer.backends.local", "trainer.backends.kubernetes"):
    import_module(f"services.{module}.settings")

TEXTS = ("a b", "http://", "a/b/../ c", "a\nb", "\u00e9 \u2028", "user@host:1 ", ":", "host:port:", "[::1")
NUMBERS = ("many", "1 2", "-1", "0x", "1e400", "nan", "inf", "-inf", "1" + "0" * 30)
FREE = {
    "FACEFOUNDRY_BACKEND",  # compared with the installed backends, which another test shows
    "FACEFOUNDRY_WORKER_TERMINATION_LOG",  # skipped if it cannot be written
}


def kinds(base: type[Settings] = Settings) -> Iterator[type[Settings]]:
    for kind in base.__subclasses__():
        if not kind.__module__.startswith(("facefoundry.", "services.")):
            continue
        yield kind
        yield from kinds(kind)


def wrong_values(default: object, annotation: object) -> Sequence[str]:
    if isinstance(default, bool):
        return ("maybe", "2", "1.5", "a b")
    if isinstance(default, int):
        return (*NUMBERS, "1.5")
    if isinstance(default, float):
        return NUMBERS
    if isinstance(default, SecretStr):
        return ("a\nb", " a", "a\t")
    if "Folder" in str(annotation):
        return ("/dev/null", "/dev/null/folder")
    return ("/no/such/file", "/") if "File" in str(annotation) else TEXTS


def cases() -> Iterator[Any]:
    for kind in dict.fromkeys(kinds()):
        for name, field in kind.model_fields.items():
            variable = f"{kind.model_config['env_prefix']}{name.upper()}"
            if name not in kind.__annotations__ or variable in FREE:
                continue
            annotation = kind.__annotations__[name]
            for value in wrong_values(field.default, annotation):
                yield pytest.param(kind, variable, value, id=f"{variable}={value[:12]!r}")


@pytest.mark.parametrize(("kind", "variable", "value"), cases())
def test_a_wrong_value_is_refused_by_name_and_form(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput) as caught:
        read(kind)
    assert caught.value.reason == "SETTINGS" and "\n" not in caught.value.message
    assert [violation.field for violation in caught.value.violations] == [variable]
    assert f"{variable} must " in caught.value.message


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFOUNDRY_STORE_SECRET_KEY", "much too secret\n")
    with pytest.raises(InvalidInput, match="FACEFOUNDRY_STORE_SECRET_KEY") as caught:
        read(StoreSettings)
    assert "secret" not in caught.value.message.replace("FACEFOUNDRY_STORE_SECRET_KEY", "")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLOTS", "LISTEN", "SCRATCH_DIR", "TLS_CERT_FILE"):
        monkeypatch.setenv(f"FACEFOUNDRY_{name}", "")
    assert read(ServerSettings) == ServerSettings()


@pytest.mark.parametrize(("slots", "given", "threads"), [(1, 0, 8), (3, 0, 2), (16, 0, 1), (16, 4, 4)])
def test_children_share_the_cores(monkeypatch, slots, given, threads):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert read(ServerSettings, slots=slots, sandbox_threads=given).threads_per_sandbox == threads


@pytest.mark.parametrize(
    ("endpoint", "secure", "expected"),
    [
        ("127.0.0.1:9000", None, ("127.0.0.1:9000", False)),
        ("http://127.0.0.1:9000", None, ("127.0.0.1:9000", False)),
        ("https://s3.example.org/", None, ("s3.example.org", True)),
        ("https://s3.example.org", "true", ("s3.example.org", True)),
        ("s3.example.org", "1", ("s3.example.org", True)),
        ("http://[::1]:9000", "false", ("[::1]:9000", False)),
    ],
)
def test_the_scheme_of_the_endpoint_says_whether_to_use_tls(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, secure: str | None, expected: tuple[str, bool]
) -> None:
    monkeypatch.setenv("FACEFOUNDRY_STORE_ENDPOINT", endpoint)
    if secure:
        monkeypatch.setenv("FACEFOUNDRY_STORE_SECURE", secure)
    settings = read(StoreSettings)
    assert (settings.endpoint, settings.secure) == expected


@pytest.mark.parametrize(
    "endpoint", ["host/bucket", "host:port", "host:99999", "ftp://host", "https://host/bucket", "https://host:x"]
)
def test_an_endpoint_of_another_form_is_refused(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("FACEFOUNDRY_STORE_ENDPOINT", endpoint)
    with pytest.raises(InvalidInput, match=r"FACEFOUNDRY_STORE_ENDPOINT must have the form host\[:port\]"):
        read(StoreSettings)


@pytest.mark.parametrize(("endpoint", "secure"), [("http://host", "true"), ("https://host", "false")])
def test_a_scheme_that_contradicts_the_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, secure: str
) -> None:
    monkeypatch.setenv("FACEFOUNDRY_STORE_ENDPOINT", endpoint)
    monkeypatch.setenv("FACEFOUNDRY_STORE_SECURE", secure)
    with pytest.raises(InvalidInput, match="not contradict FACEFOUNDRY_STORE_SECURE"):
        read(StoreSettings)


@pytest.mark.parametrize(
    "address",
    ["h:1", "10.0.0.1:1,10.0.0.2:1", "[::1]:50051", "http://h:1", "https://h", "dns:///h:1", "unix:/run/extractor"],
)
def test_addresses_of_services_have_these_forms(address: str) -> None:
    settings = read(ChannelSettings, extractor_address=address)
    open_channel(settings.extractor_address, settings).close()


def test_an_address_without_tls_contradicts_a_ca_file(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("")
    with pytest.raises(InvalidInput, match="FACEFOUNDRY_CA_FILE") as caught:
        open_channel("http://host:1", read(ChannelSettings, ca_file=file))
    assert caught.value.reason == "TLS"


def test_secrets_are_masked() -> None:
    assert "hidden" not in repr(read(StoreSettings, secret_key=SecretStr("hidden")))


PROCESSES = {
    "extractor": ["services.extractor"],
    "trainer": ["services.trainer"],
    "converter": ["services.converter"],
    "worker": ["services.trainer.worker", "s3://facefoundry/trainings/0/attempt.json"],
    "command": ["facefoundry", "status"],
    "local": ["facefoundry", "local"],
}


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_ends_with_one_sentence_and_code_2(process: str, tmp_path: Path) -> None:
    bad = {"FACEFOUNDRY_EXTRACTOR_ADDRESS": "host:port"} if process == "command" else {"FACEFOUNDRY_SLOTS": "many"}
    if process == "worker":
        bad = {"FACEFOUNDRY_WORKER_THREADS": "many"}
    variable = next(iter(bad))
    environment = (
        os.environ
        | bad
        | {
            "FACEFOUNDRY_LOCAL_DIR": str(tmp_path / "local"),
            "FACEFOUNDRY_WORKER_TERMINATION_LOG": str(tmp_path / "report"),
        }
    )
    command = [sys.executable, "-m", *PROCESSES[process]]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert variable in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    if process == "worker":
        assert '"SETTINGS"' in (tmp_path / "report").read_text()
