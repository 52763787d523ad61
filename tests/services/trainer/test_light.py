"""The trainer's own process stays light; only its worker loads the heavy libraries."""

from __future__ import annotations

import subprocess
import sys


def test_the_service_and_its_local_backend_load_no_heavy_library_and_no_worker() -> None:
    program = (
        "import sys, services.trainer.__main__, services.trainer.backends.local\n"
        "heavy = {'kubernetes', 'tensorflow', 'keras', 'torch', 'cv2', 'av', 'dlib', 'numpy', 'safetensors', 'h5py'}\n"
        "heavy |= {'services.trainer.worker'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_a_wrong_setting_is_named() -> None:
    environment = {"FACEFOUNDRY_LOCAL_WORKERS": "0", "PATH": ""}
    run = subprocess.run(
        [sys.executable, "-m", "services.trainer"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert "LOCAL_WORKERS" in run.stderr
