"""Requests to the API server are spaced evenly."""

from __future__ import annotations

from services.trainer.backends.kubernetes.rate_limiter import RateLimiter


def test_callers_proceed_at_most_at_the_given_rate_and_a_pause_saves_up_nothing() -> None:
    now = 100.0
    waits: list[float] = []

    def clock() -> float:
        return now

    limiter = RateLimiter(4.0, clock, waits.append)
    for _ in range(4):
        limiter.wait()
    assert waits == [0.0, 0.25, 0.5, 0.75], "four callers at the same moment"
    now = 200.0
    limiter.wait()
    limiter.wait()
    assert waits[4:] == [0.0, 0.25]
