"""A process that is asked to stop, for real."""

import signal
import subprocess
import sys

import pytest

WAITS = """
import os, time
from facefoundry.process.signals import stop_event
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


HEARD_BY_ANOTHER = """
import signal, threading, time
from facefoundry.process.signals import stop_event
stop = stop_event()
def send():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)
threading.Thread(target=send, daemon=True).start()
stop.wait()
"""


def test_a_signal_that_does_not_wake_the_main_thread_is_heard():
    """As one that comes when that thread has looked for signals and does not sleep yet."""
    process = subprocess.Popen([sys.executable, "-c", HEARD_BY_ANOTHER])
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
