"""A run that is submitted to a release, with its clips in the release's bucket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from facefoundry.cluster.states import JobState
from facefoundry.codec import from_values
from tests import tiny
from tests.cluster.release import Release, command, store
from tests.cluster.trainings import NETWORK
from tests.waiting import wait_until

NAME = "celebs"


class SubmittedRun:
    """A run of clips below `clips/`, by the command of a user.

    Args:
        release: The release.
        environment: Variables with which this machine reaches it.
        folder: Folder of the dataset file.
        clips: The clips, by the id that they get.
        pairs: The pairs of the filelist.
        iterations: Iterations of the trainings.
    """

    def __init__(
        self,
        release: Release,
        environment: Mapping[str, str],
        folder: Path,
        clips: Mapping[str, Path],
        pairs: list[list[str]],
        iterations: int,
    ) -> None:
        self.release, self.environment = release, environment
        objects = store(environment)
        for clip_id, clip in clips.items():
            objects.put_file(f"clips/{clip_id}.mp4", clip)
        (folder / "pairs.json").write_text(json.dumps(pairs))
        changes = {**NETWORK, "extraction__identity": False, "training__iterations": iterations}
        overrides = [text.partition("=") for text in tiny.assignments(**changes)]
        self.dataset_file = folder / "dataset.yaml"
        dataset = {
            "name": NAME,
            "sources": [{"kind": "s3", "prefix": "s3://facefoundry/clips/"}],
            "rights": {"default": "unstated"},
            "pairs": {"strategy": "filelist", "path": "pairs.json"},
            "splits": {"kind": "none"},
            "recipe": {"name": "preview", "set": {field: json.loads(value) for field, _, value in overrides}},
        }
        self.dataset_file.write_text(yaml.safe_dump(dataset))

    def submit(self) -> JobState:
        """Submit it, and wait until its pod runs."""
        return from_values(JobState, self.command("submit", self.dataset_file, "--json", "--wait", 240))

    def training(self) -> dict[str, Any]:
        """The first of its trainings; empty if there is none."""
        seen = self.status()["trainings"]
        return dict(seen[0]) if seen else {}

    def status(self) -> Any:
        """What `facefoundry status` knows of it."""
        return self.command("status", "--json", "--dataset", NAME)

    def wait_until_done(self, seconds: float) -> Any:
        """Wait until its Job is done, and return its status."""
        wait_until(lambda: self.status()["run"]["job"]["state"] == "done", seconds=seconds)
        return self.status()

    def command(self, name: str, *arguments: object) -> Any:
        """Run a command in the release's namespace; returns what it prints as JSON."""
        ended = command(self.environment, name, *arguments, "--namespace", self.release.namespace)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return json.loads(ended.stdout)
