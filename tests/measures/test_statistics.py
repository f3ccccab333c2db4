"""Statistics on tables small enough to check by hand, and the coverage of the intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stylerepro.errors import ResultsError
from stylerepro.measures import statistics
from stylerepro.measures.statistics import Interval, coverage, crossed_interval, effect_size, paired_difference, trend


def crossed(values):
    """A table of contents × styles from a 2-D array."""
    rows, columns = np.indices(np.shape(values))
    return pd.DataFrame({"content": rows.ravel(), "style": columns.ravel(), "y": np.ravel(values)})


def test_the_estimate_is_the_mean_of_the_table():
    table = crossed([[1.0, 2.0], [3.0, 10.0]])
    interval = crossed_interval(table, "y")
    assert (interval.estimate, interval.n, interval.covers) == (4, 4, True)
    assert interval.low < 1 < 10 < interval.high, "two of each say next to nothing"
    assert crossed_interval(table.drop(index=[1, 2]), "y").n == 2, "an incomplete crossing has one too"
    equal = crossed_interval(crossed(np.full((3, 3), 2.0)), "y")
    assert (equal.low, equal.high, equal.detectable) == (2, 2, 0)


def test_with_one_factor_it_is_students():
    values = np.random.default_rng(3).normal(size=30)
    ours = crossed_interval(pd.DataFrame({"content": np.arange(30), "y": values}), "y", styles=None)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_rows_of_one_content_are_not_taken_as_independent():
    """Ten styles that all repeat the content's value add nothing: the interval stays that of four contents."""
    values = np.repeat([[0.0], [1.0], [2.0], [3.0]], 10, axis=1)
    crossing = crossed_interval(crossed(values), "y")
    four = stats.ttest_1samp(np.arange(4.0), 0).confidence_interval(0.95)
    assert (crossing.low, crossing.high) == pytest.approx((four.low, four.high))


@pytest.mark.parametrize("design", [(2, 2), (3, 3), (3, 5), (4, 2), (8, 4), (3,), (6,)])
def test_the_intervals_of_the_ledgers_designs_hold_the_truth_often_enough(design):
    """Simulated once more, with other draws, and through the function that makes the interval."""
    assert coverage(design) >= statistics.LEAST_COVERAGE
    generator, held = np.random.default_rng(7), 0
    for _ in range(300):
        drawn = generator.normal(size=(*design, 1)[:2]) * np.sqrt(statistics.COMPONENTS[0][2])
        drawn = drawn + generator.normal(size=(design[0], 1)) * np.sqrt(statistics.COMPONENTS[0][0])
        if len(design) == 2:
            drawn = drawn + generator.normal(size=(1, design[1])) * np.sqrt(statistics.COMPONENTS[0][1])
        held += not crossed_interval(crossed(drawn), "y", styles="style" if len(design) == 2 else None).excludes(0)
    assert held / 300 >= statistics.LEAST_COVERAGE - 0.03


@pytest.mark.parametrize("shape", [(3, 1), (1, 6), (2, 5)])
def test_where_no_interval_covers_enough_the_ends_are_a_range(shape):
    assert coverage(shape) < statistics.LEAST_COVERAGE
    interval = crossed_interval(crossed(np.arange(float(np.prod(shape))).reshape(shape)), "y")
    assert (interval.low, interval.high, interval.covers) == (0, np.prod(shape) - 1, False)


def test_what_a_design_would_detect_is_found_four_times_out_of_five():
    generator, found, promised = np.random.default_rng(5), 0, []
    for _ in range(400):
        interval = crossed_interval(crossed(generator.normal(size=(12, 1))), "y", styles=None)
        promised.append(interval.detectable)
    for _ in range(400):
        values = generator.normal(size=(12, 1)) + np.mean(promised)
        found += crossed_interval(crossed(values), "y", styles=None).low > 0
    assert found / 400 == pytest.approx(0.8, abs=0.06)


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
        crossed_interval(table, "y")
    with pytest.raises(ResultsError, match=words):
        trend(table, "content", "y")
