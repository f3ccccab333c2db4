"""Verdicts of rules made of parts, of other readings, and of networks judged apart."""

from types import SimpleNamespace

import pandas as pd
import pytest

from stylerepro.ledger import verdicts
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY
from stylerepro.ledger.verdicts import judge, leaves, readings

R, T, N, U = REPRODUCED, TREND_ONLY, NOT_REPRODUCED, NOT_TESTED
# A number of 1 ± 0.1 is reproduced, within ± 1 `trend only`.
VALUES = {R: 1.0, T: 1.5, N: 5.0, U: None}


def leaf(column="x", **keys):
    bounds = {"number": 1.0, "within": [0.9, 1.1], "loosely": [0.0, 2.0], "statistic": "mean"}
    return {"kind": "number", "name": f"the {column}", "experiment": "e", "column": column, **bounds, **keys}


def verdict(rule, tables, **claim):
    """The verdict on a claim of this rule."""
    whole = {"experiment": "e", "rule": rule, "least": {}, "gates": {}, "settings": ()} | claim
    return verdicts.verdict(SimpleNamespace(**whole), tables)


def judged(rule, **columns):
    """What a claim gives on a table of these columns, each a value or a list of values."""
    lists = {name: values if isinstance(values, list) else [values] for name, values in columns.items()}
    return verdict(rule, {"e": pd.DataFrame(lists)}).outcome


@pytest.mark.parametrize(
    ("combination", "parts", "expected"),
    [
        ("all", (R, R), R), ("all", (R, T), T), ("all", (R, N), N), ("all", (N, U), N), ("all", (R, U), U),
        ("any", (N, R), R), ("any", (N, T), T), ("any", (N, N), N), ("any", (N, U), U), ("any", (R, U), R),
        ("agree", (R, R, R), R), ("agree", (R, R, T), T), ("agree", (R, T, N), T), ("agree", (R, N, N), N),
        ("agree", (R, N), T), ("agree", (R, R, U), U),
        ("main and also", (R, R), R), ("main and also", (R, N), T), ("main and also", (R, T), T),
        ("main and also", (R, U), T), ("main and also", (T, R), T), ("main and also", (N, R), N),
        ("main and also", (U, R), U),
    ],
)  # fmt: skip
def test_parts_are_put_together(combination, parts, expected):
    """The verdict of a rule on leaves a, b, c that came out as `parts`; secondary clauses only take away."""
    values = {name: VALUES[part] for name, part in zip("abc", parts, strict=False)}
    names = list(map(leaf, values))
    rule = {combination: names} if combination != "main and also" else {"main": names[0], "also": names[1:]}
    tables = {name: pd.DataFrame({name: [value]}, dtype=float) for name, value in values.items()}
    assert judge(rule, lambda part: tables[part["column"]]).verdict == expected


def test_each_nested_part_is_named_once_and_keeps_its_own_verdict_and_numbers():
    rule = {"agree": [{"main": leaf("a"), "also": [leaf("b")]}, leaf("c")]}
    outcome = judged(rule, a=1.0, b=5.0, c=1.5)
    assert outcome.verdict == TREND_ONLY
    measured = ("the a: 1, 1 to 1 over 1 rows", "the b: 5, 5 to 5 over 1 rows", "the c: 1.5, 1.5 to 1.5 over 1 rows")
    assert outcome.measured == "; ".join(measured)
    assert "the b: not reproduced, outside 0.9 … 1.1" in outcome.reason
    assert [part["column"] for part in leaves(rule)] == ["a", "b", "c"]
    parts = [tuple(part[key] for key in ("name", "kind", "verdict", "value", "n")) for part in outcome.parts]
    assert parts == [("the a", "number", R, 1.0, 1), ("the b", "number", N, 5.0, 1), ("the c", "number", T, 1.5, 1)]
    assert (outcome.value, outcome.n) == (1.0, 1)


def test_the_runs_behind_a_verdict_are_those_whose_rows_were_looked_at():
    table = pd.DataFrame({"run": ["first", "second", "third"], "which": [1, 2, 3], "x": [1.0, 5.0, 5.0]})
    table = table.assign(experiment="e", profile="reference")

    def runs(table=table, **keys):
        return [name for _, _, name in verdict(leaf(**keys), {"e": table}).runs]

    assert verdict(leaf(where={"which": 1}), {"e": table}).runs == (("e", "reference", "first"),)
    beside = [{"name": "two", "experiment": "e", "column": "x", "where": {"which": 2}}]
    assert runs(where={"which": 1}, beside=beside) == ["first", "second"]
    reading = [{"reading": "another", "where": {"which": 3}}]
    assert "third" in runs(where={"which": 1}, otherwise=reading)
    assert len(runs(given={"x": [8, 9]})) == 3, "no row meets the condition"
    assert runs(table.drop(columns="run")) == []


