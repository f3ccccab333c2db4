"""Docstrings for autodoc: prose with code in backticks, as the package has it, becomes reStructuredText."""

import inspect
import re
from typing import Any

from sphinx.application import Sphinx


def as_restructured_text(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Make lines such as `size: of the shorter side` items of a list, and what is set in by itself a block of code.

    Lists need no empty line before them, and outside backticks no sign is markup.
    """
    try:
        known = set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        known = set()
    told: list[str] = [""]
    item = code = False
    for line in lines:
        was_item, was_code = item, code
        named = re.match(r"(\w+(?:, \w+)*): ", line)
        set_in = line.startswith("    ")
        code = (set_in and (code or not (told[-1] or item))) or (code and not line)
        if code:
            told += [line] if was_code else ["::", "", line]
            continue
        line = _escaped(line)
        if named and set(named[1].split(", ")) <= known:
            line = f"- ``{named[1]}``: {line[named.end() :]}"
        elif item and line[:1].strip() and not line.startswith(("- ", "Raises ")):
            line = f"  {line}"
        item = line.startswith("- ") or (item and line.startswith(" "))
        told += ["", line] if item != was_item else [line]
    lines[:] = told


def _escaped(line: str) -> str:
    """Return the line with every sign that would be markup escaped, but in pairs of backticks."""
    code = re.compile(r"`[^`]+`(?=(\w)?)")
    signs = r"([\\*|`]|(?<=\w)_(?=\W|$))"
    told, end = "", 0
    for found in code.finditer(line):
        told += re.sub(signs, r"\\\1", line[end : found.start()]) + found[0] + ("\\ " if found[1] else "")
        end = found.end()
    return told + re.sub(signs, r"\\\1", line[end:])


def without_factories(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, gives: str | None
) -> tuple[str | None, str | None]:
    """Write a default that a factory makes as an ellipsis, which Sphinx can read."""
    return signature and signature.replace("<factory>", "..."), gives


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("autodoc-process-signature", without_factories)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
