"""Clips from disk to the extractor: by URLs, and again after everything that can interrupt it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

import facefoundry
from facefoundry import archive
from facefoundry.dataset.contents import FrameTar
from facefoundry.dataset.sources import import_clip, set_rate
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import Denied, InvalidInput, Unavailable, Unusable
from facefoundry.settings import TransferSettings
from facefoundry.storage.sources import fetch, find_source
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2
from tests.certificates import Authority
from tests.clips import drifting_face, encode
from tests.facefoundry.dataset.transfers import PART, Place, a_place, at, until_expired
from tests.faults.proxy import Fault, Request
from tests.listener import Handler, Listener, answering, presenting
from tests.processes import environment_of
from tests.sources import put_source


@pytest.fixture(scope="module")
def shared(new_store: Callable[[], Store], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with a_place(new_store(), tmp_path_factory.mktemp("scratch")) as place:
        yield place


@pytest.fixture
def place(shared: Place) -> Place:
    """The module's services; the store has no uploads and sources."""
    shared.proxy.rule = None
    shared.proxy.forget()
    shared.waits.clear()
    shared.store.delete([*shared.store.list("sources/"), *shared.store.list("uploads/")])
    return shared


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = encode(tmp_path_factory.mktemp("video") / "033.mp4", drifting_face(12), 30)
    assert path.stat().st_size > 5 * PART
    return path


def parts_of(path: Path) -> int:
    return -(-path.stat().st_size // PART)


def request_of(path: Path, rate: Fraction | int = 25) -> extractor_pb2.ImportSourceRequest:
    """A request for a clip, with a frame rate if it has none."""
    request = extractor_pb2.ImportSourceRequest()
    if path.is_dir() or path.suffix == ".tar":
        set_rate(request, Fraction(rate))
    return request


def import_(place: Place, path: Path, rate: Fraction | int = 25) -> tuple[extractor_pb2.Source, dict[str, list[int]]]:
    """The source of a clip, and the counts that were reported, by stage."""
    seen: dict[str, list[int]] = {}

    def on_progress(progress: common_pb2.Progress) -> None:
        seen.setdefault(progress.stage, []).append(progress.done)

    return import_clip(place.transfers, path, request_of(path, rate), on_progress), seen


def stored_bytes(place: Place, uri: str, folder: Path) -> list[bytes]:
    folder.mkdir()
    files = find_source(place.store, uri, "clip").files
    assert list(fetch(place.store, files, folder))
    return [(folder / name).read_bytes() for name in files]


def folder_of_frames(folder: Path, numbers: range | list[int]) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:04d}.png"), np.full((16, 24, 3), number, np.uint8))
    return folder


def test_a_video_is_sent_once_and_stored_as_it_was(place: Place, video: Path, tmp_path: Path) -> None:
    source, seen = import_(place, video)
    assert list(seen) == ["hash", "upload", "download", "store"] and not source.reused
    assert all(counts == sorted(counts) for counts in seen.values())
    assert seen["upload"][-1] == video.stat().st_size
    assert stored_bytes(place, source.uri, tmp_path / "got") == [video.read_bytes()]
    sent = place.requests("PUT")
    assert sum(request.size for request in sent) == video.stat().st_size and len(sent) == parts_of(video)
    again, seen = import_(place, video)
    assert again.reused and again.uri == source.uri and list(seen) == ["hash", "upload"]
    assert place.requests("PUT") == sent


@pytest.mark.parametrize(
    ("kind", "handle", "setting"),
    [
        ("STORE_CERTIFICATE", None, "FACEFOUNDRY_STORE_CA_FILE"),
        ("STORE_TLS", answering(400, "text/plain", "no TLS here"), "FACEFOUNDRY_STORE_PUBLIC_ENDPOINT"),
    ],
)
def test_a_store_that_cannot_be_trusted_at_its_public_address_is_told_at_once(
    new_store: Callable[[], Store],
    video: Path,
    tmp_path: Path,
    authority: Authority,
    kind: str,
    handle: Handler | None,
    setting: str,
) -> None:
    with (
        Listener(handle or presenting(authority.issue("store"))) as listener,
        a_place(new_store(), tmp_path, public_endpoint=f"https://{listener.endpoint}") as place,
        pytest.raises(Denied, match=setting) as caught,
    ):
        import_(place, video)
    assert (caught.value.reason, caught.value.resource, place.waits) == (kind, listener.endpoint, [])
    assert len(listener.times) == 1


