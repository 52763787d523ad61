"""Forty pairs whose dataset stays in the bucket: what passes through the command, and what is fetched."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.planning.fetching import fetch_with
from tests.faults.disturbed import FASTER, SERVICES, digests, write_clips, write_dataset
from tests.faults.proxied_store import ProxiedStore
from tests.faults.proxy import Request
from tests.processes import Process, Service, environment_of
from tests.waiting import wait_until

PAIRS = 40
SMALL = {
    "manifest.json",
    "labels.json",
    "run.json",
    "log.json",
    "rights.json",
    "report.html",
    "filelist.json",
    "index",
    "pair",
    "list",
    "copy",
    "error",
}
"""What the command reads and writes; clips are sent beside them."""


def kind_of(request: Request, status: int) -> str:
    """Return what a request is about."""
    name = request.key.rpartition("/")[2]
    if status >= 400:
        return "error"
    if request.kind in ("LIST", "BUCKET"):
        return "list"
    if request.kind == "PUT" and not request.size:
        return "copy"
    if request.key.startswith("uploads/"):
        return "clip"
    if "/misc/index/" in request.key:
        return "index"
    if "/pairs/" in request.key:
        return "pair"
    return next((known for known in SMALL if name.startswith(known.partition(".")[0])), name)


def bytes_by_kind(log: Iterable[tuple[Request, int]]) -> Counter[str]:
    """Return the bytes of bodies that went through the proxy, both ways."""
    total = Counter[str]()
    for request, status in log:
        total[kind_of(request, status)] += request.size + request.answered
    return +total


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_of_forty_pairs_only_manifests_labels_and_indexes_pass_through_the_command(
    tmp_path: Path, summarize: Callable[[str], None]
) -> None:
    pairs = list(itertools.combinations(write_clips(tmp_path / "clips", 5, ()), 2))[:PAIRS]
    dataset = write_dataset(tmp_path, "forty", pairs)
    (tmp_path / "served").mkdir()
    proxied = ProxiedStore(tmp_path / "served")
    store, place = proxied.store, f"s3://{proxied.store.bucket}/datasets/forty/"
    direct = environment_of(
        store.settings, store_public_endpoint=f"http://{proxied.proxy.endpoint}", scratch_dir=proxied.scratch, **FASTER
    )
    services = {name: Service(name, direct, proxied.folder) for name in SERVICES}
    command = Process("run", ["facefoundry"], proxied.environment(), proxied.folder)
    try:
        words = ["run", str(dataset), "-o", place, "--json"]
        for name, service in services.items():
            service.ready().close()
            words += [f"--{name}", service.address]
        command.start(*words)
        wait_until(lambda: list(store.list("datasets/forty/misc/index/")), 1800, failure=command.tail)
        command.kill()
        assert not store.exists("datasets/forty/manifest.json"), "a dataset that is not whole has none"
        command.start(*words)
        assert command.wait(3000) == 0, command.tail()
        passed = bytes_by_kind(proxied.proxy.log)
        copied = sum(size for key, size in store.sizes("datasets/forty/") if key.endswith((".mp4", ".tar")))
        out = tmp_path / "fetched"
        fetched = fetch_with(store.settings, "forty", out, (), (), 8)
        assert fetched.lost == () and fetched.pairs == PAIRS
    finally:
        command.kill()
        for service in services.values():
            service.kill()
        proxied.close()
    clips = passed.pop("clip")
    assert passed.keys() <= SMALL, passed
    made = {pair.id: pair for pair in RunFolder(FfppLayout(out).run_folder()).load_pairs()}
    assert len(digests(made)) == PAIRS
    assert len(list((out / "manipulated_sequences").rglob("*.mp4"))) == 2 * PAIRS * 6
    listed = ", ".join(f"{kind} {count / 1e6:.2f} MB" for kind, count in passed.most_common())
    summarize(
        f"output in the bucket: {PAIRS} pairs, {copied / 1e6:.1f} MB copied by the store; through the command, killed "
        f"once: {sum(passed.values()) / 1e6:.2f} MB ({listed}), and {clips / 1e6:.2f} MB of clips"
    )
