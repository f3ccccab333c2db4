"""How long runs take together: words to seconds, this machine's pace, and what is left of several at a time."""

import heapq
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|seconds?|min|minutes?|h|hours?|days?)\b")
# A run that has gone on past its time ends some day: it is taken to need this part of its time so far again.
_OVERDUE = 0.1


def seconds_in(words: str) -> float | None:
    """The seconds that a sidecar's words say: 180 for "3 min", 4860 for "6 min, and 75 min on one core to train".

    What is joined is added; what stands in brackets, behind a semicolon or is said of a GPU does not count. None where
    that leaves no number.
    """
    plain = re.sub(r"\(.*?\)", "", words).partition(";")[0]
    found = [number for part in plain.split(",") if "GPU" not in part for number in _NUMBER.findall(part)]
    unit = {word: seconds for _, word in found for name, seconds in _UNITS.items() if word.startswith(name)}
    return sum(float(number) * unit[word] for number, word in found) if found else None


def roughly(seconds: float) -> str:
    """Seconds as one says what cannot be known exactly: "about 12 min", "about 2 h 10 min", "less than a minute"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"about {minutes} min"
    hours, rest = divmod(5 * round(minutes / 5), 60)
    return f"about {hours} h {rest} min" if rest and hours < 10 else f"about {hours + (rest >= 30)} h"


def together(waiting: Iterable[float], workers: int, running: Iterable[float] = ()) -> float:
    """Seconds until all have ended: those that run need these seconds more; each that waits, longest first, takes the
    first worker that is free.
    """
    free = list(running)
    free += [0.0] * (workers - len(free))
    heapq.heapify(free)
    for seconds in sorted(waiting, reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free, default=0.0)


def pace(ended: Iterable[tuple[float, float]]) -> float:
    """How slow this machine is, from pairs (seconds expected, seconds taken): 2.0 where all took twice as long."""
    pairs = list(ended)
    expected = sum(one for one, _ in pairs)
    return sum(taken for _, taken in pairs) / expected if expected else 1.0


@dataclass
class _Running:
    since: float
    # Of the loop that the notebook is in: its name, and (time, done, wanted) when it was first seen and when it last
    # moved.
    loop: str = ""
    first: tuple[float, int, int] = (0.0, 0, 0)
    last: tuple[float, int, int] = (0.0, 0, 0)

    def loop_left(self, now: float) -> float | None:
        """Seconds to the end of the loop, at the speed it has had; None before it has moved."""
        (began, before, _), (moved, done, wanted) = self.first, self.last
        if done == before:
            return None
        return max(0.0, (moved - began) / (done - before) * (wanted - done) - (now - moved))


@dataclass
class Countdown:
    """What is left of a plan; it is told what happens at which time (seconds of any one clock).

    expected: run to its seconds, None where nobody knows. resumed: the runs that go on from kept parts, whose seconds
    here say nothing about the pace.
    """

    expected: Mapping[Hashable, float | None]
    workers: int = 1
    resumed: frozenset[Hashable] = frozenset()
    _running: dict[Hashable, _Running] = field(default_factory=dict)
    _ended: dict[Hashable, float | None] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many runs have ended."""
        return len(self._ended)

    def started(self, run: Hashable, now: float) -> None:
        """A worker has taken up the run."""
        self._running[run] = _Running(now)

    def moved(self, run: Hashable, done: int, wanted: int, loop: str, now: float) -> None:
        """The run is in a loop of this name and has done so many of those wanted."""
        one = self._running[run]
        if loop != one.loop or wanted != one.last[2]:
            one.loop, one.first, one.last = loop, (now, done, wanted), (now, done, wanted)
        elif done != one.last[1]:
            one.last = (now, done, wanted)

    def loop(self, run: Hashable) -> str:
        """Where the run is, in words: "12 of 96 settings"; "" where it has not said."""
        one = self._running[run]
        return f"{one.last[1]} of {one.last[2]} {one.loop}" if one.loop else ""

    def ended(self, run: Hashable, seconds: float | None) -> None:
        """The run is over. seconds: that the whole of it took; None for one that failed or was not done here."""
        self._running.pop(run, None)
        self._ended[run] = seconds

    def left(self, now: float) -> tuple[float, int]:
        """Seconds until all have ended, and how many are not counted in that because nothing is known about them."""
        slow = pace(
            (self.expected[run] or 0.0, seconds)
            for run, seconds in self._ended.items()
            if seconds is not None and self.expected[run] and run not in self.resumed
        )
        running = [self._rest(run, one, slow, now) for run, one in self._running.items()]
        waiting = [
            seconds and seconds * slow
            for run, seconds in self.expected.items()
            if run not in self._running and run not in self._ended
        ]
        known = [one for one in waiting if one is not None]
        rest = together(known, self.workers, [one or 0.0 for one in running])
        return rest, running.count(None) + waiting.count(None)

    def _rest(self, run: Hashable, one: _Running, slow: float, now: float) -> float | None:
        loop, expected = one.loop_left(now), self.expected[run]
        if expected is None:
            return loop
        if run in self.resumed:
            # How much of its time lies in what was kept nobody knows; its loop says more than its whole time does.
            _, done, wanted = one.last
            return loop if loop is not None else expected * slow * (1 - done / max(wanted, 1))
        # A loop is rarely all of a notebook, so it can only say that more is left, not less.
        past = now - one.since
        rest = expected * slow - past
        return max(rest if rest > 0 else _OVERDUE * past, loop or 0.0)
