"""Rules as they are written: completed, refused with the nearest name, tried on made-up tables."""

import math
import re
from pathlib import Path
from typing import get_args

import pytest
from probes import made_up, refusal

from stylerepro.errors import ClaimError
from stylerepro.ledger.check import _ANY, Beside, checked
from stylerepro.ledger.claims import load_ledger
from stylerepro.ledger.rules import KINDS, NOT_REPRODUCED, REPRODUCED, columns, decide

DECLARED = {
    "tv_sweep": ["network", "content", "style", "gamma", "total_variation", "tv_ratio"],
    "compression": ["picture", "n", "mse"],
}
THRESHOLD = {"kind": "threshold", "name": "it", "column": "tv_ratio", "at_most": 0.95}
NUMBER = {"kind": "number", "name": "it", "column": "tv_ratio", "statistic": "mean", "within": [1, 3]}
TREND = {"kind": "trend", "name": "it", "column": "tv_ratio", "x": "gamma", "direction": "up"}


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
    ("rule", "message"),
    [
        (THRESHOLD | {"kind": "treshold"}, "no kind 'treshold'. Did you mean 'threshold'"),
        (THRESHOLD | {"column": "tv_ration"}, "experiment tv_sweep has no column 'tv_ration'. Did you mean 'tv_ratio'"),
        (THRESHOLD | {"where": {"gama": 10}}, "no column 'gama'. Did you mean 'gamma'"),
        (THRESHOLD | {"units": ["picture"]}, "no column 'picture'"),
        (THRESHOLD | {"experiment": "tv_swep"}, "no experiment 'tv_swep'. Did you mean 'tv_sweep'"),
        (THRESHOLD | {"at_mots": 1}, "'it', threshold has no key 'at_mots'. Did you mean 'at_most'"),
        (THRESHOLD | {"verdict": "reproduced"}, "computed from tables and never typed"),
        (THRESHOLD | {"name": None}, "threshold lacks name"),
        (THRESHOLD | {"at_most": None}, "either at_most or at_least"),
        (THRESHOLD | {"at_least": 0.5}, "either at_most or at_least"),
        (THRESHOLD | {"at_most": math.inf}, "at_most is inf; it should be a finite number"),
        (THRESHOLD | {"statistic": "max"}, r"a statistic, which is for units: \[\]"),
        (THRESHOLD | {"units": ["network", "content", "style"]}, "units is .*; it should have at most 2 items"),
        (THRESHOLD | {"otherwise": [{"column": "gamma"}]}, "another reading needs a name"),
        (THRESHOLD | {"otherwise": [{"reading": "other", "column": "gama"}]}, "no column 'gama'"),
        (THRESHOLD | {"otherwise": [{"each": "convention"}]}, "no column 'convention'"),
        (THRESHOLD | {"otherwise": [{"reading": "other", "tag": "X"}]}, r"a reading's tag is E .* not 'X'"),
        (THRESHOLD | {"beside": [{"name": "n", "column": "gama"}]}, "no column 'gama'"),
        (THRESHOLD | {"beside": [{"column": "gamma"}]}, "beside lacks name"),
        (THRESHOLD | {"beside": [{"name": "n", "column": "gamma", "at_most": 1}]}, "beside has no key 'at_most'"),
        (TREND | {"direction": None}, "trend lacks direction"),
        (TREND | {"direction": "left"}, "it should be 'up' or 'down'"),
        (TREND | {"share": 0.1}, "share is 0.1; it should be greater than 0.5"),
        (TREND | {"minimum": -1}, "minimum is -1; it should be greater than or equal to 0"),
        (NUMBER | {"number": "many"}, "needs a number"),
        (NUMBER | {"within": [3, 1]}, r"within is .*, which is not \[low, high\]"),
        (NUMBER | {"number": 4}, "lies within its bounds"),
        (NUMBER | {"loosely": [1.5, 2.5]}, "lies within its bounds"),
        (None, "has neither"),
        ({}, "exactly one of all, any, agree, main"),
        ({"all": [THRESHOLD], "any": [THRESHOLD]}, "exactly one of"),
        ({"main": THRESHOLD}, "main together with also"),
        ({"all": []}, "needs a list of rules"),
        ({"all": THRESHOLD}, "needs a list of rules"),
    ],
)
def test_a_rule_that_is_not_one_is_refused(rule, message):
    with pytest.raises(ClaimError, match=f"Claim 003.1.*{message}"):
        check(rule)


@pytest.mark.parametrize("number", [None, [1.0, 2.0]])
def test_a_number_is_missing(number):
    with pytest.raises(ClaimError, match="needs a number"):
        check(NUMBER, number)


