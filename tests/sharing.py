"""Which tests stay in one process when several run side by side, so that what they share is made once.

The groups of pytest-xdist itself do nothing under pytest 9.2 (its issue 1386), and say nothing about it. Here every
process notes in a file which group each test belongs to, and the one that hands out the tests reads it.
"""

import json
import tempfile
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from stylerepro.files import write_json

# Fixtures that take long to make, in the order in which their tests begin: the longest is not left to the end.
SHARED = {"offline": {"offline"}, "book": {"real_book", "small_book", "small_project"}}


def group(item: pytest.Item) -> str:
    """The name of the tests that share a process with this one: those of its file, or all that need one fixture."""
    needed = (name for name, fixtures in SHARED.items() if fixtures.intersection(item.fixturenames))
    return next(needed, item.path.stem)


class Sharing:
    """A plugin of the process that hands out the tests."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stylerepro-tests-")
        self._groups = Path(self._folder.name) / "groups.json"

    def pytest_configure_node(self, node) -> None:
        node.workerinput["groups"] = str(self._groups)

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log) -> LoadScopeScheduling:
        config.option.loadscopereorder = False
        return _Scheduling(config, log, self._groups)

    def pytest_unconfigure(self) -> None:
        self._folder.cleanup()


class _Scheduling(LoadScopeScheduling):
    def __init__(self, config: pytest.Config, log, groups: Path) -> None:
        super().__init__(config, log)
        self._file, self._groups = groups, {}

    def _split_scope(self, nodeid: str) -> str:
        self._groups = self._groups or json.loads(self._file.read_text(encoding="utf-8"))
        return self._groups[nodeid]


def note(items: list[pytest.Item], file: Path) -> None:
    """In a process that runs tests: put them in order, and write down their groups."""
    order = list(SHARED)
    items.sort(key=lambda item: order.index(group(item)) if group(item) in order else len(order))
    write_json(file, {item.nodeid: group(item) for item in items})
