"""Numbers in the book's texts: each is looked up in a run's table, so that none can be out of date."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stylerepro.book.text import figures
from stylerepro.errors import RunError, unknown
from stylerepro.ledger.rules import matches

_STATISTICS = ("median", "mean", "min", "max", "range", "count")
_OPTIONS = ("stat", "as", "digits", "over")


def value(tables: Mapping[str, pd.DataFrame], words: str) -> str:
    """A number of a table, in words: `EXPERIMENT.COLUMN`, conditions `column=value`, options.

    A condition keeps the rows of a value, of one of several (`a|b`) or of none (`column=`); words with spaces stand in
    quotes. Options: stat=median (the default), mean, min, max, range (lowest to highest) or count; as=percent, change
    (in per cent, signed) or number; digits=3; over=COLUMN, divided by it row by row. "not measured" where no row is
    left. Raises `RunError` for words that are none of these and for a column that the table does not have.
    """
    target, *conditions = shlex.split(words)
    experiment, _, column = target.partition(".")
    given = dict(one.partition("=")[::2] for one in conditions)
    options = {name: given.pop(name) for name in _OPTIONS if name in given}
    statistic = options.get("stat", "median")
    if statistic not in _STATISTICS:
        raise RunError(unknown(statistic, list(_STATISTICS), "statistic", f"The book's value {words!r}"))
    table = tables.get(experiment)
    if table is None:
        return "(not run)"
    for name in [column, *given, *filter(None, [options.get("over")])]:
        if name not in table:
            raise RunError(unknown(name, list(table.columns), "column", f"The book's value {words!r}: {experiment}"))
    for name, wanted in given.items():
        table = table[matches(table[name], [_typed(one) for one in wanted.split("|")])]
    numbers = pd.to_numeric(table[column]).astype(float)
    if "over" in options:
        numbers = numbers / pd.to_numeric(table[options["over"]]).astype(float)
    numbers = numbers[numbers.notna()]
    if statistic == "count":
        return str(len(numbers))
    if numbers.empty:
        return "(not measured)"
    if statistic == "range":
        ends = [written(float(end), options) for end in (numbers.min(), numbers.max())]
        return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    return written(float(getattr(numbers, statistic)()), options)


def written(number: float, options: Mapping[str, str]) -> str:
    """A number as the options `as` and `digits` ask for it."""
    digits = int(options.get("digits", 3))
    if not math.isfinite(number):
        return "not finite"
    if options.get("as") == "percent":
        return f"{figures(100 * number, digits)} %"
    if options.get("as") == "change":
        return f"{'+' * (number > 0)}{figures(100 * number, digits)} %"
    return figures(number, digits)


def _typed(text: str) -> Any:
    if text == "":
        return None
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text
