"""A furnished house to copy, and how much is tested."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from facefoundry.dataset import sources
from facefoundry.dataset.plan import Clip
from tests.faults.house import FRAMES, House, client_of, content, extractor_of, tiny_recipe, write_clip
from tests.faults.proxy import Request
from tests.faults.victims import Worker, put_training

WHOLE = bool(os.environ.get("FACEFOUNDRY_CRASH_TEST"))
"""Everything (`make crash-test`), or a sample."""


@dataclass(frozen=True)
class Furnished:
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
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Furnished:
    folder = tmp_path_factory.mktemp("furnished")
    clips = folder / "clips"
    clips.mkdir()
    write_clip(folder / "c.mp4", phase=20, frames=2 * FRAMES)
    paths = [write_clip(clips / "a.mp4", phase=0), write_clip(clips / "b.mp4", phase=40), folder / "c.mp4"]
    house = House(folder)
    extractor = extractor_of(house)
    try:
        inputs = {}
        for path in paths:
            clip = Clip(path.stem, path)
            inputs[f"source_{clip.id}"] = sources.upload(clip.path, store=house.store)
        extractor.ready().close()
        with client_of(extractor=extractor) as client:
            for name in "ab":
                extraction = client.extract(inputs[f"source_{name}"], name, tiny_recipe())
                inputs[f"extraction_{name}"] = extraction.uri
        house.proxy.forget()
        training = put_training(house, inputs)
        worker = Worker(house, training)
        assert worker.ask()
        inputs["model"] = house.store.uri(worker.request.model_prefix)
        return Furnished(folder, inputs, clips, training, house.proxy.written(), content(house.store))
    finally:
        extractor.kill()
        house.close()


@pytest.fixture
def new_house(furnished: Furnished, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes houses furnished alike, or empty ones; all are closed in the end."""
    made: list[House] = []

    def make(empty: bool = False, without: str = "nothing/") -> House:
        folder = tmp_path / f"house-{len(made)}"
        folder.mkdir()
        made.append(House(folder, None if empty else furnished.folder))
        store = made[-1].store
        store.delete([key for key in store.list("") if key.startswith(without)])
        made[-1].keep()
        return made[-1]

    yield make
    for house in made:
        house.close()
