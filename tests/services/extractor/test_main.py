import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from facefoundry.v1 import info_pb2, info_pb2_grpc

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "services.extractor"]


@pytest.fixture
def environment(tmp_path):
    return os.environ | {
        "FACEFOUNDRY_LISTEN": "127.0.0.1:0",
        "FACEFOUNDRY_STORE_ENDPOINT": "127.0.0.1:9",
        "FACEFOUNDRY_STORE_ATTEMPTS": "1",
        "FACEFOUNDRY_SCRATCH_DIR": str(tmp_path),
    }


def test_it_starts_without_its_store_says_so_and_ends_at_sigterm(environment):
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            port = next(line["port"] for line in map(json.loads, process.stderr) if line["event"] == "serving")
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                info = info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest(), timeout=20)
            process.send_signal(signal.SIGTERM)
            events = [json.loads(line)["event"] for line in process.stderr]
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert info.service == "extractor" and "dlib" in info.engines and info.slots == 1
    assert not info.store.reachable and "127.0.0.1:9" in info.store.detail
    assert events[-2:] == ["draining", "stopped"]


def test_wrong_settings_are_named_and_end_it(environment):
    environment["FACEFOUNDRY_EXTRACTOR_MAX_SOURCE_BYTES"] = "many"
    ended = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "FACEFOUNDRY_EXTRACTOR_MAX_SOURCE_BYTES" in ended.stderr and "Traceback" not in ended.stderr
