"""Lanes: how many calls of each kind a service takes, of all hosts and of one."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from facefoundry.errors import Busy
from facefoundry.rpc.lanes import Lane, Lanes

ONE, OTHER, THIRD = "ipv4:10.0.0.1:{}", "ipv4:10.0.0.2:{}", "ipv4:10.0.0.3:{}"


def test_the_calls_of_one_host_leave_places_for_others():
    lane = Lane("trainer", "watch", threads=1, calls=3, calls_per_host=2)
    with ExitStack() as taken:
        for port in (1, 2):
            taken.enter_context(lane.place(ONE.format(port)))
        with pytest.raises(Busy, match=r"3 calls of this kind.*or 2 of this host") as caught, lane.place(ONE.format(3)):
            pass
        assert caught.value.reason == "TOO_MANY_CALLS"
        taken.enter_context(lane.place(OTHER.format(1)))
        with pytest.raises(Busy), lane.place(THIRD.format(1)):
            pass
    with lane.place(ONE.format(1)), lane.place(ONE.format(2)):
        pass


def test_no_kind_of_call_takes_the_threads_of_another():
    lanes = Lanes("trainer", 8)
    by_method = {
        method: lanes.of(f"/facefoundry.v1.TrainerService/{method}")
        for method in ("GetTraining", "CancelTraining", "GetInfo", "WatchTraining", "WatchTrainings", "StartTraining")
    }
    assert by_method["GetTraining"] is by_method["CancelTraining"]
    assert by_method["WatchTraining"] is by_method["WatchTrainings"]
    assert len({id(lane.threads) for lane in by_method.values()}) == 4
    lanes.close()