def leaf(kind, **keys):
    return {"kind": kind, "name": "it", "experiment": "e", "column": "x", **keys}


def number(**keys):
    return leaf("number", number=91.91, statistic="mean", **keys)


def against(kind, **keys):
    return leaf(kind, between="net", **({"a": "a", "b": "b"} | keys))


GOOD = {
    "number": leaf("number", number=91.91, statistic="closest", within=[91, 93], scale=100, tell=["picture"]),
    "threshold": leaf("threshold", at_most=0.5, loosely=0.8, over="raw", where={"n": [150, None]}),
    "trend": leaf("trend", x="gamma", direction="down", minimum=0.1, units=["content"]),
    "difference": against("difference", direction="up", minimum=0.1, controls=["c"], match=["level"], floor="f"),
    "equivalence": against("equivalence", within=[None, 0.1], relative=True),
    "wins": against("wins", direction="down", at_least=0.8, match=["level"]),
    "order": leaf("order", between="net", order=["a", "b", "c"], direction="down", gap=0.03, units=["size"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_tables_hold_and_fail(kind):
    rule = GOOD[kind]
    assert checked(rule, "it", "e", None, {"e": columns(rule)}) == rule
    assert REPRODUCED in {decide(rule, table).verdict for table in made_up(rule, good=True)}
    verdicts = {decide(rule, table).verdict for table in made_up(rule, good=False)}
    assert NOT_REPRODUCED in verdicts
    assert REPRODUCED not in verdicts


LOW, HIGH = leaf("threshold", at_most=3), leaf("threshold", at_least=5)
WIDE_LOW, WIDE_HIGH = leaf("threshold", at_most=5), leaf("threshold", at_least=3)
RISING = leaf("trend", x="g", direction="up")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (number(within=[-math.inf, math.inf]), "fail"),
        (number(within=[0, 1000]), "fail"),
        (number(within=[91, 93], loosely=[-1000, 1000]), "fail"),
        (leaf("threshold", at_least=-math.inf), "fail"),
        (against("equivalence", within=[None, None]), "fail"),
        (against("equivalence", within=[-1, None], relative=True), "fail"),
        ({"any": [WIDE_LOW, WIDE_HIGH]}, "fail"),
        (GOOD["threshold"] | {"otherwise": [{"reading": "anything", "at_most": math.inf}]}, "fail"),
        (number(within=[6, 7]) | {"number": 5.0}, "satisfy"),
        (against("difference", b="a", direction="up"), "satisfy"),
        (against("difference", direction="down", relative=True, minimum=1.0), "satisfy"),
        (against("difference", direction="up", where={"net": "a"}), "satisfy"),
        (leaf("trend", x="gamma", direction="up", where={"gamma": [10, 100]}), "satisfy"),
        ({"all": [LOW, HIGH]}, "satisfy"),
        ({"main": RISING, "also": [RISING | {"direction": "down"}]}, "satisfy"),
        ({"any": [LOW, HIGH]}, None),
        ({"all": [WIDE_LOW, WIDE_HIGH]}, None),
        ({"any": [WIDE_LOW, WIDE_HIGH | {"column": "y"}]}, None),
        ({"agree": [RISING, RISING | {"column": "y"}]}, None),
        (against("equivalence", within=[-0.5, None], relative=True), None),
    ],
)
def test_a_rule_that_no_value_could_fail_or_satisfy_is_recognised(rule, why):
    assert refusal(rule) is None if why is None else why in refusal(rule)


def test_every_rule_of_the_ledger_can_hold_and_fail():
    assert {claim.id: why for claim in load_ledger() if (why := refusal(claim.rule))} == {}


def test_the_table_of_the_kinds_of_rule_names_all_keys_of_each():
    page = (Path(__file__).resolve().parents[2] / "book/extend.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \|[^|]*\|(.*)\|(.*)\|$", page)
    told = {kind: [set(re.findall(r"`(\w+)`", cell)) for cell in cells] for kind, *cells in rows}
    models = {get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(get_args(_ANY)[0])}
    assert set(told) == set(models) == set(KINDS)
    common = set(Beside.model_fields) | {"kind", "given", "restricted", "otherwise", "beside"}
    for kind, (needed, optional) in told.items():
        fields = {name: field for name, field in models[kind].model_fields.items() if name not in common}
        required = {name for name, field in fields.items() if field.is_required()} | needed & {"at_most", "at_least"}
        assert (needed, optional) == (required, set(fields) - required), kind
