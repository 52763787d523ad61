"""The command `facefoundry local` with real services. It needs the extra `local`."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

from facefoundry.client import SERVICES, Client
from facefoundry.local import local_stack
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from tests.processes import listeners


def variables_of(script: str) -> dict[str, str]:
    """Run a script in a shell that has no settings, and return the settings that it exports."""
    shown = subprocess.check_output(["sh", "-euc", f"{script}\nenv -0"], env={"PATH": os.environ["PATH"]}, text=True)
    pairs = [entry.partition("=") for entry in shown.split("\0")]
    return {name: value for name, _, value in pairs if name.startswith("FACEFOUNDRY_")}


def test_the_local_command_runs_store_and_services_on_loopback_and_prints_where(tmp_path, monkeypatch):
    command = [sys.executable, "-m", "facefoundry", "local", "--local-dir", str(tmp_path / "stack")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        printed = {}
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                break
            name, _, rest = line.partition(" ")
            printed[name] = rest.strip()
        with local_stack(tmp_path / "stack", start=False) as stack, Client(stack.channels) as client:
            assert printed["store"] == f"{stack.store.endpoint}, bucket {stack.store.bucket}"
            assert listeners([identity.pid for identity in stack.processes.values()]) == {"127.0.0.1"}
            for name, address in stack.addresses.items():
                assert printed[name] == address
                info = client.info(name)
                assert (info.service, info.store.reachable, info.store.detail) == (name, True, "")
                assert info.store.endpoint == stack.store.endpoint

        file = Path(printed["variables"])
        assert (file, stat.S_IMODE(file.stat().st_mode)) == (tmp_path / "stack" / "stack.env", 0o600)
        exports = subprocess.check_output([*command, "--print-env"], text=True, timeout=60)
        exported = variables_of(exports)
        assert (
            exported
            == variables_of(f"set -a\n. {file}")
            == dict(line.split("=", 1) for line in file.read_text().splitlines())
        )
        for name, value in exported.items():
            monkeypatch.setenv(name, value)
        Store(read(StoreSettings)).put_bytes("runs/test", b"with these keys")
        with Client() as client:
            assert [client.info(name).service for name in SERVICES] == list(SERVICES)

        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not any(identity.alive() for identity in stack.processes.values())
    assert not file.exists()
    ended = subprocess.run([*command, "--print-env"], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Start one with `facefoundry local`" in ended.stderr
