import json
from dataclasses import dataclass

import pytest

from facefoundry.errors import DataLoss
from facefoundry.work.messages import PartsReady, Progress, Result, Resumed, decode, encode


@dataclass(frozen=True)
class Facts:
    frame_count: int
    frame_rate: tuple[int, int] | None = None


@pytest.mark.parametrize(
    "message",
    [
        Progress("convert", 3, 0),
        Progress("download", 5, 9, unit="bytes"),
        Resumed(()),
        PartsReady(("faces-00000.tar", "alignments-00000.safetensors")),
        Result(Facts(7, (25, 1)), "ab" * 32, {"decoder": "av 18"}, {"FOUND": 7}),
    ],
)
def test_a_message_goes_through_json_unchanged(message):
    assert decode(json.loads(json.dumps(encode(message))), Facts) == message


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"progress": {"stage": "convert", "done": "3", "total": 0}}, "done"),
        ({"progress": {"stage": "convert", "done": 3}}, "total"),
        ({"parts": {"parts": [1]}}, r"parts\.0"),
        ({"result": {"info": {"frame_count": None}}}, r"info\.frame_count"),
        ({"result": {}}, "info"),
        ({"end": True}, "one of the keys"),
        ({"parts": "faces-00000.tar"}, "one of the keys"),
        (["progress"], "one of the keys"),
        (None, "one of the keys"),
    ],
)
def test_a_wrong_message_is_an_error_that_names_the_field(values, wrong):
    with pytest.raises(DataLoss, match=wrong):
        decode(values, Facts)
