"""Tars in memory: what is packed comes back, and only plain files are unpacked."""

import io
import tarfile

import pytest

from facefoundry import archive
from facefoundry.errors import DataLoss

FILES = {"a.txt": b"a", "empty": b"", "b.bin": bytes(range(256)) * 9}


def tar_of(**fields) -> bytes:
    """Return a tar whose one member has these fields and no content."""
    member = tarfile.TarInfo("member")
    for name, value in fields.items():
        setattr(member, name, value)
    return member.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def test_files_come_back_in_their_order():
    assert list(archive.unpack(archive.pack(FILES)).items()) == list(FILES.items())


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "a.txt"},
        {"type": tarfile.LNKTYPE, "linkname": "a.txt"},
        {"type": tarfile.DIRTYPE},
        {"pax_headers": {"GNU.sparse.major": "0", "GNU.sparse.map": "0,0", "GNU.sparse.size": "100000"}},
    ],
    ids=["symbolic link", "hard link", "folder", "sparse"],
)
def test_what_is_no_plain_file_is_refused(fields):
    with pytest.raises(DataLoss, match="only plain files") as caught:
        archive.unpack(tar_of(**fields))
    assert caught.value.reason == "BAD_ARCHIVE"


def test_a_file_larger_than_its_tar_is_refused():
    with pytest.raises(DataLoss) as caught:
        archive.unpack(tar_of(size=1 << 20))
    assert caught.value.reason == "BAD_ARCHIVE"


def test_other_bytes_are_no_tar():
    with pytest.raises(DataLoss, match="Received 600 bytes of something else") as caught:
        archive.unpack(io.BytesIO(b"x" * 600).getvalue())
    assert caught.value.reason == "BAD_ARCHIVE"
