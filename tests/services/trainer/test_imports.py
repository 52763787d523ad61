"""CreateUpload, ImportModel and ListFiles of the trainer, over real gRPC and a real S3 server, with real sandboxes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import grpc
import h5py
import numpy as np
import pytest

from facefoundry.errors import Conflict
from facefoundry.model import weights
from facefoundry.model.architecture import Architecture
from facefoundry.rpc.slots import Slots
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import read
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.models import prefix_of_import
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import Uploads
from facefoundry.v1 import files_pb2, trainer_pb2
from facefoundry.work.incoming import IncomingFiles
from facefoundry.work.messages import Progress
from facefoundry.work.runner import Committed, Runner
from services.trainer.functions import NETWORKS
from services.trainer.imports import Imports
from services.trainer.settings import TrainerSettings
from tests.scratch import files_in
from tests.services.trainer.importing import MAX_BYTES, TINY, Service, http, importing, published, tensors_of

OTHER = Architecture((4, 4, 8, 8), 8, 8, (8, 5, 4))
WEIGHTS = "weights.safetensors"


@pytest.fixture(scope="module")
def weights_bucket(new_store: Callable[[], Store]) -> Store:
    """A bucket from which the trainer imports."""
    return new_store()


@pytest.fixture(scope="module")
def service(
    new_store: Callable[[], Store], weights_bucket: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    scratch = tmp_path_factory.mktemp("scratch")
    with importing(new_store(), scratch, import_buckets=weights_bucket.bucket) as running:
        yield running


@pytest.fixture
def imports(service: Service, tmp_path: Path) -> Iterator[Imports]:
    """Imports of the same bucket, whose calls a test stops and continues."""
    limits: Any = {"max_source_bytes": MAX_BYTES, "slots": Slots("trainer", 2), "stopping": threading.Event()}
    settings = read(TrainerSettings, scratch_dir=service.scratch)
    runner = Runner("trainer", service.store, settings, **limits)
    yield Imports(service.store, IncomingFiles(service.store, Uploads(service.store, MAX_BYTES)), runner)
    runner.close()


def call() -> grpc.ServicerContext:
    """The context of a call that nobody cancels."""
    context: grpc.ServicerContext = create_autospec(grpc.ServicerContext, instance=True)
    return context


def test_a_model_in_either_form_becomes_the_same_import(service: Service, tmp_path: Path) -> None:
    tensors = tensors_of(TINY, seed=1)
    files = published(TINY, tensors, tmp_path)
    uris = service.put_all(files)
    progress, model = service.run(uris, pair_id="033_097")
    assert {event.stage for event in progress} == {"download"}
    assert progress[-1].done == progress[-1].total == sum(map(len, files.values()))
    assert model.uri.startswith(service.store.uri("imports/"))
    assert (model.content_digest, model.face_size) == (weights.content_digest(tensors), 64)
    assert (model.iterations, model.reused) == (0, False)
    committed = manifest.load(service.store, keys.prefix_of(service.store.bucket, model.uri, "imports"))
    assert committed.kind == "model" and committed.info["pair_id"] == "033_097"
    assert committed.inputs == {"files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}}
    assert not [key for uri in uris for key in service.store.list(uri.removeprefix(service.store.uri("")))]

    _, again = service.run(service.put_all({"any.safetensors": TINY.pack(tensors)}))
    assert (again.uri, again.content_digest, again.reused) == (model.uri, model.content_digest, True)
    listed = service.stub.ListFiles(files_pb2.ListFilesRequest(uri=model.uri), timeout=20)
    assert [file.name for file in listed.files] == ["manifest.json", WEIGHTS]
    assert http.request("GET", listed.files[1].url).data == TINY.pack(tensors)


def test_an_upload_that_was_imported_is_found_without_its_parts(service: Service) -> None:
    data = TINY.pack(tensors_of(TINY, seed=2))
    uri = service.put(WEIGHTS, data, hashlib.sha256(data).hexdigest())
    _, first = service.run([uri])
    progress, again = service.run([uri])
    assert (again.uri, again.reused, progress) == (first.uri, True, [])
    assert service.put(WEIGHTS, data, hashlib.sha256(data).hexdigest()) == uri


def test_a_file_of_two_models_is_uploaded_once_more(service: Service, tmp_path: Path) -> None:
    first, second = tensors_of(TINY, seed=3), tensors_of(TINY, seed=4)
    mixed = {name: (first if name.startswith("encoder/") else second)[name] for name in first}
    files = published(TINY, first, tmp_path)
    named = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    service.run([service.put(name, data, named[name]) for name, data in files.items()])
    files |= {name: data for name, data in published(TINY, mixed, tmp_path).items() if name != "encoder.h5"}
    uris = [service.put(name, data, hashlib.sha256(data).hexdigest()) for name, data in files.items()]
    code, error = service.refused(uris)
    assert (code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_INCOMPLETE")
    assert service.put("encoder.h5", files["encoder.h5"], named["encoder.h5"]) == uris[0]
    assert service.run(uris)[1].content_digest == weights.content_digest(mixed)


def test_of_two_calls_for_the_same_upload_the_later_one_finds_the_model(service: Service, imports: Imports) -> None:
    data = TINY.pack(tensors_of(TINY, seed=9))
    request = trainer_pb2.ImportModelRequest(object_uris=[service.put(WEIGHTS, data, hashlib.sha256(data).hexdigest())])
    overtaken = imports.run(request, call())
    assert isinstance(next(overtaken), Progress)
    *_, first = imports.run(request, call())
    *_, second = overtaken
    assert isinstance(first, Committed) and isinstance(second, Committed)
    assert (first.reused, second.reused) == (False, True)
    assert second.uri == first.uri


def test_a_file_that_changes_while_it_is_read_is_refused(service: Service, imports: Imports) -> None:
    key = "team/changing/weights.safetensors"
    service.store.put_bytes(key, TINY.pack(tensors_of(TINY, seed=10)))
    overtaken = imports.run(trainer_pb2.ImportModelRequest(object_uris=[service.store.uri(key)]), call())
    next(overtaken)
    service.store.put_bytes(key, TINY.pack(tensors_of(TINY, seed=11)))
    with pytest.raises(Conflict) as caught:
        list(overtaken)
    assert (caught.value.reason, caught.value.resource) == ("OBJECT_CHANGED", service.store.uri(key))


def test_a_caller_that_goes_away_leaves_nothing(service: Service, imports: Imports) -> None:
    uri = service.put(WEIGHTS, TINY.pack(tensors_of(TINY, seed=12)))
    before = [*service.store.list("")]
    going = imports.run(trainer_pb2.ImportModelRequest(object_uris=[uri]), call())
    next(going)
    going.close()
    assert [*service.store.list("")] == before
    assert not files_in(service.scratch)


def test_objects_that_other_programs_stored_are_imported_and_stay(service: Service, weights_bucket: Store) -> None:
    for seed, bucket in enumerate((service.store, weights_bucket), 50):
        bucket.put_bytes("team/weights.safetensors", TINY.pack(tensors_of(TINY, seed)))
        _, model = service.run([bucket.uri("team/weights.safetensors")])
        assert model.uri.startswith(service.store.uri("imports/")) and not model.reused
        assert bucket.exists("team/weights.safetensors")


@pytest.mark.parametrize("claimed", ["the digest of the model", "its own digest", "nothing"])
def test_a_model_is_imported_as_it_is_whatever_was_put_below_its_digest(service: Service, claimed: str) -> None:
    seeds = {"the digest of the model": 70, "its own digest": 72, "nothing": 74}
    own, other = (tensors_of(TINY, seeds[claimed] + number) for number in range(2))
    digest = weights.content_digest(own)
    prefix = prefix_of_import(digest)
    part = manifest.put_part(service.store, prefix, WEIGHTS, TINY.pack(other))
    in_manifest = weights.content_digest(other) if claimed == "its own digest" else digest
    manifest.commit(service.store, prefix, Manifest("model", {}, {}, (part,), {"iterations": 0}, in_manifest))
    if claimed == "nothing":
        service.store.put_bytes(f"{prefix}/manifest.json", b"{}")
    _, model = service.run([service.put(WEIGHTS, TINY.pack(own))])
    assert (model.uri, model.content_digest, model.reused) == (service.store.uri(prefix), digest, False)
    stored = manifest.load(service.store, prefix).part(WEIGHTS)
    assert manifest.read_part(service.store, stored) == TINY.pack(own)
    assert service.run([service.put(WEIGHTS, TINY.pack(own))])[1].reused


def _half_precision() -> bytes:
    from safetensors.numpy import save

    halves = {name: values.astype(np.float16) for name, values in tensors_of(TINY, seed=6).items()}
    metadata = '{"architecture":{},"format":"facefoundry.weights/1"}'
    return bytes(save(halves, metadata={"facefoundry": metadata}))


def _with_nan() -> bytes:
    tensors = dict(tensors_of(TINY, seed=6))
    tensors["encoder/conv_1/kernel"] = tensors["encoder/conv_1/kernel"] * np.nan
    return TINY.pack(tensors)


WHOLE = TINY.pack(tensors_of(TINY, seed=6))
DAMAGED = {
    "a text": (b"not weights", "Expected a safetensors file"),
    "half a file": (WHOLE[: len(WHOLE) // 2], "Expected a safetensors file"),
    "a header of no file": (b"\xff" * 7 + b"\x00" + b"{}", "Expected a safetensors file"),
    "NaN": (_with_nan(), "Expected finite values in the tensor encoder/conv_1/kernel"),
    "half precision": (_half_precision(), "Expected tensors of type float32"),
    "other tensors": (OTHER.pack(tensors_of(TINY, seed=6)), "Expected the tensors of"),
}


@pytest.mark.parametrize(("data", "words"), DAMAGED.values(), ids=DAMAGED)
def test_weights_are_refused_by_their_uri_that_are(service: Service, data: bytes, words: str) -> None:
    uri = service.put(WEIGHTS, data)
    code, error = service.refused([uri])
    assert (code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_A_MODEL")
    assert error.message.startswith(f"{uri}: {words}")
    assert error.resource == uri


def test_a_damaged_h5_file_is_named_with_the_place_in_it(service: Service, tmp_path: Path) -> None:
    files = published(TINY, tensors_of(TINY, seed=7), tmp_path)
    uris = service.put_all({**files, "decoder_A.h5": b"not HDF5"})
    code, error = service.refused(uris)
    assert (code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_A_MODEL")
    assert error.message.startswith(f"{uris[1]}, /: expected a weight file (HDF5)")
    assert error.resource == uris[1]
    with h5py.File(tmp_path / "encoder.h5", "a") as file:
        del file["conv_2/conv_2/kernel:0"]
    uris = service.put_all({**files, "encoder.h5": (tmp_path / "encoder.h5").read_bytes()})
    assert f"{uris[0]}, /conv_2/conv_2/kernel:0: expected a member of the file" in service.refused(uris)[1].message


def test_files_of_two_architectures_are_refused(service: Service, tmp_path: Path) -> None:
    files = published(TINY, tensors_of(TINY, seed=8), tmp_path)
    files["decoder_B.h5"] = published(OTHER, tensors_of(OTHER, seed=8), tmp_path)["decoder_B.h5"]
    uris = service.put_all(files)
    code, error = service.refused(uris)
    assert (code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_A_MODEL")
    assert error.message.startswith(f"{uris[2]}, ") and "expected shape" in error.message


FILES = {
    "a missing file": (["encoder.h5", "decoder_A.h5"], "decoder_B.h5 is missing."),
    "one file twice": (["encoder.h5", "decoder_A.h5", "decoder_A.h5"], "decoder_B.h5 is missing."),
    "another program's file": (["original.h5"], "original.h5."),
    "two models": ([WEIGHTS, WEIGHTS], "weights.safetensors."),
}


@pytest.mark.parametrize(("names", "words"), FILES.values(), ids=FILES)
def test_what_is_not_one_model_is_refused(service: Service, names: list[str], words: str) -> None:
    code, error = service.refused([service.store.uri(f"team/{name}") for name in names])
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MODEL_FILES")
    assert error.message.endswith(words)
    assert [violation.field for violation in error.violations] == ["object_uris"]


@pytest.mark.parametrize("names", [[], [*NETWORKS, WEIGHTS]])
def test_no_file_and_more_than_three_are_refused(service: Service, names: list[str]) -> None:
    code, error = service.refused([service.store.uri(f"team/{name}") for name in names])
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == ["object_uris"]


def test_a_missing_object_another_bucket_and_an_unfinished_upload_are_told_apart(service: Service) -> None:
    absent = service.store.uri("team/absent.safetensors")
    assert service.refused([absent])[1].resource == absent
    code, error = service.refused([f"s3://elsewhere/{WEIGHTS}"])
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BUCKET_NOT_ALLOWED")
    made = service.stub.CreateUpload(files_pb2.CreateUploadRequest(file_name=WEIGHTS, size_bytes=9), timeout=20)
    assert service.refused([made.object_uri])[1].reason == "UPLOAD_INCOMPLETE"
    assert http.request("PUT", made.parts[0].url, body=b"12345678").status == 200
    assert service.refused([made.object_uri])[1].reason == "UPLOAD_PART_SIZE"


def test_files_larger_than_any_model_are_not_even_read(service: Service) -> None:
    service.store.put_bytes(f"team/large/{WEIGHTS}", bytes(MAX_BYTES + 1))
    code, error = service.refused([service.store.uri(f"team/large/{WEIGHTS}")])
    assert (code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_LARGE")
    with pytest.raises(grpc.RpcError) as caught:
        service.put(WEIGHTS, bytes(MAX_BYTES + 1))
    assert from_rpc_error(caught.value, "trainer").reason == "TOO_LARGE"


def test_a_trainer_whose_slot_is_in_use_refuses_with_a_time_to_come_back(service: Service) -> None:
    uri = service.put(WEIGHTS, WHOLE)
    with service.server.slots.take(), pytest.raises(grpc.RpcError) as caught:
        service.run([uri])
    error = from_rpc_error(caught.value, "trainer")
    assert error.reason == "NO_FREE_SLOT" and error.retry_after_seconds
    assert service.run([uri])[1].content_digest == weights.content_digest(tensors_of(TINY, seed=6))
