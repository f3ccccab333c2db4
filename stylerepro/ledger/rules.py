"""Kinds of rule: pure functions of a tidy table, written down before the run that fills it.

A *leaf* of a rule is plain data, as it stands in `stylerepro/ledger/*.yaml`: a `kind` (a key of `KINDS`) and what it
needs. It looks at one column of one experiment's table; `decide` turns both into an `Outcome`. `verdicts` puts
leaves together. Intervals are over contents and styles (`stylerepro.measures.statistics.crossed_interval`).

Keys of every leaf: name (what is measured, in words), experiment, where (column: value, list of values, or null for
rows without one), given (column: [low, high], a condition on measured values), column, over (a column to divide by),
scale (a factor that brings the column to the claim's unit), otherwise (other readings, see `verdicts`), restricted
(true: a run that was cut off counts with what it had then, as a restricted mean; else it is left out).
Keys of the kinds that give an interval: units, the one or two columns whose values are drawn (content, style).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from stylerepro.measures.statistics import Interval, crossed_interval, effect_size, paired_difference, trend

REPRODUCED, TREND_ONLY, NOT_REPRODUCED, NOT_TESTED = "reproduced", "trend only", "not reproduced", "not tested"
VERDICTS = (REPRODUCED, TREND_ONLY, NOT_REPRODUCED, NOT_TESTED)
UNITS = ("content", "style")
UNITLESS = ("number", "beside")  # kinds that look at rows, not at pairs of pictures

# Columns that say over how much a finding ranges, in the order in which they are named.
DESIGN = ("content", "style", "picture", "seed", "architecture", "size")
ENDED, DIVERGED, CENSORED = "ended", "diverged", "censored"  # how an optimisation ended, where a table says so

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The answer of a rule to the tables.

    measured: in words, with units. value, low, high, effect, n: of the first leaf. effect: d_z, the mean of a paired
    difference over its standard deviation; of a trend, that of the change from the lowest level to the highest; None
    for other kinds and where there is one unit only. n: the units, which are pairs of pictures or what the rule has in
    their place, and rows where it looks at rows. design: how many there are of each of `DESIGN`. covers: whether the
    ends are a 95 % interval, and no mere range. detectable: the effect that the design would have found four times out
    of five, where it found none. parts: every leaf's name, kind, verdict and numbers.
    """

    verdict: str
    measured: str = ""
    reason: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    effect: float | None = None
    n: int | None = None
    design: Mapping[str, int] = field(default_factory=dict)
    covers: bool = True
    detectable: float | None = None
    parts: tuple[Mapping[str, Any], ...] = ()


class Settled(Exception):
    """A leaf that is settled before any statistic: no rows, or none that meets the condition."""

    def __init__(self, verdict: str, reason: str) -> None:
        self.outcome = Outcome(verdict, "", reason)


def select(rule: Rule, table: pd.DataFrame | None) -> pd.DataFrame:
    """Return the rows that the leaf speaks of, with the measured number as `_value`; those without one are left out.

    `attrs["lacking"]` of the answer says why and how many. Raises `Settled` where nothing is left to decide on. A run
    that diverged has no value, nor has one that was cut off, unless the leaf restricts its mean.
    """
    if table is None or table.empty:
        raise Settled(NOT_TESTED, f"no run of {rule.get('experiment')} yet")
    for column in columns(rule):
        if column not in table:
            raise Settled(NOT_TESTED, f"the table of {rule.get('experiment')} has no column {column!r}: run it again")
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
    lacking = {"without a value": ~usable}
    if ENDED in table:
        wins = rule["kind"] == "wins"  # which has a place for both
        lacking[DIVERGED] = (table[ENDED] == DIVERGED) & (not wins)
        lacking[CENSORED] = (table[ENDED] == CENSORED) & (not rule.get("restricted", False) and not wins)
        lacking["without a value"] &= ~table[ENDED].isin([DIVERGED, CENSORED] if wins else [DIVERGED])
    counted = {why: int(rows.sum()) for why, rows in lacking.items() if rows.any()}
    kept = table.assign(_value=values)[~pd.concat(list(lacking.values()), axis=1).any(axis=1)]
    if kept.empty:
        why = f" ({', '.join(counted)})" if ENDED in table else ""
        raise Settled(NOT_TESTED, f"no value in column {rule['column']} of {rule.get('experiment')}{why}")
    kept.attrs["lacking"] = ", ".join(f"{count} of {len(table)} rows {why}" for why, count in counted.items())
    return kept


