"""One picture by one command: settings as text, each with the default that stands in the function's signature."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylerepro.errors import ImageError, ParameterError, unknown
from stylerepro.pictures import images
from stylerepro.runs.experiments import SCALARS, Parameter, convert
from stylerepro.transfer.transfer import transfer

SIZE = 512  # pixels of the short side; a photograph as it comes from a camera would take an hour on a CPU


def settings(function: Callable[..., Any] = transfer) -> dict[str, Parameter]:
    """The keyword arguments of `function` that can be typed: numbers, words, switches and lists of words."""
    hints = typing.get_type_hints(function)
    found = {}
    for name, argument in inspect.signature(function).parameters.items():
        kind = _typable(hints[name])
        if kind and argument.default is not argument.empty and name != "progress":
            default = list(argument.default) if isinstance(argument.default, tuple) else argument.default
            found[name] = Parameter(name, kind, default)
    return found


def _typable(hint: Any) -> str:
    """The type as `experiments.convert` reads it, or "" for what cannot be typed on a command line."""
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    nullable = " | None" if type(None) in choices else ""
    for choice in choices:
        if getattr(choice, "__name__", "") in SCALARS:
            return f"{choice.__name__}{nullable}"
    return f"list[str]{nullable}" if Sequence[str] in choices else ""


def stylise(
    content: str, style: str, out: Path, *, size: int | None = SIZE, given: Mapping[str, str] | None = None,
    progress: bool = False,
) -> str:  # fmt: skip
    """Write `content` in the style of `style` to `out`; returns in one line what was done.

    size: pixels of the short side of both, None keeps their own. given: settings of `transfer` as text. Raises, before
    anything is computed, `ParameterError` for a setting that does not exist or has the wrong type and `ImageError` for
    a name of `out` that is no picture's; then what `images.read` and `transfer` raise.
    """
    known = settings()
    for name in given or {}:
        if name not in known:
            raise ParameterError(unknown(name, list(known), "setting", "transfer"))
    values = {name: convert(known[name], text, "transfer") for name, text in (given or {}).items()}
    if out.suffix.lower() not in images.SUFFIXES:
        raise ImageError(f"{out}: give a name that ends in {', '.join(images.SUFFIXES)}.")
    result = transfer(images.read(content, size), images.read(style, size), progress=progress, **values)
    images.write(result.image, out)
    _, _, height, width = result.image.shape
    return f"{out}: {width}×{height} pixels, {result.evaluations} evaluations in {result.seconds:.1f} s"
