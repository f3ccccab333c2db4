"""Planted cases: each gets the verdict that it deserves, whatever its swept column says."""

from itertools import product
from types import SimpleNamespace

import pandas as pd
import pytest

from stylerepro.ledger import verdicts
from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, TREND_ONLY

RULE = {"kind": "trend", "name": "variation", "experiment": "e", "column": "variation"}
RULE |= {"x": "gamma", "direction": "down"}
GATES = {"ask": ["style", "content"], "base": {"gamma": 0}}
SETTINGS = ({"setting": "as printed", "where": {"scale": "native"}}, {"setting": "other", "where": {"scale": "unit"}})
LEAST = {"content": 3, "style": 5}
PASSED = dict.fromkeys(("gate_predictor", "gate_imagenet", "gate_content", "gate_structure"), 0.1)


def sweep(contents=3, styles=5, direction=-1, scale="native", **columns):
    """A sweep in which every pair follows, with what the gates of each row say."""
    rows = [
        {"content": f"c{content}", "style": f"s{style}", "gamma": gamma, "variation": 5 + content + direction * gamma}
        for content, style, gamma in product(range(contents), range(styles), [0, 1, 2])
    ]
    return pd.DataFrame(rows).assign(scale=scale, **PASSED | columns)


def judge(*tables, **claim):
    whole = {"experiment": "e", "rule": RULE, "least": LEAST, "gates": GATES, "settings": ()} | claim
    return verdicts.verdict(SimpleNamespace(**whole), {"e": pd.concat(tables, ignore_index=True)})


@pytest.mark.parametrize(
    ("table", "expected", "reason"),
    [
        (sweep(), REPRODUCED, ""),
        (sweep(direction=1), NOT_REPRODUCED, ""),
        (sweep(gate_predictor=-0.1), NOT_TESTED, "style taken up in 0 of 15, two thirds are asked"),
        (sweep(gate_imagenet=-0.1), NOT_TESTED, "style taken up in 0 of 15"),
        (sweep(gate_content=-0.1), NOT_TESTED, "content kept in 0 of 15, two thirds are asked"),
        (sweep(gate_structure=-0.1), NOT_TESTED, "content kept in 0 of 15"),
        (sweep(gate_predictor=float("nan")), NOT_TESTED, "style taken up: unknown, no value of gate_predictor"),
        (sweep().drop(columns="gate_content"), NOT_TESTED, "content kept: unknown, no value of gate_content"),
        (sweep(ended="diverged"), NOT_TESTED, "in 0 of 15"),
        (sweep(contents=1, styles=1), NOT_TESTED, "1 of 3 contents × 1 of 5 styles; there it is: reproduced"),
        (sweep(contents=2), NOT_TESTED, "variation rests on 2 of 3 contents"),
    ],
    ids=lambda value: None if isinstance(value, pd.DataFrame) else value,
)
def test_a_sweep_is_judged_only_where_its_base_is_a_style_transfer_of_enough_pairs(table, expected, reason):
    verdict = judge(table)
    assert verdict.outcome.verdict == expected
    assert reason in verdict.outcome.reason


def test_a_reading_that_was_not_run_is_counted_and_not_spelt_out():
    reason = judge(sweep(gate_predictor=-0.1), settings=SETTINGS).outcome.reason
    assert reason.endswith(
        "as printed: style taken up in 0 of 15, two thirds are asked, content kept in 15 of 15; readings not run: 1)"
    )


def test_gates_look_at_the_base_setting_alone_and_ask_two_thirds_of_the_pairs():
    table = sweep()
    assert judge(table.assign(gate_content=0.5 - table["gamma"])).outcome.verdict == REPRODUCED, "extremes may be flat"
    passing = {f"s{style}": 0.1 if style < 4 else -0.1 for style in range(5)}
    assert judge(table.assign(gate_predictor=table["style"].map(passing))).outcome.verdict == REPRODUCED
    passing["s3"] = -0.1
    assert judge(table.assign(gate_predictor=table["style"].map(passing))).outcome.verdict == NOT_TESTED


def test_a_row_without_a_picture_says_nothing_of_its_pair_and_a_pair_without_any_does_not_pass():
    whole, lacking = sweep(), sweep(gate_predictor=float("nan"))
    assert judge(whole, lacking).outcome.verdict == REPRODUCED
    without = whole["style"].isin(["s0", "s1"])
    reason = judge(whole[~without], lacking[without]).outcome.reason
    assert "style taken up in 9 of 15, two thirds are asked" in reason


def test_what_an_optimum_looks_like_is_judged_where_the_loss_has_settled():
    gates = {"ask": ["settled"], "exempt": "no style", "units": ["content"]}
    assert judge(sweep(gate_settled=0.002), gates=gates).outcome.verdict == REPRODUCED
    still = judge(sweep(gate_settled=0.05), gates=gates).outcome
    assert (still.verdict, "settled in 0 of 3" in still.reason) == (NOT_TESTED, True)