def columns(rule: Rule) -> list[str]:
    """Return the columns that a leaf needs its experiment to have, those of its units included."""
    named = [rule.get(key) for key in ("column", "over", "x", "between", "floor")]
    listed = [*rule.get("where", {}), *rule.get("given", {}), *rule.get("match", ()), *rule.get("tell", ())]
    units = () if rule["kind"] in UNITLESS else rule.get("units", UNITS)
    return list(dict.fromkeys([*(name for name in named if name), *listed, *units]))


def matches(series: Any, wanted: Any) -> pd.Series:
    """Return a mask of the entries that are `wanted`: a value, null (none) or a list; numbers up to rounding."""
    mask = pd.Series(False, index=series.index)
    for value in wanted if isinstance(wanted, list) else [wanted]:
        if value is None:
            mask |= series.isna()
        elif isinstance(value, float | int) and not isinstance(value, bool):
            mask |= pd.Series(np.isclose(pd.to_numeric(series, errors="coerce").astype(float), value), series.index)
        else:
            mask |= (series == value).fillna(False).astype(bool)
    return mask


def number_text(number: float) -> str:
    """Return a number as people read it: four digits, a real minus sign."""
    return f"{number:.4g}".replace("-", "−")


def short_text(number: float) -> str:
    """Return a number as a table of many shows it: three digits, all of those before the point, a real minus sign."""
    if not np.isfinite(number):
        return "" if np.isnan(number) else "∞" if number > 0 else "−∞"
    return f"{number:{'.0f' if abs(number) >= 1000 else '.3g'}}".replace("-", "−")


def stated_text(number: float | tuple[float, ...]) -> str:
    """Return what a document states, as it prints it: one number, or several of a table."""
    *others, last = (f"{value:g}".replace("-", "−") for value in (number if isinstance(number, tuple) else (number,)))
    return f"{', '.join(others)} and {last}" if others else last


def words(wanted: Any) -> str:
    """Return a `where` value in words."""
    return " or ".join(map(words, wanted)) if isinstance(wanted, list) else "none" if wanted is None else str(wanted)


def decide(rule: Rule, table: pd.DataFrame | None) -> Outcome:
    """Return the answer of one leaf to the table of its experiment (None: it has not run yet).

    Total: a table that lacks rows, values or columns gives `not tested`, with the reason.
    """
    try:
        rows = select(rule, table)
        outcome = KINDS[rule["kind"]](rule, rows)
    except Settled as settled:
        return settled.outcome
    if lacking := rows.attrs["lacking"]:
        outcome = replace(outcome, measured=f"{outcome.measured} ({lacking})")
    named = {column: rows.loc[rows[column] != "-", column].nunique() for column in DESIGN if column in rows}
    design = {column: int(count) for column, count in named.items() if count}
    return replace(outcome, design=design | {"rows": len(rows)})


def _means(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows.groupby(list(by))["_value"].mean()).reset_index()


def _interval(rule: Rule, values: pd.DataFrame) -> Interval:
    """Return the mean over units with its interval; of a rule that names none, the statistic of all rows, a point."""
    units = list(rule.get("units", UNITS))
    if not units:
        estimate = float(getattr(values["_value"], rule.get("statistic", "mean"))())
        return Interval(estimate, estimate, estimate, len(values))
    first, second = [*units, None][:2]
    return crossed_interval(_means(values, units), "_value", contents=first, styles=second)


