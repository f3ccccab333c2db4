"""What an experiment's run was asked for, beside the tables that tests/conftest.py hands out."""

import pytest

from stylerepro.runs import experiments


@pytest.fixture(scope="session")
def chosen():
    """Parameters of an experiment's profile, by name."""
    return lambda name, profile="smoke": experiments.resolve_parameters(experiments.load(name), profile)
