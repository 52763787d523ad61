"""The kill matrix: a victim's unbroken run gives its commit points; at each of them it is killed and asked again."""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from tests.faults.proxied_store import ProxiedStore, content, half_visible, masked
from tests.faults.proxy import Fault, Request


@dataclass(frozen=True)
class Point:
    """A moment of a run: before or after the n-th write (from 0) of its kind to a class of keys."""

    kind: str
    key: str
    turn: int
    moment: str

    def __str__(self) -> str:
        turn = f" (number {self.turn + 1})" if self.turn else ""
        return f"{self.moment} {self.kind} {self.key}{turn}"


class Victim(ABC):
    """Something that does one job over a proxied store; it can be killed and asked again."""

    name: str

    def __init__(self, proxied: ProxiedStore) -> None:
        self.proxied = proxied

    @abstractmethod
    def ask(self) -> bool:
        """Start what is not running and ask for the work; return false when the victim died before the end."""

    @abstractmethod
    def kill(self) -> None:
        """kill -9."""

    @abstractmethod
    def redone(self, before: set[str], again: Sequence[Request]) -> int:
        """Return how many parts, or intervals between checkpoints, were made again though they existed.

        Args:
            before: Keys that existed when it was asked again.
            again: What the second run wrote.
        """

    def begin(self, point: Point | None) -> None:  # noqa: B027
        """Called before the first run of a point, or of the unbroken run."""

    def killed(self) -> None:  # noqa: B027
        """Called after its death, before it is asked again."""

    def owns(self, request: Request) -> bool:
        """Return whether the victim itself sent the request, so that the request dies with it."""
        return True

    def made(self) -> dict[str, str]:
        """Return what the work has made so far: digests by name."""
        return content(self.proxied.store)

    def points(self, written: Sequence[Request]) -> list[Point]:
        """Return the commit points of an unbroken run: `before` and `after` each write."""
        return [Point(*place, moment) for place in _places(written) for moment in ("before", "after")]

    def close(self) -> None:
        """End everything."""
        self.kill()


def _places(written: Sequence[Request]) -> Iterator[tuple[str, str, int]]:
    seen: Counter[tuple[str, str]] = Counter()
    for request in written:
        place = (request.kind, masked(request.key))
        yield (*place, seen[place])
        seen[place] += 1


@dataclass
class Tally:
    """The results of killing one victim."""

    kills: int = 0
    equal: int = 0
    complaints: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


class _Trigger:
    """A rule that kills the victim at the first of some points that it reaches, or at each of them.

    Args:
        victim: What is killed.
        points: Where it is killed. In a chain the next write of a point's kind meets it, whatever its turn.
        chain: Kill again at the points that are left.
    """

    def __init__(self, victim: Victim, points: Sequence[Point], *, chain: bool = False) -> None:
        self._victim, self.left, self._chain = victim, list(points), chain
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self.fired: list[Point] = []

    def __call__(self, request: Request) -> Fault | None:
        if not request.writes:
            return None
        place = (request.kind, masked(request.key))
        with self._lock:
            point = next((point for point in self.left if self._meets(point, place)), None)
            self._seen[place] += 1
            if point is None:
                return None
            self.left.remove(point)
            self.fired.append(point)

        def fire() -> bool:
            self._victim.kill()
            return self._victim.owns(request)

        return Fault(before=fire) if point.moment == "before" else Fault(after=fire)

    def _meets(self, point: Point, place: tuple[str, str]) -> bool:
        if (point.kind, point.key) != place:
            return False
        return self._chain or (self._seen[place] == point.turn and not self.fired)


def unbroken(victim: Victim) -> tuple[list[Request], dict[str, str]]:
    """Run undisturbed; return what was written and the content that was made."""
    victim.begin(None)
    victim.proxied.clear()
    assert victim.ask(), "nobody killed it"
    assert half_visible(victim.proxied.store) == []
    return victim.proxied.proxy.written(), victim.made()


def kill_at(victim: Victim, point: Point, expected: dict[str, str], tally: Tally) -> None:
    """Kill at a point, check what is visible, ask again, and compare with the unbroken run."""
    kill_again_and_again(victim, [point], expected, tally, chain=False)


def kill_again_and_again(
    victim: Victim, points: Sequence[Point], expected: dict[str, str], tally: Tally, *, chain: bool = True
) -> None:
    """Kill one job at every point that it reaches, ask again each time, and compare with the unbroken run."""
    proxied = victim.proxied
    victim.begin(points[0] if not chain else None)
    proxied.clear()
    trigger = _Trigger(victim, points, chain=chain)
    proxied.proxy.rule = trigger
    complaints: list[str] = []
    ended = victim.ask()
    while not ended:
        where = f"{victim.name} killed {trigger.fired[-1]}"
        complaints += [f"{where}: {complaint}" for complaint in _wrong(victim, expected)]
        victim.killed()
        before = set(proxied.store.list(""))
        proxied.proxy.forget()
        ended = victim.ask()
        redone = victim.redone(before, proxied.proxy.written())
        if redone > 1:
            complaints.append(f"{where}: {redone} parts or intervals were done again")
    proxied.proxy.rule = None
    complaints += [f"{victim.name}, in the end: {complaint}" for complaint in _wrong(victim, expected)]
    found = victim.made()
    names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    complaints += [f"{victim.name}, in the end: {name} differs from the unbroken run's" for name in names]
    tally.kills += len(trigger.fired)
    tally.equal += 0 if complaints else len(trigger.fired)
    tally.missed += map(str, trigger.left)
    tally.complaints += complaints


def _wrong(victim: Victim, expected: dict[str, str]) -> list[str]:
    """Return what readers of the bucket would see now and should not."""
    made = content(victim.proxied.store)
    other = [f"{prefix} is visible with other content" for prefix in made if made[prefix] != expected.get(prefix)]
    return half_visible(victim.proxied.store) + other


def run_matrix(
    victims: Sequence[Victim],
    tally: Tally,
    choose: Callable[[list[Point]], list[Point]] = list,
    *,
    chain: bool = False,
    known: tuple[list[Request], dict[str, str]] | None = None,
) -> None:
    """Kill at all chosen points of the first victim's unbroken run; the victims are equal and share the points.

    Args:
        victims: Equal victims, each with a store of its own; they work side by side.
        tally: Collects the results.
        choose: Which of all points.
        chain: Every victim has all its points in one job and is asked again after each kill. Otherwise every
            point has a job of its own.
        known: What an unbroken run wrote and made, if there was one already.
    """
    with ThreadPoolExecutor(len(victims)) as pool:
        (written, expected), *others = [known] if known else pool.map(unbroken, victims)
        assert all(made == expected for _, made in others), "two unbroken runs differ"
        chosen = choose(victims[0].points(written))
        if chain:
            shares = [chosen[number :: len(victims)] for number in range(len(victims))]
            list(
                pool.map(
                    lambda job: kill_again_and_again(job[0], job[1], expected, tally), zip(victims, shares, strict=True)
                )
            )
            return
        points: SimpleQueue[Point] = SimpleQueue()
        for point in chosen:
            points.put(point)

        def work(victim: Victim) -> None:
            with suppress(Empty):
                while True:
                    kill_at(victim, points.get_nowait(), expected, tally)

        list(pool.map(work, victims))


def sample(count: int, seed: int) -> Callable[[list[Point]], list[Point]]:
    """Return a function that draws `count` points at random."""
    return lambda points: random.Random(seed).sample(points, min(count, len(points)))
