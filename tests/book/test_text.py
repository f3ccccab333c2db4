"""Pieces of the book's texts: numbers and tables are looked up in runs' tables, and written in words."""

import pandas as pd
import pytest

from stylerepro.book import text
from stylerepro.errors import RunError

TABLE = pd.DataFrame(
    {
        "n": [1, 2, 3, 4], "picture": ["a", "a", "b", "b c"], "error": [0.5, 1.5, float("nan"), 4.0],
        "whole": [1.0, 3.0, 1.0, 2.0], "done": [True, True, False, True], "reading": [None, "x", None, "x"],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("t.error", "1.5"), ("t.error stat=range", "0.5 to 4"), ("t.error n=2 stat=range", "1.5"),
        ("t.error picture=a stat=mean", "1"), ("t.error picture=a|b stat=count", "2"), ("t.error 'picture=b c'", "4"),
        ("t.error reading=", "0.5"), ("t.error done=true stat=max", "4"), ("t.error over=whole stat=max", "2"),
        ("t.error n=1 as=percent", "50 %"), ("t.error n=1 as=change", "+50 %"), ("t.error n=3", "(not measured)"),
        ("t.error picture=z", "(not measured)"), ("absent.error", "(not run)"), ("t.whole n=2 scale=10", "0.3"),
        ("t.error picture=a to='n=2' by=picture stat=range", "0.333 to 1"),
    ],
)  # fmt: skip
def test_a_value_is_looked_up_in_a_table(words, told):
    assert text.value({"t": TABLE}, words) == told


@pytest.mark.parametrize("words", ["t.errors", "t.error picure=a", "t.error over=hole", "t.error stat=medium"])
def test_a_value_that_cannot_be_is_refused_with_the_nearest_name(words):
    with pytest.raises(RunError, match=r"error|picture|whole|median"):
        text.value({"t": TABLE}, words)


@pytest.mark.parametrize(
    ("write", "given", "told"),
    [
        (text.figures, 0.19973, "0.2"), (text.figures, 12345.6, "12300"), (text.figures, -2.5, "−2.5"),
        (text.figures, None, ""), (text.figures, float("nan"), ""), (text.figures, pd.NA, ""),
        (text.figures, 999.9, "1000"), (text.figures, float("-inf"), "−∞"),
        (text.subscripts, "λ_c, λ_TV, a_c, λ_layers", "λ<sub>c</sub>, λ<sub>TV</sub>, a_c, λ_layers"),
    ],
)  # fmt: skip
def test_numbers_and_letters_are_written_as_texts_show_them(write, given, told):
    assert write(given) == told


TIMES = {"size": [1, 1, 2, 2], "layers": ["all", "few", "all", "few"], "seconds": [4.0, 1.0, 8.0, 6.0]}
GAPS = {"n": [12345, 12345], "factor": [float("nan"), 4.0], "x": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("columns", "table", "told"),
    [
        ("picture|picture as=code\nerrors|error stat=count\nlargest|error stat=max\nmean|whole stat=mean as=percent",
         TABLE, [("picture", "errors", "largest", "mean"), ("`a`", "2", "1.5", "200 %"), ("`b`", "0", "", "100 %"),
                 ("`b c`", "1", "4", "200 %")]),
        # A column is spread across, and lines without a number are left out.
        ("picture|picture\nreading *|error across=reading\nall|error stat=range",
         TABLE, [("picture", "reading x", "all"), ("a", "1.5", "0.5 to 1.5"), ("b c", "4", "4")]),
        # Shares are those of the line with another key.
        ("px|size\nlayers|layers\nshare|seconds share=layers:all", TIMES,
         [("px", "layers", "share"), ("1", "all", "1"), ("1", "few", "0.25"), ("2", "all", "1"), ("2", "few", "0.75")]),
        # Gaps in keys are empty, and whole numbers stay whole.
        ("n|n\nfactor|factor\nx|x stat=mean", GAPS, [("n", "factor", "x"), ("12345", "", "1"), ("12345", "4", "2")]),
    ],
)  # fmt: skip
def test_a_table_has_a_line_for_each_combination_of_its_keys(columns, table, told):
    parts = (line.partition("|")[::2] for line in columns.split("\n"))
    wanted = [(heading, *text.parsed(words)[::2]) for heading, words in parts]
    assert text.table_lines(pd.DataFrame(table), wanted) == told
