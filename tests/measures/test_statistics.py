"""Statistics on tables small enough to check by hand, and the coverage of the bootstrap."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stylerepro.errors import ResultsError
from stylerepro.measures.statistics import Interval, crossed_bootstrap, effect_size, paired_difference, trend


def crossed(values):
    """A table of contents × styles from a 2-D array."""
    rows, columns = np.indices(np.shape(values))
    return pd.DataFrame({"content": rows.ravel(), "style": columns.ravel(), "y": np.ravel(values)})


def test_the_estimate_is_the_mean_of_the_table():
    table = crossed([[1.0, 2.0], [3.0, 10.0]])
    interval = crossed_bootstrap(table, "y", resamples=200)
    assert (interval.estimate, interval.n) == (4, 4)
    assert 1 <= interval.low < 4 < interval.high <= 10
    assert crossed_bootstrap(table.drop(index=[1, 2]), "y", resamples=50).n == 2, "an incomplete crossing has one too"
    assert crossed_bootstrap(crossed(np.full((3, 3), 2.0)), "y", resamples=20) == Interval(2, 2, 2, 9)
    once, again, other = (crossed_bootstrap(table, "y", seed=seed, resamples=99) for seed in (1, 1, 2))
    assert once == again != other


def test_with_one_factor_it_is_the_ordinary_bootstrap():
    values = np.random.default_rng(3).normal(size=30)
    table = pd.DataFrame({"content": np.arange(30), "y": values})
    ours = crossed_bootstrap(table, "y", styles=None)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=2000, rng=0).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_rows_of_one_content_are_not_taken_as_independent():
    """Ten styles that all repeat the content's value add nothing: the interval stays that of four contents."""
    values = np.repeat([[0.0], [1.0], [2.0], [3.0]], 10, axis=1)
    crossing = crossed_bootstrap(crossed(values), "y")
    naive = crossed_bootstrap(crossed(values).assign(row=np.arange(40)), "y", contents="row", styles=None)
    assert crossing.high - crossing.low > 2 * (naive.high - naive.low)


def test_coverage_of_crossed_effects():
    generator, covered = np.random.default_rng(7), 0
    for _ in range(60):
        contents, styles, noise = (generator.normal(size=shape) for shape in ((12, 1), (1, 12), (12, 12)))
        interval = crossed_bootstrap(crossed(contents + styles + noise), "y", resamples=300)
        covered += not interval.excludes(0)
    assert 50 <= covered <= 60


def test_interval_says_what_it_excludes():
    interval = Interval(0.5, 0.2, 0.8, 6)
    assert interval.excludes(0)
    assert not interval.excludes(0.8)
    assert str(interval) == "0.5 [0.2, 0.8], n = 6"


def test_differences_are_a_minus_b_of_pairs_that_are_whole_and_single():
    rows = [("a", "raw", 1.0), ("a", "hosvd", 1.5), ("b", "hosvd", 3.0), ("b", "raw", 2.0), ("a", "blur", 9.0)]
    paired = pd.DataFrame(rows, columns=["content", "input", "y"]).assign(style="s")
    table = paired_difference(paired, "y", "input", "hosvd", "raw", by=["content", "style"])
    assert list(table.columns) == ["content", "style", "a", "b", "difference"]
    assert table[["content", "difference"]].values.tolist() == [["a", 0.5], ["b", 1.0]]
    with pytest.raises(ResultsError, match="1 of 2 units lack input 'blur' or 'raw'"):
        paired_difference(paired, "y", "input", "blur", "raw", by=["content", "style"])
    with pytest.raises(ResultsError, match="more than once"):
        paired_difference(paired, "y", "input", "hosvd", "raw", by=["style"])


def test_effect_size_by_hand():
    assert effect_size([1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert effect_size([0.1] * 5) == float("inf")
    assert effect_size([-0.1] * 5) == -float("inf")
    assert effect_size([0.0, 0.0]) == 0
    assert np.isnan(effect_size([1.0]))


def test_trend_in_each_unit():
    table = pd.DataFrame({"x": [1, 2, 3, 4] * 2, "y": [1.0, 4, 9, 16, 3, 2, 1, 0], "unit": ["up"] * 4 + ["down"] * 4})
    trends = trend(table, "x", "y", by="unit").set_index("unit")
    assert trends.rho.to_dict() == pytest.approx({"up": 1, "down": -1})
    assert (trends.n == 4).all()
    assert trend(table, "x", "y").rho.item() == pytest.approx(stats.spearmanr(table.x, table.y).statistic)
    assert trend(table.assign(y=5.0), "x", "y", by=["unit"]).rho.isna().all(), "what does not vary has no trend"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (crossed(np.ones((2, 2))).rename(columns={"y": "z"}), "no column 'y'; it has content, style, z"),
        (crossed(np.ones((2, 2))).iloc[:0], "no rows"),
        (crossed([[1.0, np.nan]]), "'y' holds 1 missing"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(table, words):
    with pytest.raises(ResultsError, match=words):
        crossed_bootstrap(table, "y")
    with pytest.raises(ResultsError, match=words):
        trend(table, "content", "y")


def test_no_resample_is_refused():
    with pytest.raises(ResultsError, match="resamples"):
        crossed_bootstrap(crossed(np.ones((2, 2))), "y", resamples=0)
