"""The bases in the package are what their records say."""

from __future__ import annotations

from facefoundry import codec
from facefoundry.bases import PREFIX, Bases
from facefoundry.model import weights
from facefoundry.model.architecture import Architecture


def test_every_base_of_the_package_is_what_its_record_says() -> None:
    for name in Bases().names():
        base = Bases().load(PREFIX + name)
        tensors, metadata = weights.from_bytes(base.weights, weights.NETWORK_FORMAT)
        assert base.content_digest == weights.content_digest(tensors), name
        assert base.architecture == metadata["architecture"], name
        codec.from_values(Architecture, base.architecture).check(tensors)
