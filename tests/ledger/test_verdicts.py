import pandas as pd
import pytest

from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY
from stylerepro.ledger.verdicts import judge, leaves, readings, verdict

# A number of 1 ± 0.1 is reproduced, within ± 1 `trend only`.
VALUES = {REPRODUCED: 1.0, TREND_ONLY: 1.5, NOT_REPRODUCED: 5.0}


def leaf(column="x", **keys):
    bounds = {"number": 1.0, "within": [0.9, 1.1], "loosely": [0.0, 2.0], "statistic": "mean"}
    return {"kind": "number", "name": f"the {column}", "experiment": "e", "column": column, **bounds, **keys}


def judged(rule, verdicts):
    """The verdict of a rule on leaves a, b, c… that came out as `verdicts`."""
    values = {name: VALUES.get(verdict) for name, verdict in zip("abc", verdicts, strict=False)}
    return judge(rule, lambda leaf: pd.DataFrame({leaf["column"]: [values[leaf["column"]]]}, dtype=float)).verdict


R, T, N, U = REPRODUCED, TREND_ONLY, NOT_REPRODUCED, NOT_TESTED


@pytest.mark.parametrize(
    ("combination", "parts", "expected"),
    [
        ("all", (R, R), R),
        ("all", (R, T), T),
        ("all", (R, N), N),
        ("all", (N, U), N),
        ("all", (R, U), U),
        ("any", (N, R), R),
        ("any", (N, T), T),
        ("any", (N, N), N),
        ("any", (N, U), U),
        ("any", (R, U), R),
        ("agree", (R, R, R), R),
        ("agree", (R, R, T), T),
        ("agree", (R, T, N), T),
        ("agree", (R, N, N), N),
        ("agree", (R, N), T),
        ("agree", (R, R, U), U),
    ],
)
def test_parts_are_put_together(combination, parts, expected):
    rule = {combination: [leaf(column) for column in "abc"[: len(parts)]]}
    assert judged(rule, parts) == expected


@pytest.mark.parametrize(
    ("main", "also", "expected"),
    [(R, R, R), (R, N, T), (R, T, T), (R, U, T), (T, R, T), (N, R, N), (U, R, U)],
)
def test_secondary_clauses_only_take_away(main, also, expected):
    assert judged({"main": leaf("a"), "also": [leaf("b")]}, (main, also)) == expected


def test_what_is_not_tested_as_written_shows_what_other_readings_measured():
    rule = leaf(where={"device": "cuda"}, otherwise=[{"reading": "on a CPU", "where": {"device": "cpu"}}])
    table = pd.DataFrame({"device": ["cpu"], "x": [5.0]})
    outcome = judge(rule, lambda leaf: table)
    assert outcome.verdict == NOT_TESTED
    assert "device cuda" in outcome.reason
    assert outcome.measured.startswith("on a CPU: 5")
    assert judge(rule, lambda leaf: table.assign(x=1.0)).verdict == TREND_ONLY
    assert judge(rule, lambda leaf: table.iloc[:0]).measured == ""


def test_nested_parts_are_named_once():
    rule = {"agree": [{"main": leaf("a"), "also": [leaf("b")]}, leaf("c")]}
    table = pd.DataFrame({"a": [1.0], "b": [5.0], "c": [1.0]})
    outcome = judge(rule, lambda leaf: table)
    assert outcome.verdict == TREND_ONLY
    assert outcome.measured == "; ".join(
        f"the {c}: {v}, {v} to {v} over 1 rows" for c, v in (("a", 1), ("b", 5), ("c", 1))
    )
    assert outcome.reason == "the b: not reproduced, outside 0.9 … 1.1"
    assert [part["column"] for part in leaves(rule)] == ["a", "b", "c"]


def test_each_part_keeps_its_own_verdict_and_numbers():
    rule = {"agree": [{"main": leaf("a"), "also": [leaf("b")]}, leaf("c")]}
    outcome = judge(rule, lambda leaf: pd.DataFrame({"a": [1.0], "b": [5.0], "c": [1.5]}))
    parts = [tuple(part[key] for key in ("name", "kind", "verdict", "value", "n")) for part in outcome.parts]
    assert parts == [("the a", "number", R, 1.0, 1), ("the b", "number", N, 5.0, 1), ("the c", "number", T, 1.5, 1)]
    assert (outcome.value, outcome.n) == (1.0, 1)


def test_the_runs_behind_a_verdict_are_those_whose_rows_were_looked_at():
    keys = ("experiment", "profile", "run")
    rows = [
        ("e", "reference", name, which, x) for name, which, x in (("one", 1, 1.0), ("two", 2, 5.0), ("three", 3, 5.0))
    ]
    table = pd.DataFrame(rows, columns=[*keys, "which", "x"])
    runs = verdict(leaf(where={"which": 1}), {"e": table}).runs
    assert runs == (("e", "reference", "one"),)
    beside = [{"name": "two", "experiment": "e", "column": "x", "where": {"which": 2}}]
    assert len(verdict(leaf(where={"which": 1}, beside=beside), {"e": table}).runs) == 2
    reading = [{"reading": "another", "where": {"which": 3}}]
    assert ("e", "reference", "three") in verdict(leaf(where={"which": 1}, otherwise=reading), {"e": table}).runs
    assert len(verdict(leaf(given={"x": [8, 9]}), {"e": table}).runs) == 3, "no row meets the condition"
    assert verdict(leaf(), {"e": table.drop(columns="run")}).runs == ()


