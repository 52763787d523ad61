"""`facefoundry fetch --sign` signs what it has fetched from a bucket."""

from __future__ import annotations

from typing import cast

import pytest

from facefoundry.cli.main import main
from facefoundry.client import Client
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.planning.running import run
from facefoundry.provenance import credentials
from facefoundry.provenance.verifying import verify_dataset
from tests.facefoundry.dataset.fakes import FakeServices
from tests.facefoundry.dataset.made_in_bucket import LEVELS, name_store, write
from tests.facefoundry.provenance.conftest import videos_of


def fetch(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["fetch", "six", *map(str, words)])
    return int(caught.value.code or 0)


def test_what_is_fetched_is_signed_and_so_is_what_is_fetched_again(unsigned, store, tmp_path, monkeypatch, capsys):
    name_store(monkeypatch, store)
    mp4 = unsigned.real_video("c23", "000").read_bytes()

    def video(text: str) -> bytes:
        return mp4 + (8 + len(text)).to_bytes(4, "big") + b"free" + text.encode()

    place = f"s3://{store.bucket}/datasets/six/"
    run(write(tmp_path, 2), place, cast(Client, FakeServices(store, LEVELS, video)))
    signer, out = credentials.development(tmp_path / "signer"), tmp_path / "out"
    with_key = ("--sign", "--key", tmp_path / "signer" / "key.pem", "--chain", tmp_path / "signer" / "chain.pem")
    assert fetch(out, *with_key, "--only", "raw") == 2 and "Leave --only out" in capsys.readouterr().err
    assert fetch(out, *with_key[1:]) == 2 and "are for --sign" in capsys.readouterr().err
    assert not out.exists()
    for again in (False, True):
        assert fetch(out, *with_key) == 0
        assert ("Fetched again, as other bytes were there" in capsys.readouterr().err) == again
        made = verify_dataset(FfppLayout(out), signer.chain.decode(), frames=0, only_trusted=True, processes=1)
        assert (made.failed, made.signed, made.files) == ([], made.files, len(videos_of(out))) and made.files == 14
        assert not list(out.rglob("*.partial"))
