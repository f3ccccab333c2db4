"""Rules as they are written: completed, refused with the nearest name, tried on made-up tables."""

import math

import pytest

from stylerepro.errors import ClaimError
from stylerepro.ledger.check import checked, failing, refusal, satisfying
from stylerepro.ledger.rules import KINDS, NOT_REPRODUCED, REPRODUCED, columns, decide

DECLARED = {
    "tv_sweep": ["network", "content", "style", "gamma", "total_variation", "tv_ratio"],
    "compression": ["picture", "n", "mse"],
}
THRESHOLD = {"kind": "threshold", "name": "it", "column": "tv_ratio", "at_most": 0.95}
NUMBER = {"kind": "number", "name": "it", "column": "tv_ratio", "statistic": "mean", "within": [1, 3]}


def check(rule, number=2.0):
    return checked(rule, "Claim 003.1", "tv_sweep", number, DECLARED)


def test_a_leaf_takes_the_claims_experiment_and_number():
    rule = check({**NUMBER, "at_most": None, "beside": [{"name": "n", "column": "gamma"}]})
    assert (rule["experiment"], rule["number"], rule["beside"][0]["experiment"]) == ("tv_sweep", 2.0, "tv_sweep")
    assert "at_most" not in rule, "null takes a key back, so that shared text can be changed"
    assert check({**NUMBER, "number": 1.5})["number"] == 1.5
    nested = check({"main": THRESHOLD, "also": [{**NUMBER, "experiment": "compression", "column": "mse"}]})
    assert [part["experiment"] for part in (nested["main"][0], nested["also"][0])] == ["tv_sweep", "compression"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "treshold"}, r"no kind 'treshold'. Did you mean 'threshold'"),
        ({"column": "tv_ration"}, r"experiment tv_sweep has no column 'tv_ration'. Did you mean 'tv_ratio'"),
        ({"where": {"gama": 10}}, r"no column 'gama'. Did you mean 'gamma'"),
        ({"units": ["picture"]}, r"no column 'picture'"),
        ({"experiment": "tv_swep"}, r"no experiment 'tv_swep'. Did you mean 'tv_sweep'"),
        ({"at_mots": 1}, r"'it', threshold has no key 'at_mots'. Did you mean 'at_most'"),
        ({"verdict": "reproduced"}, r"computed from tables and never typed"),
        ({"name": None}, "threshold lacks name"),
        ({"at_most": None}, r"either at_most or at_least"),
        ({"at_least": 0.5}, r"either at_most or at_least"),
        ({"at_most": float("inf")}, "at_most is inf; it should be a finite number"),
        ({"statistic": "max"}, r"a statistic, which is for units: \[\]"),
        ({"units": ["network", "content", "style"]}, "units is .*; it should have at most 2 items"),
        ({"otherwise": [{"column": "gamma"}]}, "another reading needs a name"),
        ({"otherwise": [{"reading": "other", "column": "gama"}]}, r"no column 'gama'"),
        ({"otherwise": [{"each": "convention"}]}, r"no column 'convention'"),
        ({"beside": [{"name": "n", "column": "gama"}]}, r"no column 'gama'"),
        ({"beside": [{"column": "gamma"}]}, "beside lacks name"),
        (
            {"beside": [{"name": "n", "column": "gamma", "at_most": 1}]},
            "beside has no key 'at_most'",
        ),
    ],
)
def test_a_leaf_that_is_not_one_is_refused(change, message):
    with pytest.raises(ClaimError, match=message) as error:
        check({**THRESHOLD, **change})
    assert "Claim 003.1" in str(error.value)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (None, "has neither"),
        ({}, "exactly one of all, any, agree, main"),
        ({"all": [THRESHOLD], "any": [THRESHOLD]}, "exactly one of"),
        ({"main": THRESHOLD}, "main together with also"),
        ({"all": [THRESHOLD], "also": [THRESHOLD]}, "exactly one of"),
        ({"all": []}, "needs a list of rules"),
        ({"all": THRESHOLD}, "needs a list of rules"),
        ({"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma"}, "trend lacks direction"),
        (
            {"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma", "direction": "left"},
            "it should be 'up' or 'down'",
        ),
        (
            {"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma", "direction": "up", "share": 0.1},
            "share is 0.1; it should be greater than 0.5",
        ),
        (
            {"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma", "direction": "up", "minimum": -1},
            "minimum is -1; it should be greater than or equal to 0",
        ),
        ({**NUMBER, "within": [3, 1]}, r"within is .*, which is not \[low, high\]"),
        ({**NUMBER, "number": 4}, "lies within its bounds"),
        ({**NUMBER, "loosely": [1.5, 2.5]}, "lies within its bounds"),
        ({**NUMBER, "within": [-1e9, 1e9]}, "no value could fail"),
        ({"any": [THRESHOLD, {**THRESHOLD, "at_most": None, "at_least": 0.9}]}, "no value could fail"),
        ({"all": [THRESHOLD, {**THRESHOLD, "at_most": None, "at_least": 0.99}]}, "could satisfy"),
    ],
)
def test_a_rule_that_is_not_one_is_refused(rule, message):
    with pytest.raises(ClaimError, match=message):
        check(rule)


