"""Means with intervals, where the unit is a pair of pictures.

Every function takes a tidy table: one row a measurement. NaN is refused, since dropping it quietly would change what
a claim was tested on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from stylerepro.errors import ResultsError


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval, from n pairs of pictures."""

    estimate: float
    low: float
    high: float
    n: int

    def excludes(self, value: float) -> bool:
        """Tell whether `value` lies outside the interval."""
        return not self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}], n = {self.n}"


def crossed_bootstrap(
    table: pd.DataFrame,
    value: str,
    contents: str | None = "content",
    styles: str | None = "style",
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean with its 95 % percentile bootstrap over two crossed factors (Owen 2007, "pigeonhole bootstrap").

    Contents are drawn with replacement, then styles, and every row whose content and style were both drawn enters as
    often as the product of the two counts: rows of one content or one style are not independent. `None` in place of a
    column leaves that factor out. With a single content or style the interval says nothing about other ones.

    n counts the distinct pairs. Raises `ResultsError` for a missing column, an empty table or NaN.
    """
    factors = [column for column in (contents, styles) if column is not None]
    values = _checked(table, [value, *factors])[value].to_numpy(float)
    if resamples < 1:
        raise ResultsError(f"resamples must be at least 1, got {resamples}.")
    codes = [pd.factorize(table[column])[0] for column in factors]
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        weights = np.ones(len(values), int)
        for code in codes:
            levels = code.max() + 1
            weights *= np.bincount(generator.integers(levels, size=levels), minlength=levels)[code]
        # A draw may hit only pairs that an incomplete table does not have.
        if weights.any():
            drawn.append(float(np.mean(np.repeat(values, weights))))
    low, high = np.quantile(drawn, [(1 - 0.95) / 2, (1 + 0.95) / 2])
    pairs = len(table[factors].drop_duplicates()) if factors else len(values)
    return Interval(float(np.mean(values)), float(low), float(high), pairs)


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
