"""`facefoundry bucket` on a real store: accounts with exactly their rights, rules, and what the server does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from facefoundry.cli.main import main
from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings
from facefoundry.storage import document, keys, manifest, rights
from facefoundry.storage.access import USES
from facefoundry.storage.probe import QUESTIONS, Answer
from facefoundry.storage.servers import SERVERS, prepare
from facefoundry.storage.store import Store
from tests.faults.proxied_store import half_visible
from tests.faults.proxy import Proxy
from tests.processes import environment_of
from tests.stores.env_file import env_file
from tests.stores.servers import KINDS


def bucket(settings: StoreSettings, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `facefoundry bucket` with the keys of the owner."""
    command = [sys.executable, "-m", "facefoundry", "bucket", *map(str, arguments)]
    return subprocess.run(command, env=environment_of(settings), capture_output=True, text=True, check=False)


def test_rules_that_the_server_holds_are_set_and_setting_them_again_does_no_harm(store):
    for _ in range(2):
        report = prepare(store.settings, SERVERS["seaweedfs"], {}, versions=True)
        assert not report.missing and not report.access
        assert [line for line in report.done if "old-versions-of-runs" in line]


def test_only_aws_must_be_told_how_it_names_accounts(store):
    with pytest.raises(InvalidInput, match="--principal"):
        prepare(store.settings, SERVERS["aws"], {"client": store.settings})


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("other.env", "", "trainer.env"),
        ("client.env", "KEY=x", "line 1"),
        ("client.env", "FACEFOUNDRY_STORE_ACCESS_KEY=x", "FACEFOUNDRY_STORE_SECRET_KEY"),
    ],
)
def test_a_wrong_file_of_an_account_is_named(tmp_path, capsys, name, text, expected):
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["bucket", "setup", "--server", "generic", "--accounts", str(tmp_path)])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert expected in printed.err and str(tmp_path) in printed.err


@pytest.mark.full
def test_accounts_get_exactly_their_rights_and_the_command_fails_if_they_do_not(tmp_path):
    with KINDS["seaweedfs"].running(tmp_path / "store") as server:
        for name, account in server.accounts.items():
            env_file(tmp_path / "accounts" / f"{name}.env", account, "access_key", "secret_key")
        command = ("setup", "--server", "seaweedfs", "--accounts", tmp_path / "accounts")
        nobody = bucket(server.settings, *command, "--principal", "arn:aws:iam::000000000000:user/nobody-{account}")
        assert nobody.returncode == 1 and "Cannot be had: rights" in nobody.stdout
        assert "Not as meant: worker may not write models/." in nobody.stdout
        done = bucket(server.settings, *command)
        assert done.returncode == 0 and "Not as meant" not in done.stdout, done.stdout + done.stderr
        rows = {
            line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.split()[0] in rights.ACCOUNTS
        }
        for name, cells in rows.items():
            allow = rights.ACCOUNTS[name].allow
            key = "{}/access-check/object".format
            assert cells == ["".join(use[0] if allow(use, key(kind)) else "-" for use in USES) for kind in keys.CLASSES]
        assert not list(Store(server.settings).list("")), "nothing is left of the attempts"


@pytest.mark.full
def test_the_probe_finds_no_fault_of_the_local_store_and_leaves_nothing(store):
    done = bucket(store.settings, "probe")
    assert done.returncode == 0 and "fault" not in done.stdout, done.stdout
    assert [line[:42].rstrip() for line in done.stdout.splitlines()] == list(QUESTIONS)
    assert not list(store.list(""))


@pytest.mark.parametrize(("kind", "code"), [("generic", 1), ("seaweedfs", 0)])
def test_a_server_of_no_known_kind_is_probed_once_it_is_set_up(store, monkeypatch, capsys, kind, code):
    answers = {"If-None-Match: * on an existing key": Answer("ok", "412"), "a wrong region": Answer("fault", "silence")}
    monkeypatch.setattr("facefoundry.cli.bucket.probe", lambda _: answers.items())
    for name, value in environment_of(store.settings).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["bucket", "setup", "--server", kind])
    printed = capsys.readouterr().out
    assert (ended.value.code or 0) == code
    assert ("a wrong region" in printed and "fault: silence" in printed) == bool(code)


def test_a_copy_that_is_killed_continues(store, new_store, tmp_path):
    parts = tuple(
        manifest.put_part(store, "models/" + "0" * 40 + "/1", f"w{number}.tar", os.urandom(1000)) for number in range(9)
    )
    made = manifest.Manifest("model", {}, {}, parts, {}, "0" * 64)
    manifest.commit(store, "models/" + "0" * 40 + "/1", made)
    document.put(store, "runs/a/run.json", b"{}")
    target = new_store()
    with Proxy(target.settings.endpoint) as proxy:
        through = target.settings.model_copy(update={"endpoint": proxy.endpoint})
        files = [env_file(tmp_path / "from.env", store.settings), env_file(tmp_path / "to.env", through)]
        command = [sys.executable, "-m", "facefoundry", "bucket", "copy", *map(str, files), "--parallel", "1"]
        with proxy.hold("PUT", "/w4-") as arrived:
            process = subprocess.Popen(command, env=environment_of(store.settings))
            assert arrived.wait(60)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert half_visible(target) == [] and len(list(target.list(""))) == 4
        done = bucket(store.settings, "copy", *files)
    # The part that was held may have arrived after all.
    match = re.search(r"11 of 11 objects.*: [67] copied and verified, [45] found", done.stdout)
    assert done.returncode == 0 and match, done.stdout + done.stderr
    assert {key: target.get_bytes(key) for key in target.list("")} == {
        key: store.get_bytes(key) for key in store.list("")
    }


def test_a_bucket_is_not_copied_onto_itself(store, tmp_path, capsys):
    files = [str(env_file(tmp_path / name, store.settings)) for name in ("from.env", "to.env")]
    with pytest.raises(SystemExit) as ended:
        main(["bucket", "copy", *files])
    assert ended.value.code == 2 and "same bucket" in capsys.readouterr().err


def test_what_is_newer_in_the_other_bucket_is_replaced_only_if_asked_for(store, new_store, tmp_path, capsys):
    target, key = new_store(), "runs/a/run.json"
    document.put(store, key, b"{}")
    document.put(target, key, b"[]")
    while target.objects(key)[0].modified <= store.objects(key)[0].modified:  # times may be whole seconds
        document.put(target, key, b"[]")
    files = [str(env_file(tmp_path / f"{number}.env", each.settings)) for number, each in enumerate((store, target))]
    with pytest.raises(SystemExit) as ended:
        main(["bucket", "copy", *files])
    assert ended.value.code and "TARGET_NEWER" in (printed := capsys.readouterr().err) and key in printed
    assert target.get_bytes(key) == b"[]"
    with pytest.raises(SystemExit) as ended:
        main(["bucket", "copy", *files, "--overwrite"])
    assert not ended.value.code and target.get_bytes(key) == b"{}"
