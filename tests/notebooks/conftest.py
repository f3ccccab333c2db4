"""What an experiment's run was asked for, beside the tables that tests/conftest.py hands out."""

import pytest

from stylerepro.runs import experiments


@pytest.fixture(scope="session")
def chosen():
    """Parameters of an experiment's profile, by name."""
    return lambda name, profile="smoke": experiments.resolve_parameters(experiments.load(name), profile)


@pytest.fixture
def given(chosen, request):
    """The smoke parameters of the experiment that the module of tests is called after."""
    return chosen(request.module.__name__.removeprefix("test_"))


@pytest.fixture
def table(tables, request):
    """The smoke table of that experiment."""
    return tables[request.module.__name__.removeprefix("test_")]