def _graded(
    interval: Interval,
    holds: bool,
    partly: bool,
    why_not: str,
    measured: str = "",
    good: str = "within the rule's bounds",
    effect: float | None = None,
    border: float = 0.0,
) -> Outcome:
    """Return `reproduced` where the rule holds, else `trend only` where it holds partly.

    border: the value that tells yes from no; an interval on both sides of it is inconclusive, and what the design could
    have found is said.
    """
    verdict = REPRODUCED if holds else TREND_ONLY if partly else NOT_REPRODUCED
    reason, inconclusive = good if holds else why_not, not holds and not interval.excludes(border)
    detectable = interval.detectable if inconclusive else None
    if detectable is not None:
        reason += f"; {number_text(detectable)} is what this design would find four times out of five"
    effect = None if effect is None or np.isnan(effect) else effect
    ends = (interval.estimate, interval.low, interval.high)
    seen = measured or _interval_text(interval)
    return Outcome(verdict, seen, reason, *ends, effect, interval.n, covers=interval.covers, detectable=detectable)


def _number(rule: Rule, rows: pd.DataFrame) -> Outcome:
    values, wanted = rows["_value"], rule["number"]
    if rule["statistic"] == "closest":
        chosen: Any = rows.loc[(values - wanted).abs().idxmin()]
        value, at = float(chosen["_value"]), " ".join(str(chosen[column]) for column in rule.get("tell", ()))
        seen = f"{number_text(value)} at best{f' ({at})' if at else ''}"
    else:
        value = float(getattr(values, rule["statistic"])())
        seen = number_text(value)
    low, high = float(values.min()), float(values.max())
    measured = f"{seen}, {number_text(low)} to {number_text(high)} over {len(values)} rows"
    bounds = [rule["within"], rule.get("loosely", rule["within"])]
    tight, loose = (start <= value <= end for start, end in bounds)
    verdict = REPRODUCED if tight else TREND_ONLY if loose else NOT_REPRODUCED
    reason = f"{'inside' if tight else 'outside'} {number_text(bounds[0][0])} … {number_text(bounds[0][1])}"
    return Outcome(verdict, measured, reason, value, low, high, n=len(values))


def _threshold(rule: Rule, rows: pd.DataFrame) -> Outcome:
    interval = _interval(rule, rows)
    sign = 1 if "at_most" in rule else -1
    bound = rule["at_most"] if sign > 0 else rule["at_least"]
    worst = interval.high if sign > 0 else interval.low
    partly = sign * interval.estimate <= max(sign * bound, sign * rule.get("loosely", bound))
    why_not = f"{'above' if sign > 0 else 'below'} {number_text(bound)}, or its interval reaches there"
    return _graded(interval, sign * worst <= sign * bound, partly, why_not, border=bound)


def _trend(rule: Rule, rows: pd.DataFrame) -> Outcome:
    units, sign = list(rule.get("units", UNITS)), _sign(rule)
    means = _means(rows, [*units, rule["x"]])
    if means[rule["x"]].nunique() < 3:
        raise Settled(NOT_TESTED, f"fewer than three values of {rule['x']}")
    # A unit with one or two values of x can neither follow a trend nor stay away from it.
    levels = means.groupby(units)[rule["x"]].transform("nunique")
    means, lacking = means[levels > 2], means[levels < 3][units].drop_duplicates()
    if means.empty:
        raise Settled(NOT_TESTED, f"no unit with three values of {rule['x']}")
    slopes = trend(means, rule["x"], "_value", by=units)
    slopes = slopes.assign(_value=slopes["rho"].fillna(0.0))  # a column that does not move has no trend
    interval = _interval(rule, slopes)
    interval = replace(interval, low=max(interval.low, -1.0), high=min(interval.high, 1.0))
    share = float((sign * slopes["_value"] > 0).mean())
    ordered = means.sort_values(rule["x"]).groupby(units)["_value"]
    changes = ordered.last() - ordered.first()
    change = float(changes.mean())
    clear = _clear(interval, sign)
    enough = share >= rule.get("share", 0.8) and sign * change >= rule.get("minimum", 0.0)
    measured = f"ρ {_interval_text(interval)}, {share:.0%} of units {rule['direction']}, change {number_text(change)}"
    measured += f", {len(lacking)} units with too few values left out" if len(lacking) else ""
    why_not = "too few units follow, or too small a change" if clear else "no trend in the claimed direction"
    good = "a trend in the claimed direction"
    return _graded(interval, clear and enough, clear, why_not, measured, good, effect_size(changes))


