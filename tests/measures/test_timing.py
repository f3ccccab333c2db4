"""The protocol with a clock that the test holds in its hand, and memory against what numpy is known to allocate."""

import os
import platform

import numpy as np
import pytest

from stylerepro.errors import ParameterError
from stylerepro.measures import timing
from stylerepro.measures.timing import Timing, compare, hardware, in_turn, measure, peak_memory


class Clock:
    """Time that passes only when a timed function says so."""

    now = 0.0

    def spend(self, *seconds):
        left = list(seconds)

        def function():
            self.now += left.pop(0)

        return function


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    return clock


def noting(name, function, called):
    return lambda: (called.append(name), function())


def test_warm_up_is_not_counted(clock):
    assert measure(clock.spend(100, 1, 2, 3, 4, 5), repeats=5) == Timing(3, 2, 4, 5)


def test_pairs_alternate_and_give_the_median_ratio(clock):
    called, first, second = [], clock.spend(9, 1, 2, 4), clock.spend(9, 2, 6, 4)
    comparison = compare(noting("a", first, called), noting("b", second, called), repeats=3)
    assert called == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert comparison.ratio == 2  # of 2/1, 6/2, 4/4
    assert comparison.first.median == 2
    assert comparison.second.median == 4
    assert (comparison.lower, comparison.upper) == (1.5, 2.5)


def test_functions_take_turns_and_the_first_round_does_not_count(clock):
    called, seconds = [], {"slow": (100, 3, 3, 3), "quick": (100, 1, 1, 2)}
    table = in_turn({name: noting(name, clock.spend(*given), called) for name, given in seconds.items()}, repeats=3)
    assert called == ["slow", "quick", "quick", "slow"] * 2
    assert table["seconds"].to_dict() == {"slow": 3.0, "quick": 1.0}
    assert table.loc["quick", ["lower", "upper", "repeats"]].tolist() == [1.0, 1.5, 3]


def test_the_device_is_synchronised_before_every_look_at_the_clock(monkeypatch):
    events = []
    monkeypatch.setattr(timing, "synchronise", lambda device: events.append(str(device)))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(events.append("clock") or len(events)))
    measure(lambda: events.append("call"), warmup=0, repeats=1, device="cuda")
    assert events == ["cuda", "clock", "call", "cuda", "clock"]


def test_synchronising_asks_the_device_that_is_meant(monkeypatch):
    asked = []
    monkeypatch.setattr(timing.torch.cuda, "synchronize", asked.append)
    monkeypatch.setattr(timing.torch.mps, "synchronize", lambda: asked.append("mps"))
    for device in ("cpu", "cuda:1", "mps"):
        timing.synchronise(device)
    assert asked == ["cuda:1", "mps"]


def test_no_repeat_is_refused():
    with pytest.raises(ParameterError, match="at least 1 repeat"):
        measure(lambda: None, repeats=0)
    with pytest.raises(ParameterError, match="at least 1 repeat"):
        compare(lambda: None, lambda: None, warmup=-1)
    with pytest.raises(ParameterError, match="at least 1 repeat"):
        in_turn({"one": lambda: None}, repeats=0)


def test_hardware_says_what_matters_and_not_whose_it_is():
    record = hardware()
    assert record["cpu"]
    assert record["cores"] >= 1
    assert record["threads"] >= 1
    assert record["python"] == platform.python_version()
    assert record["memory_gib"] is None or record["memory_gib"] > 0
    assert not any(platform.node() in str(value) for value in record.values() if platform.node())
    assert not any("/" in str(value) and str(value).startswith("/") for value in record.values())


# ---- memory

MEGABYTE = 2**20


def allocation(megabytes):
    """A call that fills an array of so many megabytes twice, one after the other, and lets it go."""

    def fill():
        for _ in range(2):
            np.ones(megabytes * MEGABYTE // 8).sum()

    return fill


def failing():
    def fail():
        raise ValueError("no such luck")

    return fail


def test_the_peak_is_what_is_held_at_once():
    """Two arrays one after the other count as one; what was freed by the end counts as well."""
    assert peak_memory(allocation, 200, warm=(1,)) == pytest.approx(200 * MEGABYTE, rel=0.15)


def asked_of_the_allocator():
    if os.environ["MALLOC_MMAP_THRESHOLD_"] != "65536":
        raise ValueError("freed memory would be kept")
    return lambda: None


@pytest.mark.parametrize("before", [None, "131072"])
def test_the_environment_is_as_before_when_memory_was_measured(monkeypatch, before):
    name = "MALLOC_MMAP_THRESHOLD_"
    if before is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, before)
    assert peak_memory(asked_of_the_allocator) < 50 * MEGABYTE
    assert os.environ.get(name) == before


def test_an_error_reaches_the_caller():
    with pytest.raises(ValueError, match="no such luck"):
        peak_memory(failing)
