"""Means with intervals, where the unit is a pair of pictures.

Every function takes a tidy table: one row a measurement. NaN is refused, since dropping it quietly would change what
a claim was tested on.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from stylerepro.errors import ResultsError

# Shares of variance of contents, styles and the rest: the median of the ledger's first tables, one that contents rule,
# and one of little but noise. The first two thirds of those tables lie between them.
COMPONENTS = ((0.50, 0.15, 0.35), (0.85, 0.05, 0.10), (0.10, 0.10, 0.80))
LEAST_COVERAGE = 0.93


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % confidence interval, from n pairs of pictures.

    covers: whether such an interval holds what it should often enough at this design; else the ends are the lowest and
    the highest unit, a *range*. detectable: the effect that the design would have found four times out of five.
    """

    estimate: float
    low: float
    high: float
    n: int
    covers: bool = True
    detectable: float | None = None

    def excludes(self, value: float) -> bool:
        """Tell whether `value` lies outside the interval."""
        return not self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}], n = {self.n}"


def crossed_interval(
    table: pd.DataFrame, value: str, contents: str | None = "content", styles: str | None = "style"
) -> Interval:
    """Return the mean with its 95 % interval over two crossed factors, which other pictures would fall into.

    Each factor's means give its share of the mean's variance, and Student's t at Satterthwaite's degrees of freedom the
    width: rows of one content or one style are not independent, and few of either say little. `None` in place of a
    column leaves that factor out. A design that such an interval covers too seldom (`coverage`) gets a range instead.

    n counts the distinct pairs. Raises `ResultsError` for a missing column, an empty table or NaN.
    """
    factors = [column for column in (contents, styles) if column is not None]
    values = _checked(table, [value, *factors])[value].astype(float)
    units = values.groupby([table[column] for column in factors]).mean() if factors else values
    means = [values.groupby(table[column]).mean() for column in factors]
    levels = tuple(len(level) for level in means)
    shares = [float(level.var(ddof=1)) / len(level) for level in means if len(level) > 1]
    estimate, detectable = float(values.mean()), None
    half, freedom = _half_width(np.array(shares)[:, None], np.array([count for count in levels if count > 1])[:, None])
    if shares:
        error = float(np.sqrt(sum(shares)))
        detectable = error * float(stats.t.ppf(0.975, freedom[0]) + stats.t.ppf(0.8, freedom[0]))
    if not factors or min(levels) < 2 or coverage(levels) < LEAST_COVERAGE:
        return Interval(estimate, float(units.min()), float(units.max()), len(units), False, detectable)
    return Interval(estimate, estimate - float(half[0]), estimate + float(half[0]), len(units), True, detectable)


@functools.cache
def coverage(levels: tuple[int, ...], draws: int = 4000) -> float:
    """Return how often `crossed_interval` holds the true mean at a design, at worst over `COMPONENTS`; simulated.

    levels: how many contents there are, and how many styles. A factor of one level is never covered.
    """
    if min(levels) < 2:
        return 0.0
    if len(levels) == 1:
        return 0.95
    contents, styles = levels
    generator, worst = np.random.default_rng(0), 1.0
    for of_content, of_style, of_rest in COMPONENTS:
        made = np.sqrt(of_content) * generator.normal(size=(draws, contents, 1))
        made = made + np.sqrt(of_style) * generator.normal(size=(draws, 1, styles))
        made = made + np.sqrt(of_rest) * generator.normal(size=(draws, contents, styles))
        shares = np.stack([made.mean(2).var(1, ddof=1) / contents, made.mean(1).var(1, ddof=1) / styles])
        half, _ = _half_width(shares, np.array(levels)[:, None])
        worst = min(worst, float((np.abs(made.mean((1, 2))) <= half).mean()))
    return worst


def _half_width(shares: Any, levels: Any) -> tuple[Any, Any]:
    """Return the interval's half width and its degrees of freedom. shares: of the mean's variance, a row a factor."""
    variance = shares.sum(0)
    parts = (shares**2 / (levels - 1)).sum(0) if len(shares) else variance
    freedom = np.divide(variance**2, parts, out=np.full_like(variance, np.inf, dtype=float), where=parts > 0)
    return stats.t.ppf(0.975, freedom) * np.sqrt(variance), freedom


def paired_difference(
    table: pd.DataFrame, value: str, condition_column: str, a: object, b: object, by: Sequence[str]
) -> pd.DataFrame:
    """Subtract the value at condition b from that at condition a, one row for each unit.

    by: the columns that make two rows a pair (network, content, style, …). Returns these columns with `a`, `b` and
    `difference`. Raises `ResultsError` for units that lack a condition or have it twice.
    """
    by = list(by)
    _checked(table, [condition_column, *by])
    rows = table[table[condition_column].isin([a, b])]
    _checked(rows, [value])
    twice = rows[rows.duplicated([*by, condition_column])]
    if len(twice):
        raise ResultsError(
            f"{value} is there more than once for {twice.iloc[0][[*by, condition_column]].to_dict()}; "
            "add the column that tells these rows apart to `by`, or select first."
        )
    wide = rows.pivot(index=by, columns=condition_column, values=value).reindex(columns=[a, b])
    lacking = wide[wide.isna().any(axis=1)]
    if len(lacking):
        raise ResultsError(
            f"{len(lacking)} of {len(wide)} units lack {condition_column} {a!r} or {b!r}, "
            f"the first: {lacking.index[0]}."
        )
    pairs = pd.DataFrame({"a": wide[a].astype(float), "b": wide[b].astype(float)})
    return pairs.assign(difference=pairs.a - pairs.b).reset_index()


def effect_size(differences: ArrayLike) -> float:
    """Cohen's d_z: mean of the paired differences over their standard deviation (n − 1). NaN for fewer than two.

    0 for differences that are all 0, infinite (with the sign) for equal ones that are not.
    """
    array = np.asarray(differences, float)
    if len(array) < 2:
        return float("nan")
    mean, deviation = float(array.mean()), float(array.std(ddof=1))
    # Differences that are equal but for rounding have no spread to compare the mean with.
    if deviation <= 1e-12 * abs(mean) or deviation == 0:
        return float(np.sign(mean) * np.inf) if mean else 0.0
    return mean / deviation


def trend(table: pd.DataFrame, x: str, y: str, by: str | Sequence[str] = ()) -> pd.DataFrame:
    """Spearman's rank correlation of y with x inside each unit: columns `by`, rho, p (two-sided), n.

    rho is NaN where x or y does not vary, or with fewer than three rows.
    """
    by = [by] if isinstance(by, str) else list(by)
    _checked(table, [x, y, *by])
    groups = table.groupby(by, sort=False) if by else [((), table)]
    rows = []
    for key, group in groups:
        rho, p = float("nan"), float("nan")
        if len(group) > 2 and group[x].nunique() > 1 and group[y].nunique() > 1:
            rho, p = (float(number) for number in stats.spearmanr(group[x], group[y]))
        rows.append({**dict(zip(by, key, strict=True)), "rho": rho, "p": p, "n": len(group)})
    return pd.DataFrame(rows)


def _checked(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ResultsError(f"The table has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}.")
    if table.empty:
        raise ResultsError("The table has no rows to compute from.")
    for column in columns:
        if table[column].isna().any():
            raise ResultsError(f"Column {column!r} holds {int(table[column].isna().sum())} missing values.")
    return table
