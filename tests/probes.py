"""Tables made up to satisfy a rule and to fail it: one that no value could fail says nothing, whatever is measured."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pandas as pd

from stylerepro.ledger.rules import NOT_REPRODUCED, REPRODUCED, UNITS, Rule, decide
from stylerepro.ledger.verdicts import judge, leaves, readings


def refusal(rule: Rule) -> str | None:
    """Return why `rule` cannot be a rule: no table could fail it, or none could satisfy it; None where it can."""
    for leaf in leaves(rule):
        for reading in [leaf, *(other for *_, other in readings(leaf))]:
            if reason := _leaf_refusal(reading):
                return f"{reading['name']}: {reason}"
    # Parts that look at different numbers hold and fail on their own; the others could get in each other's way.
    seen = [_looks_at(leaf) for leaf in leaves(rule)]
    if len(set(seen)) < len(seen):
        if not _reachable(rule, REPRODUCED, good=True):
            return "its parts contradict each other: no table could satisfy them together"
        if not _reachable(rule, NOT_REPRODUCED, good=False):
            return "its parts leave no way out: no value could fail them together"
    return None


def made_up(leaf: Rule, good: bool) -> list[pd.DataFrame]:
    """Return tables that should satisfy a leaf, just so and by far, or fail it: no effect, the reverse, far off."""
    return [_table(leaf, rows) for rows in _rows(leaf, good)]


def _leaf_refusal(leaf: Rule) -> str | None:
    if REPRODUCED not in [decide(leaf, table).verdict for table in made_up(leaf, good=True)]:
        return "no value could satisfy this rule"
    failed = [decide(leaf, table).verdict for table in made_up(leaf, good=False)]
    if REPRODUCED in failed or NOT_REPRODUCED not in failed:
        return "no value could fail this rule, or not even one far from the claim"
    return None


def _reachable(rule: Rule, verdict: str, good: bool) -> bool:
    """Return whether some made-up tables give `verdict`, the same table for leaves that look at the same numbers."""
    for leaf in leaves(rule):
        for table in made_up(leaf, good):

            def lookup(other: Rule, table: pd.DataFrame = table, leaf: Rule = leaf) -> pd.DataFrame:
                return table if _looks_at(other) == _looks_at(leaf) else made_up(other, good)[0]

            if judge(rule, lookup).verdict == verdict:
                return True
    return False


def _looks_at(leaf: Rule) -> str:
    keys = ("kind", "experiment", "column", "over", "scale", "where", "given", "x", "between", "units")
    conditions = sorted(map(repr, [leaf.get("a"), leaf.get("b"), *leaf.get("controls", ()), *leaf.get("order", ())]))
    return repr([leaf.get(key) for key in keys] + conditions)


def _table(leaf: Rule, rows: Sequence[tuple[Any, float]]) -> pd.DataFrame:
    """Return a table of the rows (level of x or condition, value) in each of three times three units."""
    where = {
        column: next((value for value in wanted if value is not None), None) if isinstance(wanted, list) else wanted
        for column, wanted in leaf.get("where", {}).items()
    }
    given = {column: (low + high) / 2 for column, (low, high) in leaf.get("given", {}).items()}
    fixed = {**dict.fromkeys((*leaf.get("match", ()), *leaf.get("tell", ())), 1), **where, **given}
    for column, value in (("over", 1.0), ("floor", 0.0)):
        if column in leaf:
            fixed[leaf[column]] = value
    units = list(leaf.get("units", UNITS))
    level = leaf.get("x", leaf.get("between"))
    table = [
        {**fixed, **dict(zip(units, unit, strict=True)), level: step, leaf["column"]: value / leaf.get("scale", 1)}
        for unit in product("abc", repeat=len(units))
        for step, value in rows
    ]
    return pd.DataFrame(table)


def _rows(leaf: Rule, good: bool) -> Iterator[list[tuple[Any, float]]]:
    kind, sign = leaf["kind"], -1 if leaf.get("direction") == "down" else 1
    directions = [sign] if good else [-sign, 0]
    if kind == "number":
        number = leaf["number"]
        for value in [number] if good else [10 * number or 1.0, -number or -1.0, 0.0 if number else 10.0]:
            yield [(None, value)]
    elif kind == "threshold":
        sign = -1 if "at_most" in leaf else 1
        bound = leaf["at_most"] if sign < 0 else leaf["at_least"]
        bound = bound if good else min(sign * bound, sign * leaf.get("loosely", bound)) * sign
        bound = bound if math.isfinite(bound) else 0.0
        for distance in (1e-6, 10.0):
            yield [(None, bound + (sign if good else -sign) * distance * (1 + abs(bound)))]
    elif kind == "trend":
        levels = leaf.get("where", {}).get(leaf["x"])
        steps = levels if isinstance(levels, list) else [1, 2, 3, 4]
        slope = 1 + 10 * abs(leaf.get("minimum", 0.0))
        for direction in directions:
            yield [(step, 1 + direction * slope * place) for place, step in enumerate(steps)]
    elif kind in ("difference", "wins"):
        others = [leaf["b"], *leaf.get("controls", ())]
        far = 1e6 if leaf.get("relative") else 1 + 10 * abs(leaf.get("minimum", 0.0))
        for direction in directions:
            value = far**direction if leaf.get("relative") else 1 + direction * far
            yield [(leaf["a"], value), *((other, 1.0) for other in others)]
    elif kind == "equivalence":
        for change in _changes(leaf, good):
            yield [(leaf["a"], 1.0 + change), (leaf["b"], 1.0)]
    elif kind == "order":
        for direction in directions:
            yield [(condition, 10.0 ** (direction * place)) for place, condition in enumerate(leaf["order"])]


def _changes(leaf: Rule, good: bool) -> list[float]:
    low, high = leaf["within"]
    if good:
        ends = [low if low is not None else (high or 0.0) - 0.5, high if high is not None else (low or 0.0) + 0.5]
        return [sum(ends) / 2]
    changes = [end + step for end, step in ((low, -1.0), (high, 1.0)) if end is not None]
    # A ratio cannot fall below nothing.
    return [max(change, -1 + 1e-9) for change in changes] if leaf.get("relative") else changes