def test_the_first_setting_whose_gates_pass_is_judged_and_the_literal_ones_outcome_is_shown():
    unstyled, styled = sweep(gate_predictor=-0.1, direction=1), sweep(scale="unit")
    verdict = judge(unstyled, styled, settings=SETTINGS)
    assert (verdict.outcome.verdict, verdict.setting) == (REPRODUCED, "other")
    assert "in the reading other, since as printed: style taken up in 0 of 15" in verdict.outcome.reason
    assert [setting.passed for setting in verdict.settings] == [False, True]
    literal = judge(sweep(), styled.assign(variation=1.0), settings=SETTINGS)
    assert (literal.outcome.verdict, literal.setting) == (REPRODUCED, "as printed"), "a later one does not count"
    assert (literal.same, literal.others) == (0, 1), "but is seen"
    neither = judge(unstyled.assign(gate_content=-1), sweep(scale="unit", gate_imagenet=-1), settings=SETTINGS)
    assert (neither.outcome.verdict, neither.setting) == (NOT_TESTED, "other"), "the nearest is shown, and not judged"
    assert all(f"{name}: style" in neither.outcome.reason for name in ("as printed", "other"))


@pytest.mark.parametrize(
    ("tag", "value", "robust", "fragile"),
    [("E", 1.0, (1, 2), True), ("U", 1.0, (1, 2), False), ("N", 1.0, (1, 1), False), ("E", None, (2, 2), False)],
)
def test_a_reading_that_turns_a_verdict_is_counted_by_its_tag_whatever_the_rule_gave(tag, value, robust, fragile):
    otherwise = [{"reading": "same", "column": "variation"}, {"reading": "turned", "column": "other", "tag": tag}]
    table = sweep()
    table["other"] = table["variation"] if value is None else table["variation"] + 2 * table["gamma"]
    verdict = judge(table, rule=RULE | {"otherwise": otherwise})
    assert verdict.outcome.verdict == REPRODUCED
    assert ((verdict.same, verdict.others), verdict.fragile) == (robust, fragile)
    rescued = judge(sweep(direction=1).assign(other=-table["gamma"]), rule=RULE | {"otherwise": otherwise[1:]})
    assert rescued.outcome.verdict == (NOT_REPRODUCED if tag == "N" else TREND_ONLY), "another experiment saves none"


def test_a_reading_changes_all_parts_that_have_it_together():
    """Neither of two parts holds as written; one reading mends the first, another the second: none mends both."""
    table = sweep(direction=1).assign(falls=-sweep()["gamma"])
    part = RULE | {"otherwise": [{"reading": "one", "column": "falls"}]}
    other = RULE | {"name": "other", "otherwise": [{"reading": "two", "column": "falls"}]}
    assert judge(table, rule={"all": [part, other]}).outcome.verdict == NOT_REPRODUCED
    same = other | {"otherwise": part["otherwise"]}
    assert judge(table, rule={"all": [part, same]}).outcome.verdict == TREND_ONLY


@pytest.mark.parametrize(("few", "expected"), [(-1, REPRODUCED), (1, TREND_ONLY)], ids=["confirms", "contradicts"])
def test_a_network_on_fewer_pairs_confirms_or_contradicts_and_decides_nothing(few, expected):
    whole = sweep().assign(network="compact")
    part = sweep(contents=2, styles=3, direction=few).assign(network="vgg16-caffe")
    verdict = judge(whole, part)
    assert verdict.outcome.verdict == expected
    assert verdict.networks["vgg16-caffe"].verdict == NOT_TESTED
    alone = judge(part).outcome
    assert (alone.verdict, "2 of 3 contents" in alone.reason) == (NOT_TESTED, True)


def test_teacher_and_student_are_one_witness():
    both = [sweep().assign(network=name) for name in ("compact-vgg16", "vgg16-caffe")]
    assert "one witness" in judge(*both).outcome.reason
    other = [sweep().assign(network=name) for name in ("compact", "vgg16-caffe")]
    assert "one witness" not in judge(*other).outcome.reason


def test_a_reading_on_fewer_pairs_than_the_least_design_rescues_nothing():
    """As written there are no rows at all; in another reading there is one pair that follows."""
    rule = RULE | {"where": {"scale": "none"}, "otherwise": [{"reading": "as run", "where": {"scale": "native"}}]}
    assert judge(sweep(), rule=rule).outcome.verdict == TREND_ONLY
    one = judge(sweep(contents=1, styles=1), rule=rule).outcome
    assert (one.verdict, one.measured.startswith("as run: ")) == (NOT_TESTED, True)
