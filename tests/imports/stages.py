"""The stages of `python -m tests.imports`; each prints its figures."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import grpc
import numpy as np
import psutil
import urllib3

from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2, extractor_pb2_grpc, files_pb2, info_pb2, info_pb2_grpc
from tests.clips import drifting_face, encode
from tests.processes import Service
from tests.scratch import files_in
from tests.waiting import wait_until

_BLOCK = 8 << 20


@contextmanager
def timed(what: str) -> Iterator[Callable[[str], None]]:
    """Print a stage with its seconds; the function that it yields adds figures."""
    begin, figures = time.monotonic(), list[str]()
    yield figures.append
    print(f"{what}: {time.monotonic() - begin:.1f} s; {', '.join(figures)}", flush=True)


def write_clip(folder: Path, size: int) -> Path:
    """Write an mp4 of a given size: a short clip, and a box that readers skip."""
    path = encode(folder / "clip.mp4", drifting_face(50))
    with path.open("ab") as file:
        left = size - file.tell()
        file.write(left.to_bytes(4, "big") + b"free")
        left -= 8
        while left:
            left -= file.write(os.urandom(min(_BLOCK, left)))
    return path


def announcement(clip: Path) -> files_pb2.CreateUploadRequest:
    """Return the request for an upload of a clip."""
    with clip.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return files_pb2.CreateUploadRequest(file_name=clip.name, size_bytes=clip.stat().st_size, sha256=sha256)


def put(clip: Path, made: files_pb2.CreateUploadResponse) -> int:
    """Put the parts that are not stored, and return their number."""
    http, count = urllib3.PoolManager(retries=False), 0
    with clip.open("rb") as file:
        for part in made.parts:
            if part.stored:
                continue
            file.seek(part.offset_bytes)
            answer = http.request("PUT", part.url, body=file.read(part.size_bytes))
            assert answer.status == 200, answer.data
            count += 1
    return count


def upload_twice(service: Service, clip: Path) -> str:
    """Upload a clip by a process that is killed within a part, and then to the end; return the URI."""
    with service.ready() as channel:
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        request = announcement(clip)
        made = stub.CreateUpload(request, timeout=60)
        with timed("upload, killed half way") as add:
            child = multiprocessing.get_context("spawn").Process(target=put, args=(clip, made))
            child.start()
            half = len(made.parts) // 2
            while sum(part.stored for part in stub.CreateUpload(request, timeout=60).parts) < half:
                assert child.is_alive(), "the upload ended early"
                time.sleep(0.1)
            child.kill()
            child.join()
            again = stub.CreateUpload(request, timeout=60)
            stored = sum(part.stored for part in again.parts)
            add(f"{stored} of {len(again.parts)} parts are stored")
        assert half <= stored < len(again.parts) and again.object_uri == made.object_uri
        begin = time.monotonic()
        error = failure(stub, again.object_uri)
        assert error.reason == "UPLOAD_INCOMPLETE", error.message
        print(f"import of the incomplete upload, after {time.monotonic() - begin:.1f} s: {error.message}")
        with timed("upload, resumed") as add:
            count = put(clip, again)
            add(f"{count} parts put")
        assert stored + count == len(again.parts)
        return made.object_uri


def failure(stub: extractor_pb2_grpc.ExtractorServiceStub, uri: str, **fields: object) -> FaceFoundryError:
    """Return the error of an import."""
    request = extractor_pb2.ImportSourceRequest(object_uri=uri, **fields)  # type: ignore[arg-type]  # fields by name
    try:
        list(stub.ImportSource(request, timeout=600))
    except grpc.RpcError as error:
        return from_rpc_error(error, "extractor")
    raise AssertionError(f"{uri} was imported")


def read_half(channel: grpc.Channel, uri: str) -> grpc.Call:
    """Start an import, and return the call when half of the clip is downloaded."""
    stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
    call = stub.ImportSource(extractor_pb2.ImportSourceRequest(object_uri=uri), timeout=1200)
    next(message for message in call if 2 * message.progress.done >= message.progress.total > 0)
    return call


def leave(service: Service, store: Store, scratch: Path, uri: str) -> None:
    """Cancel an import half way; slot and scratch must be free at once."""
    with service.ready() as channel:
        info = info_pb2_grpc.InfoServiceStub(channel)
        call = read_half(channel, uri)
        with timed("import, cancelled half way") as add:
            call.cancel()
            wait_until(lambda: info.GetInfo(info_pb2.GetInfoRequest(), timeout=60).slots_in_use == 0, 60)
            wait_until(lambda: not files_in(scratch), 60)
            add("slot and scratch are free, nothing is stored")
    assert store.objects("sources/") == ()


def kill(service: Service, store: Store, scratch: Path, uri: str) -> None:
    """Kill the extractor half way; the next one must remove what it left."""
    with service.ready() as channel:
        read_half(channel, uri)
        service.kill()
    left = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
    with timed("extractor, killed half way and started again") as add:
        service.ready().close()
        add(f"{left >> 20} MiB of scratch removed, nothing is stored")
    assert left and not files_in(scratch) and store.objects("sources/") == ()


def finish(service: Service, store: Store, scratch: Path, uri: str, clip: Path) -> None:
    """Import to the end, and again."""
    with service.ready() as channel:
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        process = next(
            child for child in psutil.Process().children() if "services.extractor" in " ".join(child.cmdline())
        )
        peak, stages = 0, dict[str, float]()
        with timed("import") as add:
            for message in stub.ImportSource(extractor_pb2.ImportSourceRequest(object_uri=uri), timeout=1200):
                stages.setdefault(message.progress.stage, time.monotonic())
                peak = max(peak, process.memory_info().rss)
            source = message.source
            add(f"{source.size_bytes} bytes, {source.frame_count} frames, memory of the server {peak >> 20} MiB")
        moments = [*stages.values(), time.monotonic()]
        spans = zip(stages, moments, moments[1:], strict=False)
        print("  " + ", ".join(f"{stage} {end - begin:.1f} s" for stage, begin, end in spans if stage))
        (key,) = (item.key for item in store.objects("sources/") if not item.key.endswith("manifest.json"))
        with timed("source read back"), clip.open("rb") as file:
            received = hashlib.sha256()
            for block in store.blocks(key, source.size_bytes):
                received.update(block)
            assert received.hexdigest() == hashlib.file_digest(file, "sha256").hexdigest() == source.content_digest
        assert not files_in(scratch) and [item for item in store.objects("uploads/") if item.size > 1000] == []
        with timed("import again") as add:
            *_, last = stub.ImportSource(extractor_pb2.ImportSourceRequest(object_uri=uri), timeout=60)
            add(f"reused: {last.source.reused}")
        assert last.source.reused


def refuse_frames(service: Service, store: Store, count: int) -> None:
    """Import a folder with more frames than are accepted."""
    frame = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    with timed("frames put") as add, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: store.put_bytes(f"incoming/frames/{number:06d}.png", frame), range(count)))
        add(f"{count} objects")
    with service.ready() as channel:
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        begin = time.monotonic()
        rate = common_pb2.FrameRate(numerator=25, denominator=1)
        error = failure(stub, store.uri("incoming/frames/"), frame_rate=rate)
        print(f"folder of {count} frames, after {time.monotonic() - begin:.1f} s: {error.reason}: {error.message}")
