"""A process that is asked to stop, for real."""

import signal
import subprocess
import sys

import pytest

WAITS = """
import os, time
from facefoundry.signals import stop_event
stop = stop_event()
print("waits", flush=True)
stop.wait()
end = time.monotonic() + 0.3
while time.monotonic() < end:
    stop.wait()
os._exit(0)  # Python takes its handlers back before it ends
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_may_come_while_another_is_handled_or_the_event_is_looked_at(number):
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "waits\n"
        while process.poll() is None:
            process.send_signal(number)
        assert process.returncode == 0, process.stderr.read()
    finally:
        process.kill()
        process.communicate()
