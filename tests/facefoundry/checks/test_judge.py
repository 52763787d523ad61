"""What a leak of sizes is said to come from."""

from __future__ import annotations

import subprocess
import sys

from facefoundry.checks.judge import rows_of
from facefoundry.checks.measured import Measured, Side


def _rate_sentence(encoder):
    """Return what is said of fakes that are all smaller than every real video, with an encoder of their own or not."""
    names = [f"{number:03d}" for number in range(24)]
    real = [Side({"encoder": {"crf": "23"}}, {"rate": {"file size": 1000.0 + place}}) for place in range(24)]
    fakes = [Side({"encoder": {"crf": encoder}}, {"rate": {"file size": 500.0 + place}}) for place in range(24)]
    measured = {
        f"{names[place]}_{names[place ^ 1]}": Measured(fakes[place], real[place], 8, 0.0) for place in range(24)
    }
    rows = rows_of({"c23": measured}, {name: place // 2 for place, name in enumerate(names)})
    leaks = {row.family: row.sentence for row in rows if row.state == "leak"}
    assert set(leaks) == ({"rate"} if encoder == "23" else {"encoder", "rate"})
    return leaks["rate"]


def test_sizes_are_put_down_to_the_faces_if_nothing_else_differs():
    sentence = _rate_sentence("23")
    assert "file size, smaller in fakes (0.00)" in sentence
    assert "Nothing but the faces was found to cause it, and no encoder mends it." in sentence
    assert "train longer" in sentence


def test_sizes_are_put_down_to_what_else_differs():
    sentence = _rate_sentence("28")
    assert "Mend encoder first and test again" in sentence
    assert "faces" not in sentence


def test_what_the_sandbox_loads_before_it_forks_starts_no_thread_of_another_library():
    # scikit-learn loads pandas and pyarrow where they are installed; pyarrow starts a thread
    code = "import sys, facefoundry.checks.judge; print({'sklearn', 'pandas', 'pyarrow'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "set()"