def test_a_folder_of_frames_is_sent_as_a_tar_and_has_the_prefix_that_it_always_had(
    place: Place, new_store: Callable[[], Store], tmp_path: Path
) -> None:
    folder = folder_of_frames(tmp_path / "frames", range(7, 17))
    (folder / "._7.png").write_bytes(b"what macOS leaves")
    rate = Fraction(30000, 1001)
    source, _ = import_(place, folder, rate)
    assert (source.file_name, source.frame_count, source.codec) == ("frames", 10, "png")
    assert source.uri.partition("/sources/")[2] == put_source(new_store(), folder, rate).partition("/sources/")[2]
    tar = tmp_path / "named.tar"
    frames = sorted(folder.glob("[0-9]*.png"))
    tar.write_bytes(archive.pack({path.name: path.read_bytes() for path in frames}))
    assert import_(place, tar, rate)[0].uri == source.uri
    assert import_(place, folder, 25)[0].uri != source.uri


def test_a_tar_of_frames_can_be_read_from_any_offset(tmp_path: Path) -> None:
    frames = []
    for number, size in enumerate((0, 1, 511, 512, 513, 2000)):
        frames.append(tmp_path / f"{number}.PNG")
        frames[-1].write_bytes(bytes([number]) * size)
    made = FrameTar(tmp_path, frames, [frame.stat().st_size for frame in frames])
    expected = archive.pack({f"{number:06d}.png": frame.read_bytes() for number, frame in enumerate(frames)})
    whole = b"".join(made.blocks(0, made.size))
    assert expected.startswith(whole) and not expected[len(whole) :].strip(b"\0")
    for offset in range(0, made.size, 97):
        assert b"".join(made.blocks(offset, min(1000, made.size - offset))) == whole[offset : offset + 1000]
    frames[3].write_bytes(b"longer" * 100)
    with pytest.raises(Unusable, match="changed while it was read"):
        list(made.blocks(0, made.size))


def test_what_can_be_told_here_is_refused_before_anything_is_sent(place: Place, tmp_path: Path) -> None:
    gap, twice = folder_of_frames(tmp_path / "gap", [1, 2, 4]), folder_of_frames(tmp_path / "twice", [1])
    (twice / "1.jpg").write_bytes(b"x")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "large.mp4").write_bytes(bytes(5001))
    small = Transfers(place.client, TransferSettings(max_source_bytes=5000))
    for path, kind, reason in [
        (gap, Unusable, "FRAME_GAP"),
        (twice, Unusable, "FRAME_TWICE"),
        (tmp_path / "empty.mp4", Unusable, "NOT_A_VIDEO"),
        (tmp_path / "gone.mp4", InvalidInput, "INPUT_FILE"),
        (Path("/dev/null"), Unusable, "NOT_A_FILE"),
        (tmp_path / "large.mp4", Unusable, "TOO_LARGE"),
        (folder_of_frames(tmp_path / "large", range(9)), Unusable, "TOO_LARGE"),
    ]:
        with pytest.raises(kind) as caught:
            import_clip(small, path, extractor_pb2.ImportSourceRequest(), lambda _: None)
        assert caught.value.reason == reason and str(path) in caught.value.message
    assert place.store.objects("uploads/") == ()


