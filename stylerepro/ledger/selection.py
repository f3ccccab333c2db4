"""What a rule looks at and what it answers: the rows of a table that a leaf selects, and its outcome.

The keys of a leaf that select are listed in `rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

REPRODUCED, TREND_ONLY, NOT_REPRODUCED, NOT_TESTED = "reproduced", "trend only", "not reproduced", "not tested"
VERDICTS = (REPRODUCED, TREND_ONLY, NOT_REPRODUCED, NOT_TESTED)
UNITS = ("content", "style")
UNITLESS = ("number", "beside")  # kinds that look at rows, not at pairs of pictures

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """What one leaf of a rule came to: its name and kind, its own verdict, and its numbers as in `Outcome`."""

    name: str
    kind: str
    verdict: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    effect: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a rule made of the tables. measured: in words, with units; value, low, high, effect, n: of the first leaf.

    effect: d_z, the mean of a paired difference over its standard deviation; of a trend, that of the change from the
    lowest level to the highest; None for other kinds and where there is one unit only. n: the units, which are pairs
    of pictures or what the rule has in their place, and rows where it looks at rows. parts: every leaf's own.
    """

    verdict: str
    measured: str = ""
    reason: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    effect: float | None = None
    n: int | None = None
    parts: tuple[Part, ...] = ()


class Settled(Exception):
    """A leaf that is settled before any statistic: no rows, or none that meets the condition."""

    def __init__(self, verdict: str, reason: str) -> None:
        self.outcome = Outcome(verdict, "", reason)


def select(rule: Rule, table: pd.DataFrame | None) -> pd.DataFrame:
    """The rows that the leaf speaks of, with the measured number as `_value`; those without a number are left out.

    `attrs["lacking"]` of the answer counts those. Raises `Settled` where nothing is left to decide on.
    """
    if table is None or table.empty:
        raise Settled(NOT_TESTED, f"no run of {rule.get('experiment')} yet")
    for column in columns(rule):
        if column not in table:
            reason = f"the table of {rule.get('experiment')} has no column {column!r}: run it again"
            raise Settled(NOT_TESTED, reason)
    for column, wanted in rule.get("where", {}).items():
        table = table[matches(table[column], wanted)]
        if table.empty:
            raise Settled(NOT_TESTED, f"no rows of {rule.get('experiment')} with {column} {words(wanted)}")
    for column, (low, high) in rule.get("given", {}).items():
        table = table[table[column].between(low, high)]
        if table.empty:
            raise Settled(NOT_REPRODUCED, f"no row has {column} between {number_text(low)} and {number_text(high)}")
    values = table[rule["column"]].astype(float) * rule.get("scale", 1)
    if "over" in rule:
        values = values / table[rule["over"]].astype(float)
    # A ratio of numbers that are not positive says nothing.
    usable = np.isfinite(values) & ((values > 0) | (not rule.get("relative", False)))
    table = table.assign(_value=values.where(usable))
    kept = table.dropna(subset="_value")
    if kept.empty:
        raise Settled(NOT_TESTED, f"no value in column {rule['column']} of {rule.get('experiment')}")
    kept.attrs["lacking"] = len(table) - len(kept)
    return kept


def columns(rule: Rule) -> list[str]:
    """The columns that a leaf needs its experiment to have, those of its units included."""
    named = [rule.get(key) for key in ("column", "over", "x", "between", "floor")]
    listed = [*rule.get("where", {}), *rule.get("given", {}), *rule.get("match", ()), *rule.get("tell", ())]
    units = () if rule["kind"] in UNITLESS else rule.get("units", UNITS)
    return list(dict.fromkeys([*(name for name in named if name), *listed, *units]))


def matches(series: Any, wanted: Any) -> pd.Series:
    """Which entries of a column are `wanted`: a value, null (none), or a list of these; numbers up to rounding."""
    found = pd.Series(False, index=series.index)
    for one in wanted if isinstance(wanted, list) else [wanted]:
        if one is None:
            found |= series.isna()
        elif isinstance(one, float | int) and not isinstance(one, bool):
            found |= pd.Series(np.isclose(pd.to_numeric(series, errors="coerce").astype(float), one), series.index)
        else:
            found |= (series == one).fillna(False).astype(bool)
    return found


def number_text(number: float) -> str:
    """A number as people read it: four digits, a real minus sign."""
    return f"{number:.4g}".replace("-", "−")


def short_text(number: float) -> str:
    """A number as a table of many shows it: three digits, all of those before the point, a real minus sign."""
    if not np.isfinite(number):
        return "" if np.isnan(number) else "∞" if number > 0 else "−∞"
    return f"{number:{'.0f' if abs(number) >= 1000 else '.3g'}}".replace("-", "−")


def stated_text(number: float | tuple[float, ...]) -> str:
    """What a document states, as it prints it: one number, or several of a table."""
    *others, last = (f"{one:g}".replace("-", "−") for one in (number if isinstance(number, tuple) else (number,)))
    return f"{', '.join(others)} and {last}" if others else last


def words(wanted: Any) -> str:
    """A `where` value in words."""
    return " or ".join(map(words, wanted)) if isinstance(wanted, list) else "none" if wanted is None else str(wanted)
