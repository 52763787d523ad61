import pytest

from facefoundry import codec
from facefoundry.errors import DataLoss
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ConversionInfo, SourceInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.sources import find_source


@pytest.mark.parametrize(
    ("written", "rate"),
    [("25/1", (25, 1)), ("30000/1001", (30000, 1001)), ("", None), ("25", None), ("25/0", None), ("-25/1", None)],
)
def test_the_frame_rate_of_a_source_is_a_fraction(written, rate):
    assert SourceInfo(frame_rate=written).rate == rate


def test_frames_without_a_frame_rate_are_a_damaged_source(store):
    prefix = keys.source("0" * 40)
    part = manifest.put_part(store, prefix, "frames-00000.tar", b"never read")
    info = codec.to_values(SourceInfo(kind="frames", file_name="clip", frame_rate="fast"))
    manifest.commit(store, prefix, Manifest("source", {}, {}, (part,), info, "00"))
    with pytest.raises(DataLoss, match=r"25/1.*'fast'") as caught:
        find_source(store, store.uri(prefix), "clip")
    assert (caught.value.reason, caught.value.resource) == ("BAD_MANIFEST", store.uri(prefix))


def test_facts_that_are_missing_are_named():
    with pytest.raises(DataLoss, match=r"frame_count.*unswapped"):
        codec.from_values(ConversionInfo, {"synthetic": True})
