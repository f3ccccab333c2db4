"""A call in a process of its own: what it gives, raises and prints comes back."""

import os
import warnings
from functools import partial

import pytest

from stylerepro.errors import ResultsWarning, RunError
from stylerepro.runs.processes import LocalExecutor, call_apart


def shout(words):
    warnings.warn(words, ResultsWarning, stacklevel=2)
    return os.getpid()


def test_what_is_said_in_the_process_is_said_here_and_what_it_gives_comes_back(capsys):
    assert call_apart(partial(shout, "a run is damaged")) != os.getpid()
    assert capsys.readouterr().err == "warning: a run is damaged\n"


def test_what_it_raises_is_raised_here_and_a_death_is_named():
    executor = LocalExecutor(2)
    raised, died = executor.submit(int, "x"), executor.submit(os._exit, 7)
    with pytest.raises(ValueError, match="invalid literal"):
        raised.result()
    with pytest.raises(RunError, match="its process ended with status 7"):
        died.result()
    executor.stop()
