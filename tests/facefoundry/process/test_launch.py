"""Launched programs, for real."""

from facefoundry.process.launch import launch


def test_a_launched_program_keeps_its_pid_through_the_binding_step(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = launch(["/bin/sh", "-c", "echo $$; exit 7"], environment={}, output=log, folder=tmp_path)
    assert process.wait() == 7
    assert int((tmp_path / "log").read_text()) == process.pid
