"""`python -m tests.stores.uploads [--gigabytes 2] [--seconds 40]`: an upload to a store that stops twice.

A file of that size goes to the store in parts, as services send their results, and then by signed URLs, as clients send
clips. After a third and after two thirds of the bytes the store takes nothing for the given seconds. Each way prints
how long it took, how many bytes were sent, and how often the part was sent that was sent most often.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from facefoundry.dataset.urls import Urls
from facefoundry.local.store import ObjectStore
from facefoundry.settings import StoreSettings
from facefoundry.storage.presign import UrlSigner
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import PART_BYTES
from tests.stores.stalls import Stalls, Stop

_BLOCK = 1 << 20


def main() -> None:
    """Send the file in both ways; end with 1 if a part was sent three times or arrived with another digest."""
    parser = argparse.ArgumentParser(prog="python -m tests.stores.uploads", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the file")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long the store stops, each time")
    arguments = parser.parse_args()
    size = int(arguments.gigabytes * (1 << 30))
    with tempfile.TemporaryDirectory(prefix="uploads-") as folder, ObjectStore(Path(folder) / "store") as settings:
        path = Path(folder) / "file"
        with path.open("wb") as file:
            file.truncate(size)
        ways: dict[str, Callable[[StoreSettings], list[str]]] = {
            "in parts": lambda stalled: _in_parts(stalled, path),
            "by URLs": lambda stalled: _by_urls(stalled, path),
        }
        print(f"{size / (1 << 30):g} GiB, and two stops of {arguments.seconds:g} s")
        for name, way in ways.items():
            stops = [Stop(size * third // 3, arguments.seconds) for third in (1, 2)]
            with Stalls(settings.endpoint, stops=stops) as proxy:
                begin = time.monotonic()
                keys = way(settings.model_copy(update={"endpoint": proxy.endpoint}))
                seconds = time.monotonic() - begin
            _check(Store(settings), keys, path)
            most = max(proxy.puts.values())
            print(f"{name}: {seconds:.0f} s, {proxy.sent:,} bytes for {size:,}; no part more than {most} times")
            if most > 2:
                sys.exit("A part was sent three times.")


def _in_parts(settings: StoreSettings, path: Path) -> list[str]:
    Store(settings).put_file("runs/file", path)
    return ["runs/file"]


def _by_urls(settings: StoreSettings, path: Path) -> list[str]:
    signer, urls, keys = UrlSigner(settings), Urls(settings), []
    for number, offset in enumerate(range(0, path.stat().st_size, PART_BYTES)):
        keys.append(f"uploads/large/{number:05d}")
        length = min(PART_BYTES, path.stat().st_size - offset)
        urls.put(signer.put(keys[-1]).url, _blocks(path, offset, length), length)
    return keys


def _blocks(path: Path, offset: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while length and (block := file.read(min(_BLOCK, length))):
            length -= len(block)
            yield block


def _check(store: Store, keys: list[str], path: Path) -> None:
    """End the program if the objects, one after the other, are not the file; then delete them."""
    stored = hashlib.sha256()
    for key in keys:
        for block in store.blocks(key, store.stat(key).size):
            stored.update(block)
    with path.open("rb") as file:
        if stored.digest() != hashlib.file_digest(file, "sha256").digest():
            sys.exit("The store has other bytes than were sent.")
    store.delete(keys)


if __name__ == "__main__":
    main()
