"""An object store behind a proxy that injects faults, and checks of its content."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from facefoundry.errors import NotFound
from facefoundry.local.store import ObjectStore
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from tests.faults.proxy import Proxy
from tests.processes import environment_of

CREDENTIALS = ("tester", "a secret of the tests")


class ProxiedStore:
    """An object store in a folder, and the proxy through which processes reach it.

    Attributes:
        store: The store without the proxy, for the test itself.
        proxy: What the processes know as the store.
        settings: The store as the processes know it.
    """

    def __init__(self, folder: Path, copied: Path | None = None, scratch: Path | None = None) -> None:
        self.folder, self.scratch = folder, scratch or folder / "scratch"
        if copied is not None:
            shutil.copytree(copied / "store" / "data", folder / "store" / "data")
        self.server = ObjectStore(folder / "store", credentials=CREDENTIALS)
        settings = self.server.start()
        self.proxy = Proxy(settings.endpoint)
        self.proxy.up()
        self.settings = settings.model_copy(update={"endpoint": self.proxy.endpoint})
        self.store = Store(settings)
        self.kept: set[str] = set()

    def close(self) -> None:
        self.proxy.down()
        self.server.stop()

    def restart(self) -> None:
        """Start the killed store again on its folder; the proxy keeps its address."""
        settings = self.server.start()
        self.store = Store(settings)
        self.proxy.target = settings.endpoint

    def keep(self) -> None:
        """Have `clear` keep the objects that exist now."""
        self.kept = set(self.store.list(""))

    def clear(self) -> None:
        """Delete the objects made since `keep`, and the proxy's log and rule."""
        self.proxy.rule = None
        self.store.delete([key for key in self.store.list("") if key not in self.kept])
        self.proxy.forget()

    def environment(self, **settings: object) -> dict[str, str]:
        """Return the environment of a process that uses the store through the proxy, with settings by field name."""
        environment = environment_of(self.settings, scratch_dir=self.scratch, **settings)
        return {**environment, "TF_CPP_MIN_LOG_LEVEL": "3"}


def half_visible(store: Store) -> list[str]:
    """Return what is wrong with the bucket: manifests whose parts are missing or have other bytes.

    Services may be working. They delete a manifest before its parts, so parts without a manifest are not visible.
    """
    complaints = []
    for key in list(store.list("")):
        if key.endswith("/manifest.json"):
            try:
                wrong = _wrong_parts(store, key)
            except NotFound:
                continue
            complaints += wrong if store.exists(key) else []
    return complaints


def _wrong_parts(store: Store, key: str) -> list[str]:
    wrong = []
    for part in manifest.load(store, key.removesuffix("/manifest.json")).parts:
        if not store.exists(part.key):
            wrong.append(f"{key} names {part.key}, which is not there")
        elif hashlib.sha256(store.get_bytes(part.key)).hexdigest() != part.sha256:
            wrong.append(f"{part.key} is not what {key} says")
    return wrong


def content(store: Store) -> dict[str, str]:
    """Return the content digest of every committed prefix except checkpoints."""
    prefixes = [key.removesuffix("/manifest.json") for key in store.list("") if key.endswith("/manifest.json")]
    return {prefix: manifest.load(store, prefix).content_digest for prefix in prefixes if "/checkpoints/" not in prefix}


_DIGESTS = re.compile(r"[0-9a-f]{40,64}|(?<=/)\d{7}(?=[-.])|(?<=checkpoints/)[^/]+")


def masked(key: str) -> str:
    """Return a key without its digests, iterations and worker ids: its class of keys."""
    return _DIGESTS.sub("*", key)
