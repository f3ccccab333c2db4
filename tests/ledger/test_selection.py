import numpy as np
import pandas as pd
import pytest

from stylerepro.ledger.rules import NOT_REPRODUCED, NOT_TESTED, Settled, columns, matches, number_text, select

LEAF = {"kind": "number", "experiment": "e", "column": "x"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (0.1 + 0.2, [True, False, False]),
        (None, [False, False, True]),
        ([150, None], [False, True, True]),
        ("150", [False, False, False]),
    ],
)
def test_matches_numbers_up_to_rounding_and_missing_ones_only_when_asked(wanted, expected):
    for kind in (float, "Float64"):
        assert matches(pd.Series([0.3, 150, None], dtype=kind), wanted).tolist() == expected


def test_matches_text_and_truth():
    assert matches(pd.Series(["gatys", "means", None]), ["gatys"]).tolist() == [True, False, False]
    assert matches(pd.Series([True, False]), True).tolist() == [True, False]


def test_select_divides_scales_and_counts_what_has_no_value():
    table = pd.DataFrame({"x": [1.0, 3.0, np.nan, np.inf], "raw": [4, 4, 4, 4], "n": [1, 1, 1, 1]})
    rows = select({**LEAF, "over": "raw", "scale": 100, "where": {"n": 1}}, table)
    assert rows["_value"].tolist() == [25.0, 75.0]
    assert rows.attrs["lacking"] == 2
    assert "_value" not in table, "the table given is left as it was"


def test_a_ratio_of_nothing_is_no_value():
    rows = select({**LEAF, "relative": True}, pd.DataFrame({"x": [0.0, -1.0, 2.0]}))
    assert rows["_value"].tolist() == [2.0]


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
        select({**LEAF, **change}, table)
    assert settled.value.outcome.verdict == verdict
    assert message in settled.value.outcome.reason


def test_columns_of_a_leaf_hold_its_units_and_conditions():
    leaf = {"kind": "difference", "column": "x", "between": "input", "where": {"n": 1}, "match": ["level"]}
    assert columns(leaf) == ["x", "input", "n", "level", "content", "style"]
    assert columns({**leaf, "units": ["size"]}) == ["x", "input", "n", "level", "size"]
    assert columns({**LEAF, "tell": ["picture"]}) == ["x", "picture"]


def test_numbers_are_written_as_people_read_them():
    assert [number_text(one) for one in (-0.00012345, 1236.4, 3)] == ["−0.0001234", "1236", "3"]
