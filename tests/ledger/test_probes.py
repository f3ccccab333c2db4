import math

import pytest

from stylerepro.ledger.probes import failing, refusal, satisfying
from stylerepro.ledger.rules import KINDS, NOT_REPRODUCED, REPRODUCED, decide


def leaf(kind, **keys):
    return {"kind": kind, "name": "it", "experiment": "e", "column": "x", **keys}


GOOD = {
    "number": leaf("number", number=91.91, statistic="closest", within=[91, 93], scale=100, tell=["picture"]),
    "threshold": leaf("threshold", at_most=0.5, loosely=0.8, over="raw", where={"n": [150, None]}),
    "trend": leaf("trend", x="gamma", direction="down", minimum=0.1, units=["content"]),
    "difference": leaf(
        "difference",
        between="input",
        a="a",
        b="b",
        direction="up",
        controls=["c"],
        minimum=0.1,
        match=["level"],
        floor="f",
    ),
    "equivalence": leaf("equivalence", between="net", a="a", b="b", within=[None, 0.1], relative=True),
    "order": leaf("order", between="net", order=["a", "b", "c"], direction="down", gap=0.03, units=["size"]),
}


def test_there_is_a_probe_for_every_kind():
    assert set(GOOD) == set(KINDS)


@pytest.mark.parametrize("kind", GOOD)
def test_made_up_tables_hold_and_fail(kind):
    rule = GOOD[kind]
    assert refusal(rule) is None
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
