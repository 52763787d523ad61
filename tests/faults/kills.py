"""The kill matrix: a victim's unbroken run gives its commit points; at each of them it is killed and asked again."""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

from tests.faults.house import House, content, half_visible, masked
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
    """Something that does one piece of work over a house's proxy, that can be killed and asked again."""

    name: str

    def __init__(self, house: House) -> None:
        self.house = house

    @abstractmethod
    def ask(self) -> bool:
        """Start what does not run and ask for the work; false when the victim died before it was done."""

    @abstractmethod
    def kill(self) -> None:
        """kill -9."""

    @abstractmethod
    def redone(self, before: set[str], again: Sequence[Request]) -> int:
        """Parts, or intervals between checkpoints, that were made again though they were there.

        Args:
            before: Keys that were there when it was asked again.
            again: What the second run wrote.
        """

    def begin(self, point: Point | None) -> None:  # noqa: B027
        """Called before the first run of a point, or of the unbroken run."""

    def killed(self) -> None:  # noqa: B027
        """Called when it has died, before it is asked again."""

    def owns(self, request: Request) -> bool:
        """Whether the victim itself sent the request, so that it is lost with it."""
        return True

    def made(self) -> dict[str, str]:
        """What the work has made so far: digests by name."""
        return content(self.house.store)

    def points(self, written: Sequence[Request]) -> list[Point]:
        """Commit points of an unbroken run, `before` and `after` each write."""
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
    """What became of the kills of one victim."""

    kills: int = 0
    equal: int = 0
    complaints: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


class _Trigger:
    """A rule that kills the victim at a point, once."""

    def __init__(self, victim: Victim, point: Point) -> None:
        self._victim, self._point = victim, point
        self._seen = 0
        self._lock = threading.Lock()
        self.fired = False

    def __call__(self, request: Request) -> Fault | None:
        point = self._point
        if not request.writes or (request.kind, masked(request.key)) != (point.kind, point.key):
            return None
        with self._lock:
            hit = self._seen == point.turn and not self.fired
            self._seen += 1
            self.fired = self.fired or hit
        if not hit:
            return None

        def fire() -> bool:
            self._victim.kill()
            return self._victim.owns(request)

        return Fault(before=fire) if point.moment == "before" else Fault(after=fire)


def unbroken(victim: Victim) -> tuple[list[Request], dict[str, str]]:
    """An undisturbed run: what it wrote, and the content it made."""
    victim.begin(None)
    victim.house.clear()
    assert victim.ask(), "nobody killed it"
    assert half_visible(victim.house.store) == []
    return victim.house.proxy.written(), victim.made()


def kill_at(victim: Victim, point: Point, expected: dict[str, str], tally: Tally) -> None:
    """Kill at a point, look, ask again, and compare with the unbroken run."""
    house = victim.house
    victim.begin(point)
    house.clear()
    trigger = _Trigger(victim, point)
    house.proxy.rule = trigger
    ended = victim.ask()
    house.proxy.rule = None
    if not trigger.fired:
        tally.missed.append(str(point))
        return
    tally.kills += 1
    where = f"{victim.name} killed {point}"
    complaints = [f"{where}: {complaint}" for complaint in half_visible(house.store)]
    made = content(house.store)
    complaints += [f"{where}: {prefix} has other content" for prefix in made if made[prefix] != expected.get(prefix)]
    if not ended:
        victim.killed()
        before = set(house.store.list(""))
        house.proxy.forget()
        if not victim.ask():
            complaints.append(f"{where}: it ended early again")
        redone = victim.redone(before, house.proxy.written())
        if redone > 1:
            complaints.append(f"{where}: {redone} parts or intervals were done again")
    complaints += [f"{where}, asked again: {complaint}" for complaint in half_visible(house.store)]
    found = victim.made()
    if found == expected:
        tally.equal += 1
    else:
        names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        complaints.append(f"{where}: what was made differs from the unbroken run's: {', '.join(names)}")
    tally.complaints += complaints


def run_matrix(
    victims: Sequence[Victim], tally: Tally, choose: Callable[[list[Point]], list[Point]] = list
) -> tuple[list[Request], dict[str, str]]:
    """Kill at all chosen points of the first victim's unbroken run; the victims, all alike, share the points."""
    with ThreadPoolExecutor(len(victims)) as pool:
        (written, expected), *others = pool.map(unbroken, victims)
        assert all(made == expected for _, made in others), "two unbroken runs differ"
        points: SimpleQueue[Point] = SimpleQueue()
        for point in choose(victims[0].points(written)):
            points.put(point)

        def work(victim: Victim) -> None:
            while not points.empty():
                kill_at(victim, points.get(), expected, tally)

        list(pool.map(work, victims))
    return written, expected


def sample(count: int, seed: int) -> Callable[[list[Point]], list[Point]]:
    """Chooses so many points, seeded."""
    return lambda points: random.Random(seed).sample(points, min(count, len(points)))