def _pairs(rule: Rule, rows: pd.DataFrame, b: Any) -> tuple[Interval, float, str]:
    """Return a − b, or with `relative` a/b − 1 (geometric mean), over paired units, its d_z, and both in words."""
    units, column, relative = list(rule.get("units", UNITS)), rule["between"], rule.get("relative", False)
    by = [*units, *rule.get("match", ())]
    rows = rows[matches(rows[column], [rule["a"], b])].dropna(subset=by)
    if relative:
        rows = rows.assign(_value=np.log(rows["_value"]))
    means = _means(rows, [*by, column])
    whole = means.groupby(by)["_value"].transform("size") == 2
    if not whole.any():
        raise Settled(NOT_TESTED, f"no pair of {column} {rule['a']} and {b}")
    pairs = paired_difference(means[whole], "_value", column, rule["a"], b, by=by)
    units_means = _means(pairs.assign(_value=pairs["difference"]), units)
    interval = _interval(rule, units_means)
    effect = effect_size(units_means["_value"])
    if relative:
        low, middle, high = (float(np.expm1(end)) for end in (interval.low, interval.estimate, interval.high))
        detectable = None if interval.detectable is None else float(np.expm1(interval.detectable))
        interval = replace(interval, estimate=middle, low=low, high=high, detectable=detectable)
    lacking = f", {(~whole).sum()} pairs incomplete" if not whole.all() else ""
    return interval, effect, f"{_interval_text(interval, relative, signed=True)}, d_z {short_text(effect)}{lacking}"


def _difference(rule: Rule, rows: pd.DataFrame) -> Outcome:
    sign, (interval, effect, seen) = _sign(rule), _pairs(rule, rows, rule["b"])
    least = rule.get("minimum", 0.0)
    if "floor" in rule:
        least = max(least, float(np.abs(rows[rule["floor"]].to_numpy(float)).mean()))
    clear = _clear(interval, sign)
    doubts = [] if clear else ["no difference in the claimed direction"]
    if clear and sign * interval.estimate < least:
        doubts.append(f"smaller than {number_text(least)}")
    for control in rule.get("controls", ()) if clear else ():
        against, _, words_against = _pairs(rule, rows, control)
        if not _clear(against, sign):
            doubts.append(f"no better than the control {control} ({words_against})")
    measured, good = f"{rule['a']} − {rule['b']} {seen}", "a difference in the claimed direction"
    return _graded(interval, not doubts, clear, "; ".join(doubts), measured, good, effect)


def _equivalence(rule: Rule, rows: pd.DataFrame) -> Outcome:
    interval, effect, seen = _pairs(rule, rows, rule["b"])
    ends = zip(rule["within"], (-np.inf, np.inf), strict=True)
    low, high = (open_end if end is None else end for end, open_end in ends)
    holds = low <= interval.low and interval.high <= high
    why_not = f"not all within {number_text(low)} … {number_text(high)}"
    partly = low <= interval.estimate <= high
    border = high if interval.estimate > (max(low, -1e9) + min(high, 1e9)) / 2 else low
    measured = f"{rule['a']} − {rule['b']} {seen}"
    return _graded(interval, holds, partly, why_not, measured, effect=effect, border=border)


def _wins(rule: Rule, rows: pd.DataFrame) -> Outcome:
    units, column, sign = list(rule.get("units", UNITS)), rule["between"], _sign(rule)
    by = [*units, *rule.get("match", ())]
    if ENDED in rows:  # what was cut off loses to what ended, what diverged to both
        for how, value in ((CENSORED, 1e300), (DIVERGED, np.inf)):
            rows = rows.assign(_value=rows["_value"].where(rows[ENDED] != how, -sign * value))
    rows = rows[matches(rows[column], [rule["a"], rule["b"]])].dropna(subset=by)
    wide = rows.pivot_table(index=by, columns=column, values="_value", aggfunc="median", dropna=False)
    pairs = wide.reindex(columns=[rule["a"], rule["b"]]).dropna()
    if pairs.empty:
        raise Settled(NOT_TESTED, f"no pair of {column} {rule['a']} and {rule['b']}")
    first, second = (sign * pairs[rule[name]].to_numpy(float) for name in "ab")
    won = pd.DataFrame({"_value": np.where(first == second, 0.5, first > second)}, index=pairs.index)
    interval = _interval(rule, won.reset_index())
    measured = f"{rule['a']} before {rule['b']} in {_interval_text(interval, percent=True)} of {len(pairs)} pairs"
    clear = interval.estimate > 0.5 and interval.excludes(0.5)
    holds = clear and interval.estimate >= rule.get("at_least", 0.5)
    return _graded(interval, holds, clear, "too few wins", measured, "wins clearly more often", border=0.5)


