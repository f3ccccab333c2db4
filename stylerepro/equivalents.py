"""Changes of modules that move no number: what is fresh stays fresh, though the code is no longer the same.

An entry is made by hand, for a change that only a run which fails could notice, such as an error's words. Before it is
made, runs of before and after are compared to the last digit: `python tests/same_numbers.py BEFORE AFTER`. An entry
holds for this one change: with the next one the module's hash is another, and counts. It holds for the Python that made
the committed runs, too: another one writes code anew in other words, and for it they are stale in any case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Equivalent:
    """A module's hash as it is now, and the hash as which it counts. why: what changed, in words."""

    module: str
    now: str
    before: str
    why: str


EQUIVALENTS = (
    Equivalent(
        "stylerepro.weights",
        now="057e844306c70915e6de4d9c1e35f9e30f88d3b9cc217ec57388155c194ac1ee",
        before="3b86874f23c11a71dcba2ba6517ee1e0b18970559413bb8bbdbb2adab3a9acbf",
        why="whatever torch's reader says of a damaged file is a NetworkError",
    ),
    Equivalent(
        "stylerepro.perceptual",
        now="68b8bfcfc34e59115022f39ee9d2704d95ddccf54dfb8a05a4d96411cc998d84",
        before="1e21b5c9bf3fd58824db195caad00a97ddd6677809982337767816060bd6a8e0",
        why="a tensor that is missing among the weights, or has another shape, is a NetworkError that names it",
    ),
)
_BEFORE: Mapping[tuple[str, str], str] = MappingProxyType({(one.module, one.now): one.before for one in EQUIVALENTS})


def counted(module: str, digest: str) -> str:
    """The hash as which a module counts: its own, but for a change that moves no number."""
    return _BEFORE.get((module, digest), digest)
