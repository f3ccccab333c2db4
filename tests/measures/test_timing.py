"""The protocol with a clock that the test holds in its hand, and memory against what numpy is known to allocate."""

import os
import platform
from functools import partial

import numpy as np
import pytest

from stylerepro.errors import ParameterError
from stylerepro.measures import timing
from stylerepro.measures.timing import Timing, compare, hardware, in_turn, measure, peak_memory


@pytest.fixture
def spend(monkeypatch):
    """Make a function that takes the given seconds, one a call, by a clock that moves for nothing else."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def make(*seconds, name="", called=None):
        left = list(seconds)

        def function():
            now[0] += left.pop(0)
            if called is not None:
                called.append(name)

        return function

    return make


def test_warm_up_is_not_counted(spend):
    assert measure(spend(100, 1, 2, 3, 4, 5), repeats=5) == Timing(3, 2, 4, 5)


def test_pairs_alternate_and_give_the_median_ratio(spend):
    called = []
    first, second = (spend(9, *rest, name=name, called=called) for name, rest in (("a", (1, 2, 4)), ("b", (2, 6, 4))))
    comparison = compare(first, second, repeats=3)
    assert "".join(called) == "ababbaab"
    assert comparison.ratio == 2  # of 2/1, 6/2, 4/4
    assert (comparison.first.median, comparison.second.median) == (2, 4)
    assert (comparison.lower, comparison.upper) == (1.5, 2.5)


def test_functions_take_turns_and_the_first_calls_do_not_count(spend):
    called, seconds = [], {"slow": (100, 3, 3, 3), "quick": (100, 1, 1, 2)}
    table = in_turn({name: spend(*given, name=name, called=called) for name, given in seconds.items()}, repeats=3)
    assert called == ["slow", "quick", *["slow", "quick", "quick", "slow"], "slow", "quick"]
    assert table["seconds"].to_dict() == {"slow": 3.0, "quick": 1.0}
    assert table.loc["quick", ["lower", "upper", "repeats"]].tolist() == [1.0, 1.5, 3]


def test_the_device_that_is_meant_is_synchronised_before_every_look_at_the_clock(monkeypatch):
    events = []
    monkeypatch.setattr(timing.torch.cuda, "synchronize", lambda device: events.append(str(device)))
    monkeypatch.setattr(timing.torch.mps, "synchronize", lambda: events.append("mps"))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(events.append("clock") or len(events)))
    for device in ("cuda:1", "mps", "cpu"):
        measure(lambda: events.append("call"), repeats=1, device=device)
    looks = [["call", "cuda:1", "clock", "call", "cuda:1", "clock"], ["call", "mps", "clock", "call", "mps", "clock"]]
    assert events == [*looks[0], *looks[1], "call", "clock", "call", "clock"]


@pytest.mark.parametrize("call", [partial(measure, bool), partial(compare, bool, bool), partial(in_turn, {"a": bool})])
def test_no_repeat_is_refused(call):
    with pytest.raises(ParameterError, match="at least 1 repeat"):
        call(repeats=0)


def test_hardware_says_what_matters_and_not_whose_it_is():
    record = hardware()
    assert record["cpu"]
    assert min(record["cores"], record["threads"]) >= 1
    assert record["python"] == platform.python_version()
    assert record["memory_gib"] is None or record["memory_gib"] > 0
    assert not any(platform.node() in str(value) for value in record.values() if platform.node())
    assert not any(str(value).startswith("/") for value in record.values())


# ---- memory

MEGABYTE = 2**20
THRESHOLD = "MALLOC_MMAP_THRESHOLD_"


def allocation(megabytes):
    """A call that fills an array of so many megabytes twice, one after the other, and lets it go."""
    assert os.environ[THRESHOLD] == "65536", "freed memory would be kept"

    def fill():
        for _ in range(2):
            np.ones(megabytes * MEGABYTE // 8).sum()

    return fill


def test_the_peak_is_what_is_held_at_once(monkeypatch):
    """Two arrays one after the other count as one; what was freed by the end counts as well."""
    monkeypatch.delenv(THRESHOLD, raising=False)
    assert peak_memory(allocation, 200, warm=(1,)) == pytest.approx(200 * MEGABYTE, rel=0.15)
    assert THRESHOLD not in os.environ


def test_an_error_reaches_the_caller_and_the_environment_is_as_before(monkeypatch):
    monkeypatch.setenv(THRESHOLD, "131072")
    with pytest.raises(ValueError, match="no such luck"):
        peak_memory(partial, int, "no such luck")
    assert os.environ[THRESHOLD] == "131072"
