"""Signatures with time stamps of an authority: OpenSSL answers the requests of RFC 3161."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.errors import Unavailable, Unusable
from facefoundry.provenance import c2pa_files, credentials
from facefoundry.provenance.signing import sign_dataset, strip_dataset
from facefoundry.provenance.verifying import verify_dataset
from tests.facefoundry.provenance.conftest import issue, pem_of

CONFIG = """
[tsa]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
ess_cert_id_chain = no
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Address of a time-stamping authority, and the PEM of who vouches for it."""
    folder, key = tmp_path_factory.mktemp("authority"), ec.generate_private_key(ec.SECP256R1())
    leaf, root = issue(key.public_key(), "clock", ExtendedKeyUsageOID.TIME_STAMPING)
    for name, data in (("key", pem_of(key)), ("leaf", leaf), ("root", root), ("serial", b"01\n")):
        (folder / name).write_bytes(data)
    (folder / "config").write_text(CONFIG.format(folder=folder))
    lock = threading.Lock()

    class Authority(BaseHTTPRequestHandler):
        def do_POST(self):
            with lock:
                (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
                command = "openssl ts -reply -config config -section tsa -queryfile query -signer leaf -inkey key"
                subprocess.run(
                    [*command.split(), "-chain", "root", "-out", "reply"], cwd=folder, check=True, capture_output=True
                )
                reply = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Authority) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", root.decode()
        server.shutdown()
        thread.join()


def test_a_signature_with_a_time_stamp_outlives_its_certificate(authority, unsigned, tmp_path):
    address, clock_root = authority
    layout = FfppLayout(tmp_path / "out")
    for seconds in (5, 30, 90):  # the slower ones are for a loaded machine
        shutil.rmtree(layout.root, ignore_errors=True)
        shutil.copytree(unsigned.root, layout.root)
        key, end = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc) + timedelta(seconds=seconds)
        leaf, root = issue(key.public_key(), "signer", end=end)
        (tmp_path / "key").write_bytes(pem_of(key))
        (tmp_path / "chain").write_bytes(leaf + root)
        signer = credentials.load(tmp_path / "key", tmp_path / "chain", address)
        with suppress(Unavailable, Unusable):  # the certificate has expired meanwhile
            assert sign_dataset(layout, signer) == 10
            break
    while datetime.now(timezone.utc) < end + timedelta(seconds=2):
        time.sleep(0.1)
    anchors = root.decode() + clock_root
    found = c2pa_files.read(layout.fake_video("c23", "000_001"), anchors)
    assert (found.state, found.faults, found.ingredient_faults) == ("Trusted", [], [])
    assert c2pa_files.read(layout.fake_video("c23", "000_001"), root.decode()).has_expired, "by a clock of a stranger"
    made = verify_dataset(layout, anchors, only_trusted=True, processes=1)
    assert made.failed == [] and made.trusted == 10
    assert sign_dataset(layout, signer) == 0, "nothing has expired"
    own = credentials.development(tmp_path / "own")
    assert strip_dataset(layout, tmp_path / "training", own, anchors) == 10
