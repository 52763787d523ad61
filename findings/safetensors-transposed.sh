#!/usr/bin/env bash
# Expected: `safetensors.numpy.save` keeps the values of an array whatever its memory layout, as releases up to 0.7.0
# did.
# Seen: release 0.8.0 stores a transposed view with the new shape and the old order of the values. Nothing is raised.
# It matters: converting weights between Keras (height, width, in, out) and PyTorch (out, in, height, width) is one
# transpose and one save. The file loads, all shapes fit, and the network is noise. `numpy.ascontiguousarray` before
# saving helps.
# Run on 2026-11-28 with safetensors 0.7.0 and 0.8.0, numpy 2.4.6, Python 3.11.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 safetensors==0.7.0
cd "$work"
venv/bin/python - <<'PY'
import subprocess
import sys

TRY = """
import numpy, safetensors, safetensors.numpy as st
keras = numpy.arange(5 * 5 * 3 * 4, dtype=numpy.float32).reshape(5, 5, 3, 4)
torch = keras.transpose(3, 2, 0, 1)
loaded = st.load(st.save({"kernel": torch}))["kernel"]
old_order = numpy.array_equal(loaded.ravel(), keras.ravel())
print(safetensors.__version__, loaded.shape == torch.shape, numpy.array_equal(loaded, torch), old_order)
"""


def attempt() -> str:
    return subprocess.run([sys.executable, "-c", TRY], check=True, capture_output=True, text=True).stdout.strip()


print("release, shape kept, values kept, values in the order before the transpose")
old = attempt()
pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
subprocess.run([*pip, "safetensors==0.8.0"], check=True)
new = attempt()
print(old, new, sep="\n")
if old != "0.7.0 True True False" or new != "0.8.0 True False True":
    sys.exit("The behaviour has changed: 0.7.0 kept the values and 0.8.0 did not.")
PY
