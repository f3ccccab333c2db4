"""Every error that the project raises on purpose.

Each message names what was wrong, what was expected and what to do next. The command prints the message alone;
a script can catch `StyleReproError` for all of them, or one class for one room of the package.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any


class StyleReproError(Exception):
    """Base of all errors that a user can do something about."""


class ImageError(StyleReproError, ValueError):
    """A picture that cannot be read, written or resized."""


class AssetError(StyleReproError):
    """A file to be fetched that is unknown, unreachable or not what its hash says."""


class NetworkError(StyleReproError, ValueError):
    """A loss network that is unknown, has no weights here, or was asked for a layer it does not have."""


class CompressionError(StyleReproError, ValueError):
    """A rank or reading that a factorisation does not have."""


class TransferError(StyleReproError):
    """An optimisation that left the finite numbers or was asked for something it cannot do.

    Where a loss left the finite numbers, `image` is the last good one, `history` the table so far, `step` where.
    """

    image: Any = None
    history: Any = None
    step: int | None = None


class ParameterError(StyleReproError, ValueError):
    """A notebook parameter that does not exist or has the wrong type."""


class ResultsError(StyleReproError):
    """A run's folder that cannot be written, or a table that is not what was declared."""


class DiskFullError(ResultsError, OSError):
    """A file that was not written because its disk, or the user's share of it, is full."""


class ClaimError(StyleReproError, ValueError):
    """A claim whose rule could not fail, or that names an unknown experiment or column."""


class RunError(StyleReproError):
    """A run that could not be planned, started or finished."""


class ResultsWarning(UserWarning):
    """A result on disk, or a part of one, that was passed over: it is damaged, or cannot be shown."""


def unknown(name: str, known: Mapping[str, Any] | list[str], what: str, where: str) -> str:
    """The message for a name that does not exist, with the nearest that does."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{where} has no {what} {name!r}.{hint} It has: {', '.join(known) or 'none'}."