def test_each_value_of_a_column_is_a_reading():
    each = [{"each": "reading"}, {"each": "reading", "column": "y", "reading": "of y"}]
    rule = leaf(where={"reading": "h"}, otherwise=each)
    columns = {"reading": ["h", "qr", "wh"], "x": [9.0, 1.0, 1.0], "y": [1.0, 9.0, 1.0]}
    others = {name: other for name, _, other in readings(rule, pd.DataFrame(columns))}
    assert list(others) == ["reading qr", "reading wh", "of y, reading qr", "of y, reading wh"]
    assert others["of y, reading qr"]["where"] == {"reading": "qr"}
    outcome = judged(rule, **columns)
    assert outcome.verdict == TREND_ONLY
    assert "reading qr (" in outcome.reason
    assert "of y, reading wh (" in outcome.reason
    assert "of y, reading qr (" not in outcome.reason
    assert outcome.value == 9.0, "the measured number stays the literal one"
    half = judged(rule, **columns | {"x": [9.0, 1.5, 1.5], "y": [1.5] * 3})
    assert half.verdict == NOT_REPRODUCED, "half a fit is none"


def test_a_reading_with_a_kind_of_its_own_starts_afresh():
    rule = leaf(where={"n": 1}, otherwise=[{"reading": "small", "kind": "threshold", "column": "y", "at_most": 3}])
    (name, tag, other) = next(readings(rule))
    assert (name, tag, other["name"], other["where"], other["experiment"]) == ("small", "U", "small", {}, "e")
    assert "within" not in other


def networks(**means):
    return {"e": pd.DataFrame([{"network": name.replace("_", "-"), "x": value} for name, value in means.items()])}


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (networks(compact=1, vgg16_caffe=1), REPRODUCED), (networks(compact=1, vgg16_caffe=5), TREND_ONLY),
        (networks(compact=1.5, vgg16_caffe=5), NOT_REPRODUCED), (networks(compact=5, vgg16_caffe=5), NOT_REPRODUCED),
        (networks(vgg16_caffe=1), REPRODUCED), (networks(vgg16_caffe=1, compact=None), REPRODUCED),
        (networks(vgg16_caffe=1, vgg19=5), REPRODUCED), (networks(vgg19=1), REPRODUCED), (networks(tiny=1), NOT_TESTED),
        (networks(vgg16_caffe=5, tiny=1), NOT_REPRODUCED), ({}, NOT_TESTED),
    ],
)  # fmt: skip
def test_networks_are_judged_apart(tables, expected):
    assert verdict(leaf(), tables).outcome.verdict == expected


def test_networks_that_do_not_decide_stand_beside():
    judged_apart = verdict(leaf(), networks(vgg16_caffe=1, vgg19=5))
    assert {name: outcome.verdict for name, outcome in judged_apart.networks.items()} == {"vgg16-caffe": R, "vgg19": N}
    assert "on vgg16-caffe alone" in judged_apart.outcome.reason
    both = verdict(leaf(), networks(compact=1, vgg16_caffe=5)).outcome
    assert "compact: reproduced" in both.reason
    assert "vgg16-caffe: not reproduced" in both.reason
    named = verdict(leaf(where={"network": "vgg16"}), networks(vgg16=1, compact=5))
    assert (named.outcome.verdict, named.networks) == (REPRODUCED, {}), "the rule itself names its network"


def test_rows_that_belong_to_no_network_stand_for_all():
    table = pd.DataFrame({"network": ["compact", None], "x": [1.0, 1.0], "cost": [None, 1.0]})
    assert verdict({"all": [leaf("x"), leaf("cost")]}, {"e": table}).outcome.verdict == REPRODUCED


def test_numbers_beside_are_shown_and_do_not_count():
    beside = [{"name": name, "experiment": experiment, "column": "s"} for name, experiment in ("se", "nf")]
    judged_apart = verdict(leaf(beside=beside), {"e": pd.DataFrame({"x": [1.0], "s": [2.5]})})
    assert (judged_apart.outcome.verdict, judged_apart.beside) == (REPRODUCED, "s: 2.5")
