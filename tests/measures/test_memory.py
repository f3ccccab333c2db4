"""Peak memory, against what numpy is known to allocate."""

import os

import numpy as np
import pytest

from stylerepro.measures.timing import peak_memory

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