@pytest.mark.parametrize("number", [None, [1.0, 2.0], "many"])
def test_a_number_is_missing(number):
    with pytest.raises(ClaimError, match="needs a number"):
        check(NUMBER, number)


def leaf(kind, **keys):
    return {"kind": kind, "name": "it", "experiment": "e", "column": "x", **keys}


GOOD = {
    "number": leaf("number", number=91.91, statistic="closest", within=[91, 93], scale=100, tell=["picture"]),
    "threshold": leaf("threshold", at_most=0.5, loosely=0.8, over="raw", where={"n": [150, None]}),
    "trend": leaf("trend", x="gamma", direction="down", minimum=0.1, units=["content"]),
    "difference": {
        **leaf("difference", between="input", a="a", b="b", direction="up", minimum=0.1),
        **{"controls": ["c"], "match": ["level"], "floor": "f"},
    },
    "equivalence": leaf("equivalence", between="net", a="a", b="b", within=[None, 0.1], relative=True),
    "order": leaf("order", between="net", order=["a", "b", "c"], direction="down", gap=0.03, units=["size"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_tables_hold_and_fail(kind):
    rule = GOOD[kind]
    assert checked(rule, "it", "e", None, {"e": columns(rule)}) == rule
    assert REPRODUCED in {decide(rule, table, 20).verdict for table in satisfying(rule)}
    verdicts = {decide(rule, table, 20).verdict for table in failing(rule)}
    assert NOT_REPRODUCED in verdicts
    assert REPRODUCED not in verdicts


@pytest.mark.parametrize(
    "rule",
    [
        leaf("number", number=91.91, statistic="mean", within=[-math.inf, math.inf]),
        leaf("number", number=91.91, statistic="mean", within=[0, 1000]),
        leaf("number", number=91.91, statistic="mean", within=[91, 93], loosely=[-1000, 1000]),
        leaf("threshold", at_least=-math.inf),
        leaf("equivalence", between="net", a="a", b="b", within=[None, None]),
        leaf("equivalence", between="net", a="a", b="b", within=[-1, None], relative=True),
        {"any": [leaf("threshold", at_most=5), leaf("threshold", at_least=3)]},
    ],
)
def test_a_rule_that_no_value_could_fail_is_refused(rule):
    assert "fail" in refusal(rule)


@pytest.mark.parametrize(
    "rule",
    [
        leaf("number", number=5.0, statistic="mean", within=[6, 7]),
        leaf("difference", between="net", a="a", b="a", direction="up"),
        leaf("difference", between="net", a="a", b="b", direction="down", relative=True, minimum=1.0),
        leaf("difference", between="net", a="a", b="b", direction="up", where={"net": "a"}),
        leaf("trend", x="gamma", direction="up", where={"gamma": [10, 100]}),
        {"all": [leaf("threshold", at_most=3), leaf("threshold", at_least=5)]},
        {"main": leaf("trend", x="g", direction="up"), "also": [leaf("trend", x="g", direction="down")]},
    ],
)
def test_a_rule_that_nothing_could_satisfy_is_refused(rule):
    assert "satisfy" in refusal(rule)


@pytest.mark.parametrize(
    "rule",
    [
        {"any": [leaf("threshold", at_most=3), leaf("threshold", at_least=5)]},
        {"all": [leaf("threshold", at_most=5), leaf("threshold", at_least=3)]},
        {"any": [leaf("threshold", at_most=5), leaf("threshold", at_least=3, column="y")]},
        {"agree": [leaf("trend", x="g", direction="up"), leaf("trend", x="g", direction="up", column="y")]},
    ],
)
def test_parts_that_leave_room_are_taken(rule):
    assert refusal(rule) is None


def test_other_readings_are_probed_too():
    rule = {**GOOD["threshold"], "otherwise": [{"reading": "anything", "at_most": math.inf}]}
    assert "fail" in refusal(rule)
