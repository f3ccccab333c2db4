"""Each kind of rule on tables whose verdict is known, and the rows that a rule looks at."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from stylerepro.ledger import rules
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY, Settled

decide = rules.decide
CONTENTS, STYLES = ["astronaut", "coffee", "rocket", "china"], ["swirls", "woodcut", "cubist"]


def leaf(kind, **keys):
    return {"kind": kind, "name": "what is measured", "experiment": "e", "column": "x", **keys}


def pairs(value, levels=(0,), name="level", contents=CONTENTS, styles=STYLES, noise=0.01):
    """A tidy table: value(level) plus a little noise for each content, style and level."""
    generator = np.random.default_rng(1)
    rows = [
        {"content": content, "style": style, name: level, "x": value(level) + noise * generator.normal()}
        for content, style, level in product(contents, styles, levels)
    ]
    return pd.DataFrame(rows)


NUMBER = leaf("number", number=91.9, statistic="mean", within=[90.9, 92.9], loosely=[88.9, 94.9], scale=100)


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.92, REPRODUCED), (0.90, TREND_ONLY), (0.5, NOT_REPRODUCED), (0.99, NOT_REPRODUCED)]
)
def test_number(share, verdict):
    outcome = decide(NUMBER, pd.DataFrame({"x": [share - 0.001, share + 0.001]}))
    assert outcome.verdict == verdict
    assert (outcome.value, outcome.low, outcome.high) == pytest.approx(tuple(100 * share + d for d in (0, -0.1, 0.1)))
    assert (outcome.effect, outcome.n) == (None, 2)


def test_the_closest_number_tells_where_it_was_found():
    table = pd.DataFrame({"x": [0.5, 0.921, 0.99], "picture": ["a", "b", "c"], "size": [64, 400, 512]})
    outcome = decide({**NUMBER, "statistic": "closest", "tell": ["picture", "size"]}, table)
    assert outcome.verdict == REPRODUCED
    assert outcome.measured == "92.1 at best (b 400), 50 to 99 over 3 rows"


TREND = leaf("trend", x="gamma", direction="down", share=0.9)


def falling(value=lambda gamma: -np.log1p(gamma), gammas=(0, 1, 10, 100), noise=0.01):
    return pairs(value, gammas, "gamma", noise=noise)


def mixed():
    """11 of 12 pairs follow."""
    table = falling()
    against = (table["content"] == "coffee") & (table["style"] == "woodcut")
    return table.assign(x=table["x"].where(~against, 0.0))


def test_the_effect_of_a_trend_is_its_change_over_the_units_spread():
    sizes = {"astronaut": 1.0, "coffee": 2.0, "rocket": 3.0, "china": 2.0}
    equal = falling(lambda gamma: -float(gamma), (0, 1, 10), noise=0)
    table = equal.assign(x=equal["x"] * equal["content"].map(sizes))
    changes = np.repeat([-10.0 * size for size in sizes.values()], len(STYLES))
    outcome = decide(TREND, table)
    assert outcome.effect == pytest.approx(changes.mean() / changes.std(ddof=1))
    assert outcome.n == 12
    assert decide(TREND, equal).effect == -np.inf, "all alike"
    assert decide(TREND, table[:3]).effect is None, "one unit has no spread"


def test_units_that_lack_levels_are_left_out_of_a_trend_and_counted():
    table = falling()
    alone = table[table["gamma"] == 1].assign(style="sumi")
    outcome = decide(TREND, pd.concat([table, alone]))
    assert (outcome.verdict, outcome.value) == (REPRODUCED, pytest.approx(-1))
    assert "4 units with too few values left out" in outcome.measured
    few = pd.concat([table[table["gamma"] == gamma].assign(style=f"{gamma}") for gamma in (0, 1, 10)])
    assert decide(TREND, few).verdict == NOT_TESTED


DIFFERENCE = leaf("difference", between="input", a="hosvd", b="raw", direction="up", minimum=0.02, controls=["blur"])


def inputs(**means):
    table = pairs(means.get, list(means), "input", noise=0.002)
    # What pairs have in common is far larger than the effect.
    return table.assign(x=table["x"] + table["content"].map(dict(zip(CONTENTS, range(4), strict=True))))


@pytest.mark.parametrize(
    ("means", "verdict", "reason"),
    [
        ({"hosvd": 0.55, "raw": 0.5, "blur": 0.5}, REPRODUCED, "claimed direction"),
        ({"hosvd": 0.51, "raw": 0.5, "blur": 0.45}, TREND_ONLY, "smaller than 0.02"),
        ({"hosvd": 0.55, "raw": 0.5, "blur": 0.55}, TREND_ONLY, "no better than the control blur"),
        ({"hosvd": 0.5, "raw": 0.5, "blur": 0.4}, NOT_REPRODUCED, "no difference"),
        ({"hosvd": 0.45, "raw": 0.5, "blur": 0.4}, NOT_REPRODUCED, "no difference"),
        ({"hosvd": 0.55, "blur": 0.5}, NOT_TESTED, "no pair of input hosvd and raw"),
    ],
)
def test_difference(means, verdict, reason):
    outcome = decide(DIFFERENCE, inputs(**means))
    assert outcome.verdict == verdict
    assert reason in outcome.reason


def test_difference_down_relative_to_the_other():
    rule = leaf("difference", between="input", a="hosvd", b="raw", direction="down", relative=True, minimum=0.1)
    table = pairs({"hosvd": 0.8, "raw": 1.0}.get, ["hosvd", "raw"], "input")
    outcome = decide(rule, table)
    assert (outcome.verdict, outcome.n) == (REPRODUCED, 12)
    assert outcome.value == pytest.approx(-0.2, abs=0.02)
    assert f"d_z {rules.short_text(outcome.effect)}" in outcome.measured
    assert "−20" in outcome.measured
    assert decide({**rule, "minimum": 0.3}, table).verdict == TREND_ONLY


def test_missing_rows_are_told():
    table = inputs(hosvd=0.55, raw=0.5, blur=0.5)
    table.loc[table.index[table["input"] == "raw"][0], "x"] = np.nan
    measured = decide(DIFFERENCE, table).measured
    assert "1 pairs incomplete" in measured
    assert "(1 of 36 rows without a value)" in measured


def test_an_outcome_says_over_how_much_it_ranges_and_one_that_settles_nothing_what_it_would_have_found():
    clear = decide(DIFFERENCE, inputs(hosvd=0.55, raw=0.5, blur=0.5).assign(seed=1))
    assert clear.design == {"content": 4, "style": 3, "seed": 1, "rows": 36}
    assert (clear.covers, clear.detectable) == (True, None)
    assert decide(LARGEST, pd.DataFrame({"x": [0.4, 0.9]})).n == 2, "rows, where there are no units"
    noisy = inputs(hosvd=0.5, raw=0.5, blur=0.5)
    noisy["x"] += np.random.default_rng(0).normal(size=len(noisy))
    open_question = decide(DIFFERENCE, noisy)
    assert open_question.low < 0 < open_question.high
    assert open_question.detectable > (open_question.high - open_question.low) / 2
    assert f"{rules.number_text(open_question.detectable)} is what this design would find" in open_question.reason
    assert not decide(DIFFERENCE, noisy[noisy["style"] == "cubist"]).covers, "one style says nothing of others"


def test_runs_that_diverged_have_no_value_and_those_cut_off_only_in_a_restricted_mean():
    table = inputs(hosvd=0.55, raw=0.5, blur=0.5).assign(ended="")
    wild = table["input"].eq("hosvd") & table["content"].eq("coffee")
    table.loc[wild, ["x", "ended"]] = [2e30, "diverged"]
    assert decide(DIFFERENCE, table).value == pytest.approx(0.05, abs=0.01)
    assert "(3 of 36 rows diverged)" in decide(DIFFERENCE, table).measured
    table.loc[wild, ["x", "ended"]] = [0.0, "censored"]
    assert decide(DIFFERENCE, table).value == pytest.approx(0.05, abs=0.01)
    assert decide(DIFFERENCE | {"restricted": True}, table).value < 0


def test_many_styles_on_one_lucky_content_are_not_many_pairs():
    effect = {"astronaut": 0.1, "coffee": -0.01}
    styles = [f"style {number}" for number in range(20)]
    table = pairs(lambda condition: 0, ["hosvd", "raw", "blur"], "input", list(effect), styles)
    table["x"] += table["content"].map(effect).where(table["input"] == "hosvd", 0.0)
    paired = table.pivot(index=["content", "style"], columns="input", values="x")
    difference = paired["hosvd"] - paired["raw"]
    assert difference.mean() > 4 * difference.std() / np.sqrt(len(difference)), "a t test would take it"
    assert decide(DIFFERENCE, table).verdict == NOT_REPRODUCED


AT_MOST, AT_LEAST = leaf("threshold", at_most=0.95, loosely=1.0), leaf("threshold", at_least=-0.95, loosely=-1.0)
LARGEST = leaf("threshold", at_most=1.0, units=[], statistic="max")
FLOOR = {**DIFFERENCE, "controls": [], "floor": "seeds"}
WINS = leaf("wins", between="start", a="content", b="noise", direction="down", at_least=0.8)
EQUIVALENCE = leaf("equivalence", between="subset", a="three", b="all", within=[None, 0.1])
RELATIVE = EQUIVALENCE | {"within": [-0.1, 0.1], "relative": True}
ORDER = leaf("order", between="net", order=["a", "b", "c", "d"], direction="down", gap=0.03, units=["size"])


def starts(content="", noise=""):
    """A start that is twice as good as the other, and how the runs from each ended."""
    table = pairs({"content": 10.0, "noise": 20.0}.get, ["content", "noise"], "start")
    return table.assign(ended=table["start"].map({"content": content, "noise": noise}))


def subsets(three, all, noise=0.01):
    return pairs({"three": three, "all": all}.get, ["three", "all"], "subset", noise=noise)


def nets(**seconds):
    keys = product((256, 512, 1024), seconds.items())
    return pd.DataFrame([{"size": size, "net": net, "x": size * second} for size, (net, second) in keys])


@pytest.mark.parametrize(
    ("rule", "table", "verdict"),
    [
        # A threshold asks for the whole interval; without units it is the plain statistic.
        (AT_MOST, pairs(lambda _: 0.8), REPRODUCED), (AT_MOST, pairs(lambda _: 0.9495), TREND_ONLY),
        (AT_MOST, pairs(lambda _: 0.97), TREND_ONLY), (AT_MOST, pairs(lambda _: 1.1), NOT_REPRODUCED),
        (AT_LEAST, pairs(lambda _: -0.8), REPRODUCED), (AT_LEAST, pairs(lambda _: -0.9495), TREND_ONLY),
        (AT_LEAST, pairs(lambda _: -0.97), TREND_ONLY), (AT_LEAST, pairs(lambda _: -1.1), NOT_REPRODUCED),
        (LARGEST, pd.DataFrame({"x": [0.4, 0.9]}), REPRODUCED),
        (LARGEST, pd.DataFrame({"x": [0.4, 1.5]}), NOT_REPRODUCED),
        # A trend asks for its direction, share, minimum and three levels.
        (TREND, falling(), REPRODUCED), (TREND | {"direction": "up"}, falling(), NOT_REPRODUCED),
        (TREND, falling(lambda gamma: 0, noise=1), NOT_REPRODUCED),
        (TREND, falling(lambda gamma: 0, noise=0), NOT_REPRODUCED), (TREND, mixed(), REPRODUCED),
        (TREND | {"share": 0.95}, mixed(), TREND_ONLY), (TREND | {"minimum": 4.0}, falling(), REPRODUCED),
        (TREND | {"minimum": 5.0}, falling(), TREND_ONLY), (TREND, falling(gammas=(0, 1)), NOT_TESTED),
        # A difference must exceed the floor of another column.
        (FLOOR, inputs(hosvd=0.55, raw=0.5).assign(seeds=0.01), REPRODUCED),
        (FLOOR, inputs(hosvd=0.55, raw=0.5).assign(seeds=-0.1), TREND_ONLY),
        # Wins count what was cut off as lost and what diverged as worse.
        (WINS, starts(), REPRODUCED), (WINS | {"direction": "up"}, starts(), NOT_REPRODUCED),
        (WINS, starts(noise="censored"), REPRODUCED), (WINS, starts(content="censored"), NOT_REPRODUCED),
        (WINS, starts("diverged", "censored"), NOT_REPRODUCED), (WINS, starts("censored", "censored"), NOT_REPRODUCED),
        # An equivalence needs the whole interval inside.
        (EQUIVALENCE, subsets(0.32, 0.3), REPRODUCED), (EQUIVALENCE, subsets(0.1, 0.3), REPRODUCED),
        (EQUIVALENCE, subsets(0.38, 0.3, 0.4), TREND_ONLY), (EQUIVALENCE, subsets(0.5, 0.3), NOT_REPRODUCED),
        (RELATIVE, subsets(1.04, 1.0), REPRODUCED), (RELATIVE, subsets(0.5, 1.0), NOT_REPRODUCED),
        # An order asks for every step, and for every condition.
        (ORDER, nets(a=1.33, b=0.97, c=0.81, d=0.57), REPRODUCED),
        (ORDER, nets(a=1.33, b=0.81, c=0.97, d=0.57), TREND_ONLY),
        (ORDER, nets(a=1.33, b=1.32, c=1.31, d=1.30), NOT_REPRODUCED),
        (ORDER, nets(a=0.57, b=0.81, c=0.97, d=1.33), NOT_REPRODUCED),
        (ORDER, nets(a=1.33, c=0.81, d=0.57), NOT_TESTED),
    ],
)  # fmt: skip
def test_each_kind_of_rule_asks_of_a_table_what_it_should(rule, table, verdict):
    assert decide(rule, table).verdict == verdict


LEAF = {"kind": "number", "experiment": "e", "column": "x"}


@pytest.mark.parametrize(
    ("values", "dtype", "wanted", "expected"),
    [
        ([0.3, 150, None], "float64", 0.1 + 0.2, [True, False, False]),
        ([0.3, 150, None], "Float64", 0.1 + 0.2, [True, False, False]),
        ([0.3, 150, None], "float64", None, [False, False, True]),
        ([0.3, 150, None], "Float64", [150, None], [False, True, True]),
        ([0.3, 150, None], "float64", "150", [False, False, False]),
        (["gatys", "means", None], "object", ["gatys"], [True, False, False]),
        ([True, False], "bool", True, [True, False]),
    ],
)
def test_matches_numbers_up_to_rounding_and_missing_ones_only_when_asked(values, dtype, wanted, expected):
    assert rules.matches(pd.Series(values, dtype=dtype), wanted).tolist() == expected


def test_select_divides_scales_and_counts_what_has_no_value():
    table = pd.DataFrame({"x": [1.0, 3.0, np.nan, np.inf], "raw": [4, 4, 4, 4], "n": [1, 1, 1, 1]})
    rows = rules.select({**LEAF, "over": "raw", "scale": 100, "where": {"n": 1}}, table)
    assert rows["_value"].tolist() == [25.0, 75.0]
    assert rows.attrs["lacking"] == "2 of 4 rows without a value"
    assert "_value" not in table, "the table given is left as it was"
    ratios = rules.select({**LEAF, "relative": True}, pd.DataFrame({"x": [0.0, -1.0, 2.0]}))
    assert ratios["_value"].tolist() == [2.0], "a ratio of nothing is no value"


@pytest.mark.parametrize(
    ("change", "verdict", "message"),
    [
        ({"where": {"n": 2}}, NOT_TESTED, "no rows of e with n 2"),
        ({"where": {"n": [2, None]}}, NOT_TESTED, "no rows of e with n 2 or none"),
        ({"given": {"x": [5, 6]}}, NOT_REPRODUCED, "no row has x between 5 and 6"),
        ({"column": "y"}, NOT_TESTED, "no value in column y"),
        ({"column": "z"}, NOT_TESTED, "no column 'z'"),
    ],
)
def test_select_says_why_nothing_is_left(change, verdict, message):
    table = pd.DataFrame({"x": [1.0, 2.0], "y": [np.nan, np.nan], "n": [1, 1]})
    with pytest.raises(Settled) as settled:
        rules.select({**LEAF, **change}, table)
    assert settled.value.outcome.verdict == verdict
    assert message in settled.value.outcome.reason


def test_columns_of_a_leaf_hold_its_units_and_conditions():
    difference = {"kind": "difference", "column": "x", "between": "input", "where": {"n": 1}, "match": ["level"]}
    assert rules.columns(difference) == ["x", "input", "n", "level", "content", "style"]
    assert rules.columns({**difference, "units": ["size"]}) == ["x", "input", "n", "level", "size"]
    assert rules.columns({**LEAF, "tell": ["picture"]}) == ["x", "picture"]


def test_numbers_are_written_as_people_read_them():
    assert [rules.number_text(number) for number in (-0.00012345, 1236.4, 3)] == ["−0.0001234", "1236", "3"]
