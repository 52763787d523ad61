"""What another program puts below the prefix of a clip is never taken for the clip: a real extractor and store."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import replace

import cv2
import grpc
import numpy as np
import pytest

from facefoundry import codec
from facefoundry.errors import DataLoss
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage import keys, manifest
from facefoundry.storage.frames import FramePacker, content_digest
from facefoundry.storage.info import SourceInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.sources import find_source, prefix_of_source
from facefoundry.v1 import extractor_pb2, recipe_pb2
from tests.clips import drifting_face, encode
from tests.sources import put_source


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """The clip of a victim and another one."""
    folder = tmp_path_factory.mktemp("clips")
    return tuple(
        encode(folder / f"{number}.mp4", drifting_face(count), 30).read_bytes() for number, count in enumerate((4, 6))
    )


def plant(store, clip, other, **claims):
    """Commit other bytes where a clip belongs, as whoever knows the SHA-256 of the clip can; return its URI."""
    sha256 = hashlib.sha256(clip).hexdigest()
    prefix = prefix_of_source({"video": sha256}, None, tolerate_damage=False)
    part = manifest.put_part(store, prefix, "source.mp4", other)
    info = codec.to_values(SourceInfo(frame_count=6, width=192, height=192))
    made = Manifest("source", {}, {}, (part,), info, sha256)
    manifest.commit(store, prefix, replace(made, **claims))
    return store.uri(prefix)


def stored_bytes(store, uri):
    (part,) = find_source(store, uri).files.values()
    return manifest.read_part(store, part)


def asked(extractor, call, uri):
    """The error of a call on a source."""
    requests = {
        "Extract": extractor_pb2.ExtractRequest(
            source_uri=uri, sequence_id="clip", recipe=recipe_pb2.Recipe(name="ffpp")
        ),
        "Inspect": extractor_pb2.InspectRequest(source_uri=uri),
    }
    with pytest.raises(grpc.RpcError) as caught:
        answer = getattr(extractor.stub, call)(requests[call], timeout=60)
        list(answer) if call == "Extract" else answer
    return from_rpc_error(caught.value, "extractor")


@pytest.mark.parametrize("claim", ["the digest of the clip", "its own digest", "nothing that can be read"])
def test_a_clip_is_imported_as_it_is_whatever_was_put_below_its_digest(extractor, store, clips, claim):
    clip, other = clips
    own = {"content_digest": hashlib.sha256(other).hexdigest()}
    uri = plant(store, clip, other, **(own if claim == "its own digest" else {}))
    if claim == "nothing that can be read":
        store.put_bytes(f"{uri.removeprefix(store.uri(''))}/manifest.json", b"{}")
    source = extractor.take(extractor.upload(clip))[1]
    assert (source.uri, source.frame_count, source.reused) == (uri, 4, False)
    assert stored_bytes(store, uri) == clip
    assert extractor.take(extractor.upload(clip, name="again.mp4"))[1].reused


def test_a_sha256_that_a_caller_claims_finds_no_source_with_other_bytes(extractor, store, clips):
    clip, other = clips
    plant(store, clip, other)
    store.put_bytes("incoming/033.mp4", clip)
    source = extractor.take(store.uri("incoming/033.mp4"), sha256=hashlib.sha256(clip).hexdigest())[1]
    assert not source.reused and stored_bytes(store, source.uri) == clip


@pytest.mark.parametrize("call", ["Extract", "Inspect"])
def test_nothing_is_made_of_a_video_below_the_digest_of_another(extractor, store, clips, call):
    uri = plant(store, *clips)
    error = asked(extractor, call, uri)
    assert isinstance(error, DataLoss) and (error.reason, error.resource) == ("BAD_MANIFEST", uri)
    assert store.objects("extractions/") == ()


@pytest.mark.parametrize("call", ["Extract", "Inspect"])
@pytest.mark.parametrize("change", ["other frames", "another order", "a link"])
def test_nothing_is_made_of_frames_below_the_digest_of_others(extractor, store, tmp_path, call, change):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((16, 24, 3), 40 * number, np.uint8))
    uri = put_source(store, folder)
    prefix = keys.prefix_of(store.bucket, uri, "sources")
    right = manifest.load(store, prefix)
    if change == "other frames":
        cv2.imwrite(str(folder / "1.png"), np.full((16, 24, 3), 99, np.uint8))
        ((_, tar),) = FramePacker().pack(sorted(folder.iterdir()))
    elif change == "another order":
        ((_, tar),) = FramePacker().pack(sorted(folder.iterdir(), reverse=True))
    else:
        member = tarfile.TarInfo("000000.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar = member.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)
    part = manifest.put_part(store, prefix, "frames-00000.tar", tar)
    manifest.commit(store, prefix, replace(right, parts=(part,)), replace=True)
    error = asked(extractor, call, uri)
    assert isinstance(error, DataLoss) and error.resource == uri
    assert error.reason == ("BAD_ARCHIVE" if change == "a link" else "DIGEST_MISMATCH")
    assert store.objects("extractions/") == ()


def test_the_digest_of_frames_is_that_of_the_bytes_of_their_tars(tmp_path):
    frames = []
    for number in range(5):
        frames.append(tmp_path / f"{number}.png")
        frames[-1].write_bytes(bytes([number]) * 700)
    packer = FramePacker()
    tars = []
    for name, data in packer.pack(frames):
        tars.append(tmp_path / name)
        tars[-1].write_bytes(data)
    assert content_digest(tars) == packer.content_digest
    tars[0].write_bytes(tars[0].read_bytes()[:2300])
    with pytest.raises(DataLoss, match=r"ends within '000001\.png'"):
        content_digest(tars)