def _order(rule: Rule, rows: pd.DataFrame) -> Outcome:
    units, column, wanted = list(rule.get("units", UNITS)), rule["between"], list(rule["order"])
    means = rows[matches(rows[column], wanted)].pivot_table(index=units, columns=column, values="_value")
    if lacking := [condition for condition in wanted if condition not in means]:
        raise Settled(NOT_TESTED, f"no rows with {column} {', '.join(map(str, lacking))}")
    means = means[wanted].dropna()
    # Each step up or down by more than the gap, relative to the one before.
    steps = _sign(rule) * (means.to_numpy()[:, 1:] / means.to_numpy()[:, :-1] - 1) > rule.get("gap", 0.0)
    ends = _sign(rule) * (means[wanted[-1]] / means[wanted[0]] - 1) > rule.get("gap", 0.0)
    middle = ", ".join(f"{condition} {number_text(median)}" for condition, median in means.median().items())
    share = float(steps.mean()) if steps.size else 0.0
    interval = Interval(share, share, share, len(means))
    partly = share > 0.5 and bool(ends.all())
    measured = f"medians {middle}; {steps.sum()} of {steps.size} steps in order"
    holds = bool(steps.all()) and steps.size > 0
    return _graded(interval, holds, partly, "not in this order", measured, "in this order")


KINDS: Mapping[str, Callable[[Rule, pd.DataFrame], Outcome]] = {
    # A statistic of the rows, within bounds around the document's number; `loosely` bounds give `trend only`.
    "number": _number,
    # A mean over units below `at_most` or above `at_least`, with its whole interval.
    "threshold": _threshold,
    # Spearman's ρ with x inside each unit: its mean clear of 0, the share of units and the change as demanded.
    "trend": _trend,
    # Condition a against b, paired: clear of 0, at least `minimum` and the mean of `floor`, and clear of the controls.
    "difference": _difference,
    # Condition a against b, paired: the whole interval within bounds, of which one may be open (null).
    "equivalence": _equivalence,
    # Condition a against b, paired: the share of pairs that a wins, clear of a half and at least `at_least`; a run that
    # was cut off loses to one that was not, one that diverged to both.
    "wins": _wins,
    # Conditions in the stated order, each step by more than `gap` of the one before, in every unit.
    "order": _order,
}


def bounds(rule: Rule) -> tuple[float | None, float | None]:
    """Return between what a leaf asks its value to lie, None for an open end: of a trend ρ, of a difference a − b."""
    kind = rule["kind"]
    if kind in ("number", "equivalence"):
        low, high = rule["within"]
        return low, high
    if kind == "threshold":
        return rule.get("at_least"), rule.get("at_most")
    if kind in ("wins", "order"):
        return rule.get("at_least", 0.5) if kind == "wins" else 1.0, None
    least = rule.get("minimum", 0.0) if kind == "difference" else 0.0
    return (least, None) if _sign(rule) > 0 else (None, 0.0 - least)


def _clear(interval: Interval, sign: int) -> bool:
    return sign * interval.estimate > 0 and interval.excludes(0.0)


def _sign(rule: Rule) -> int:
    return 1 if rule["direction"] == "up" else -1


def _interval_text(interval: Interval, percent: bool = False, signed: bool = False) -> str:
    ends = (interval.estimate, interval.low, interval.high)
    sign = "+" if signed else ""
    shares = (f"{100 * end:{sign}{'.1f' if abs(end) >= 5e-4 else '.1g'}}%" for end in ends)
    told = shares if percent else (f"{end:{sign}.4g}" for end in ends)
    middle, low, high = (text.replace("-", "−") for text in told)
    return middle if low == middle == high else f"{middle} [{low}, {high}]"
