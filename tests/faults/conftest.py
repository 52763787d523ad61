"""A prepared store to copy, and how much is tested."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.processes import FRAMES, client_of, extractor_of, tiny_recipe, write_clip
from tests.faults.proxied_store import ProxiedStore, content
from tests.faults.proxy import Request
from tests.faults.victims import Worker, put_training
from tests.sources import put_source

WHOLE = bool(os.environ.get("FACEFOUNDRY_CRASH_TEST"))
"""Everything (`make crash-test`), or a sample."""


@dataclass(frozen=True)
class Prepared:
    """A store's folder with sources a, b and c, extractions of a and b, and a model of them.

    Attributes:
        folder: Where it is.
        inputs: URIs by name.
        clips: Folder of the clips a and b.
        training: URI of the training's request.
        written: What the training wrote, undisturbed.
        content: What is committed.
    """

    folder: Path
    inputs: dict[str, str]
    clips: Path
    training: str
    written: list[Request]
    content: dict[str, str]


@pytest.fixture(scope="session")
def whole() -> bool:
    return WHOLE


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    clips = folder / "clips"
    clips.mkdir()
    write_clip(folder / "c.mp4", phase=20, frames=2 * FRAMES)
    paths = [write_clip(clips / "a.mp4", phase=0), write_clip(clips / "b.mp4", phase=40), folder / "c.mp4"]
    proxied = ProxiedStore(folder)
    extractor = extractor_of(proxied)
    try:
        inputs = {}
        for path in paths:
            inputs[f"source_{path.stem}"] = put_source(proxied.store, path)
        extractor.ready().close()
        with client_of(extractor=extractor) as client:
            for name in "ab":
                extraction = client.extract(inputs[f"source_{name}"], name, tiny_recipe())
                inputs[f"extraction_{name}"] = extraction.uri
        proxied.proxy.forget()
        training = put_training(proxied, inputs)
        worker = Worker(proxied, training)
        assert worker.ask()
        inputs["model"] = proxied.store.uri(worker.attempt.model_prefix)
        return Prepared(folder, inputs, clips, training, proxied.proxy.written(), content(proxied.store))
    finally:
        extractor.kill()
        proxied.close()


@pytest.fixture
def new_proxied_store(prepared: Prepared, tmp_path: Path) -> Iterator[Callable[..., ProxiedStore]]:
    """Makes stores that are copies of the prepared one, or empty; all are closed in the end."""
    made: list[ProxiedStore] = []

    def make(empty: bool = False, without: str = "nothing/") -> ProxiedStore:
        folder = tmp_path / f"proxied-{len(made)}"
        folder.mkdir()
        made.append(ProxiedStore(folder, None if empty else prepared.folder))
        store = made[-1].store
        store.delete([key for key in store.list("") if key.startswith(without)])
        made[-1].keep()
        return made[-1]

    yield make
    for proxied in made:
        proxied.close()