def test_another_reading_that_fits_gives_trend_only_and_is_named():
    rule = leaf("variance", otherwise=[{"reading": "singular values", "column": "values"}])
    table = pd.DataFrame({"variance": [9.0], "values": [1.0]})
    outcome = judge(rule, lambda leaf: table)
    assert outcome.verdict == TREND_ONLY
    assert "as written not reproduced" in outcome.reason
    assert "singular values (1, 1 to 1 over 1 rows)" in outcome.reason
    assert outcome.value == 9.0, "the measured number stays the literal one"
    assert judge(rule, lambda leaf: table.assign(values=[1.5])).verdict == NOT_REPRODUCED, "half a fit is none"
    assert judge(rule, lambda leaf: table.assign(variance=[1.0])).verdict == REPRODUCED


def test_each_value_of_a_column_is_a_reading():
    rule = leaf(
        where={"reading": "h"}, otherwise=[{"each": "reading"}, {"each": "reading", "column": "y", "reading": "of y"}]
    )
    table = pd.DataFrame({"reading": ["h", "qr", "wh"], "x": [9.0, 1.0, 1.0], "y": [1.0, 9.0, 1.0]})
    others = dict(readings(rule, table))
    assert list(others) == ["reading qr", "reading wh", "of y, reading qr", "of y, reading wh"]
    assert others["of y, reading qr"]["where"] == {"reading": "qr"}
    outcome = judge(rule, lambda leaf: table)
    assert outcome.verdict == TREND_ONLY
    assert "reading qr (" in outcome.reason
    assert "of y, reading wh (" in outcome.reason
    assert "of y, reading qr (" not in outcome.reason


def test_a_reading_with_a_kind_of_its_own_starts_afresh():
    rule = leaf(where={"n": 1}, otherwise=[{"reading": "small", "kind": "threshold", "column": "y", "at_most": 3}])
    (name, other) = next(readings(rule))
    assert (name, other["name"], other["where"], other["experiment"]) == ("small", "small", {}, "e")
    assert "within" not in other


def networks(**means):
    return {"e": pd.DataFrame([{"network": name.replace("_", "-"), "x": value} for name, value in means.items()])}


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (networks(compact=1, vgg19_16x=1), REPRODUCED),
        (networks(compact=1, vgg19_16x=5), TREND_ONLY),
        (networks(compact=1.5, vgg19_16x=5), NOT_REPRODUCED),
        (networks(compact=5, vgg19_16x=5), NOT_REPRODUCED),
        (networks(vgg19_16x=1), REPRODUCED),
        (networks(vgg19_16x=1, compact=None), REPRODUCED),
        (networks(vgg19_16x=1, vgg19=5), REPRODUCED),
        (networks(vgg19=1), REPRODUCED),
        (networks(tiny=1), NOT_TESTED),
        (networks(vgg19_16x=5, tiny=1), NOT_REPRODUCED),
        ({}, NOT_TESTED),
    ],
)
def test_networks_are_judged_apart(tables, expected):
    assert verdict(leaf(), tables).outcome.verdict == expected


def test_networks_that_do_not_decide_stand_beside():
    judged_apart = verdict(leaf(), networks(vgg19_16x=1, vgg19=5))
    assert {name: outcome.verdict for name, outcome in judged_apart.networks.items()} == {"vgg19-16x": R, "vgg19": N}
    assert "on vgg19-16x alone" in judged_apart.outcome.reason
    both = verdict(leaf(), networks(compact=1, vgg19_16x=5)).outcome
    assert "compact: reproduced" in both.reason
    assert "vgg19-16x: not reproduced" in both.reason


def test_a_network_named_by_the_rule_is_not_judged_apart():
    rule = leaf(where={"network": "vgg16"})
    judged_apart = verdict(rule, networks(vgg16=1, compact=5))
    assert (judged_apart.outcome.verdict, judged_apart.networks) == (REPRODUCED, {})


def test_rows_that_belong_to_no_network_stand_for_all():
    table = pd.DataFrame({"network": ["compact", None], "x": [1.0, 1.0], "cost": [None, 1.0]})
    rule = {"all": [leaf("x"), leaf("cost")]}
    assert verdict(rule, {"e": table}).outcome.verdict == REPRODUCED


def test_numbers_beside_are_shown_and_do_not_count():
    rule = leaf(
        beside=[{"name": "seconds", "experiment": "e", "column": "s"}, {"name": "n", "experiment": "f", "column": "s"}]
    )
    judged_apart = verdict(rule, {"e": pd.DataFrame({"x": [1.0], "s": [2.5]})})
    assert (judged_apart.outcome.verdict, judged_apart.beside) == (REPRODUCED, "seconds: 2.5")
