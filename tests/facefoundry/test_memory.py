"""What is let go of is the system's again; measured in a process of its own."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys

import pytest

PROGRAM = """
import json
from facefoundry.memory import give_back

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))

large = b"x" * (30 << 20)
del large  # from here on glibc keeps blocks below this size
give_back()
before = resident()
pictures = [b"x" * (4 << 20) for _ in range(40)]
figures = [resident() - before]
del pictures[:-1]
figures.append(resident() - before)
give_back()
print(json.dumps([*figures, resident() - before]))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_what_is_freed_below_something_that_lives_is_given_back():
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, check=True, timeout=60)
    held, kept, left = json.loads(done.stdout)
    assert held > 150 << 20
    assert kept > 100 << 20, "there was nothing to give back"
    assert left < 20 << 20
