"""A worker that needs a GPU and finds none says why, and ends for good where no node would help."""

from __future__ import annotations

import pytest

from services.trainer.worker.__main__ import exit_code
from services.trainer.worker.gpu import no_gpu
from services.trainer.worker_protocol import FINAL


@pytest.mark.parametrize(
    ("has_cuda", "machine", "words", "final"),
    [
        (True, "x86_64", "driver is new enough", False),
        (False, "aarch64", "image.architectures", True),
        (False, "x86_64", "DEVICE=cuda", True),
    ],
)
def test_the_reason_names_what_is_missing(has_cuda: bool, machine: str, words: str, final: bool) -> None:
    error = no_gpu(has_cuda, machine)
    assert error.reason == "NO_GPU" and words in error.message
    assert (exit_code(error) in FINAL) == final