def test_what_the_extractor_refuses_is_named_as_it_is_on_disk(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "notes\x07 \udcff.mp4"
    path.write_bytes(b"These are notes.\n" * 100)
    with pytest.raises(Unusable) as caught:
        import_(place, path)
    assert (caught.value.reason, caught.value.resource) == ("NOT_A_VIDEO", str(path))
    assert str(path) in caught.value.message and "s3://" not in caught.value.message


def test_an_upload_that_was_killed_sends_only_what_is_missing(place: Place, video: Path) -> None:
    held, killed = threading.Event(), threading.Event()

    def hold() -> bool:
        held.set()
        return killed.wait(60)

    place.proxy.rule = at(3, "PUT", Fault(before=hold))
    address = place.services.addresses["extractor"]
    command = [sys.executable, "-c", f"import facefoundry; facefoundry.upload({str(video)!r})"]
    environment = environment_of(place.store.settings, extractor_address=address)
    without_keys = {name: value for name, value in environment.items() if not name.endswith("_KEY")}
    with subprocess.Popen(command, env=without_keys) as process:
        assert held.wait(60)
        process.kill()
    killed.set()
    assert len(place.requests("PUT")) == 3
    facefoundry.upload(video, client=place.client)
    sent = place.requests("PUT")
    assert len({request.key for request in sent}) == len(sent) == parts_of(video)
    assert sum(request.size for request in sent) == video.stat().st_size


def test_an_expired_url_is_replaced_and_nothing_is_sent_twice(
    new_store: Callable[[], Store], video: Path, tmp_path: Path
) -> None:
    with a_place(new_store(), tmp_path, url_seconds=1) as place:
        place.proxy.rule = at(1, "PUT", Fault(before=until_expired(1)))
        source, _ = import_(place, video)
        assert source.size_bytes == video.stat().st_size
        assert [status for request, status in place.proxy.log if request.kind == "PUT"].count(403) >= 1
        assert len(place.requests("PUT")) == parts_of(video)


def test_an_upload_waits_for_the_store_and_goes_on(place: Place, video: Path) -> None:
    back = threading.Timer(0.5, place.proxy.up)

    def fail() -> bool:
        place.proxy.down()
        back.start()
        return True

    place.proxy.rule = at(2, "PUT", Fault(before=fail))
    assert import_(place, video)[0].size_bytes == video.stat().st_size
    assert len(place.requests("PUT")) == parts_of(video)
    (report,) = place.waits
    assert "does not answer" in report and report.endswith("Retrying for up to 30 s.") and "Signature" not in report
    back.join()


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [(Fault(status=403), Denied, "URL_REFUSED"), (Fault(status=503), Unavailable, "STORE_ERROR")],
)
def test_a_store_that_takes_nothing_is_an_error_in_the_end(
    place: Place, video: Path, fault: Fault, kind: type[Exception], reason: str
) -> None:
    place.proxy.rule = lambda request: fault
    at_once = Transfers(place.client, TransferSettings(retry_seconds=0))
    with pytest.raises(kind) as caught:
        import_clip(at_once, video, extractor_pb2.ImportSourceRequest(), lambda _: None)
    assert isinstance(caught.value, facefoundry.errors.FaceFoundryError)
    assert caught.value.reason == reason and "Signature" not in caught.value.message


def test_a_part_that_the_store_damaged_is_sent_again(place: Place, video: Path) -> None:
    def damage(request: Request) -> bool:
        place.store.put_bytes(request.key, bytes(request.size))
        return False

    faulty = iter([True])

    def rule(request: Request) -> Fault | None:
        return Fault(after=lambda: damage(request)) if request.kind == "PUT" and next(faulty, False) else None

    place.proxy.rule = rule
    assert import_(place, video)[0].size_bytes == video.stat().st_size


def test_a_file_that_changes_while_it_is_sent_is_refused(place: Place, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(video.read_bytes())

    def change() -> bool:
        path.write_bytes(path.read_bytes()[::-1])
        return False

    place.proxy.rule = at(0, "PUT", Fault(before=change))
    with pytest.raises(Unusable) as caught:
        import_(place, path)
    assert caught.value.reason == "INPUT_CHANGES" and str(path) in caught.value.message
    assert list(place.store.list("sources/")) == []
